"""The policies that say what the store keeps: ``lru``, ``sieve``, ``s3fifo``; each a few lines over a shelf (``keeping.py``).

The shelf's state is common to all, so that another policy can take over at any moment without a pass over the index.
"""

from __future__ import annotations

from gateway.store.keeping import Keep
from gateway.store.policies.lru import Lru
from gateway.store.policies.s3fifo import S3Fifo
from gateway.store.policies.sieve import Sieve

KNOWN: dict[str, Keep] = {keep.name: keep for keep in (Sieve(), Lru(), S3Fifo())}
DEFAULT = Sieve.name
