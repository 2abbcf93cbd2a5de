"""The only crossing: the one process that has no network at all.

A peer's socket says who asks: ``daemon`` (sockets, policy) -> ``api`` (typed requests) -> ``decide`` (pure: may it cross?) ->
``releases`` (verified manifests), ``objects`` (fill the store, once for all who wait), ``identifiers`` (the table), ``journal``
(records, audit) -> ``origin`` (asks fetch). Requests are parsed, judged and made anew: never forwarded.
"""
