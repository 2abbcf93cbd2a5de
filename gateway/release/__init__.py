"""The signed, immutable unit of content.

``paths`` (names that may stand in a release) -> ``manifest`` (bytes <-> ``Release``) -> ``signed`` (its DSSE envelope);
``folder`` digests a folder and copies it to an origin; ``cli`` is ``headgate release``.
"""
