"""Serves other boxes of the culture zone from the store, as an origin does.

``daemon`` (address, policy) -> ``boxes`` (``GET /releases/CODE/...``); on a miss the exchange asks this box's own parents and origins.
Which boxes a question came through is passed on, and one that came from here already is refused.
"""
