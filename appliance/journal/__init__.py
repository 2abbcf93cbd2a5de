"""Signed, tamper-evident log of decisions.

``tree`` (RFC 6962 Merkle tree) + ``note`` (C2SP signed note, checkpoint) -> ``log`` (append-only files, durable when ``append``
returns) -> ``verify`` (offline, on a copy). ``headgate journal`` is ``cli``. A journal is a folder: ``entries.jsonl`` (one JSON object
a line), ``leaves`` (the entries' hashes, 32 bytes each), ``checkpoint`` (how many, and their root, signed), ``key.pub``.
"""
