"""Brings releases in: from an institution's own network, from a folder, from a disk carried in.

``uploads`` (pure: what is still wanted of a release, and what may be written next) -> ``drop`` (unfinished files on disk) and
``exchange`` (which takes them in) -> ``desk`` (one release after the other through both) -> ``server`` (HTTP, tus 1.0.0), ``inbox`` (the
watched folder), ``cli`` (``headgate box carry``). Nothing here judges content: the exchange and its filters do.
"""
