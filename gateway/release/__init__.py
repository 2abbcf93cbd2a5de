"""The signed, immutable unit of content.

The noun: ``paths`` (names that may stand in a release) -> ``manifest`` (bytes <-> ``Release``) -> ``signed`` (its DSSE envelope);
``grants`` of one body to another; ``rights``: may it be shown here and now.
Making one: ``folder`` (files and digests) and ``description`` (release.yaml) -> ``structure`` (``playlists``, ``presentations``,
``marks``, by ``references``) -> ``draft`` -> ``preview``. Publishing: ``publishing`` -> a sink, such as ``origin``.
``cli`` is ``headgate release``.
"""
