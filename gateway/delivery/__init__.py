"""Serves one zone's screens from the store.

``hot`` answers what was asked for a moment ago, and for all else:
``daemon`` (address, policy) -> ``screens`` (``GET /r/CODE/PATH``) -> ``opening`` (from the store; on a miss the exchange is asked)
-> ``choose`` (pure: whole, part, not modified) -> ``send`` (one sendfile a segment). ``metering`` counts what left and hands it to the
exchange.
"""
