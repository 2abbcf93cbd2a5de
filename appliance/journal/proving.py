"""A proof that a journal holds an entry, made by the daemon that writes the journal (c2sp.org/tlog-proof)."""

from __future__ import annotations

import base64
from collections.abc import Sequence

from appliance.journal.verify import PROOF


def written(entry: bytes, number: int, path: Sequence[bytes], note: bytes) -> bytes:
    """Return the proof that ``entry`` is number ``number`` (from 1) of what ``note`` signs."""
    lines = [PROOF, f"extra {base64.b64encode(entry).decode()}", f"index {number - 1}"]
    lines += [base64.b64encode(one).decode() for one in path]
    return "\n".join(lines).encode() + b"\n\n" + note
