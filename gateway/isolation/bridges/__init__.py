"""Everything on the box that could join two zones: seen, judged, undone.

``processes.py``, ``descriptors.py``, ``links.py``, ``sockets.py``, ``programs.py`` (adapters) -> ``nouns.Sight`` -> ``judging_*.py``
(pure, by the tables of ``known.py``) -> ``Found`` -> ``undoing.py``. ``watch.Bridges`` does all of it in one look;
``tripwire.Tripwire`` acts on a foreign link before the next look and says when to look at once. Begin with ``known.py``.
"""

from gateway.isolation.bridges.nouns import Found
from gateway.isolation.bridges.tripwire import Tripwire
from gateway.isolation.bridges.watch import Bridges, must_stop_lanes

__all__ = ["Bridges", "Found", "Tripwire", "must_stop_lanes"]
