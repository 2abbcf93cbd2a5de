"""Signed, tamper-evident log of decisions, in the files of c2sp.org/tlog-tiles.

``proofs`` (RFC 6962 Merkle tree) + ``note`` (checkpoints, cosignatures) -> ``log`` (the writer: durable when ``append``
returns; on ``disk`` and ``tiles``) -> ``verify`` (offline, on a copy, one file alone). ``group`` serves a daemon's tasks,
``opening`` how a daemon begins one, ``conversion`` takes over the first layout; ``headgate journal`` is ``cli``.
"""
