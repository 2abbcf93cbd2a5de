"""Verified objects on the box's disk, named by their SHA-256: written by the exchange alone, read by delivery.

``objects`` (content: a file is the truth) and ``manifests`` (signed envelopes, so that a restart with the origin away still serves).
What to keep: ``keeper`` (room, quotas, pins, withdrawals: start here) -> ``limits`` (pure: how much must go) -> ``policies`` (pure: what
goes, over a ``Shelf`` of ``keeping``) -> ``index`` and ``rows`` (SQLite) -> ``disk`` (files). ``shadow`` says which policy would serve most
bytes; ``reconcile`` brings index and files in line, ``scrub`` reads objects again, ``preposition`` says what is fetched ahead, and when.
"""
