"""Everything on the box that could join two zones: seen, judged, undone.

``processes.py``, ``descriptors.py``, ``links.py``, ``sockets.py``, ``programs.py`` (adapters) -> ``nouns.Sight`` -> ``judging_*.py``
(pure, by the tables of ``known.py``) -> ``Found`` -> ``undoing.py``. ``watch.Bridges`` does all of it in one look;
``tripwire.Tripwire`` and its ``ears.py`` act on a foreign link before the next look and say when to look at once. Begin with ``known.py``.
"""
