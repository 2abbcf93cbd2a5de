"""Serves one zone's screens from the store.

``hot`` answers what was asked for a moment ago, and for all else:
``daemon`` (address, policy) -> ``screens`` (``GET /r/CODE/PATH``) -> ``choose`` (pure: whole, part, not modified) -> ``send`` (one
sendfile a segment); on a miss ``exchange`` is asked first. ``metering`` counts what left and hands it to the exchange.
"""
