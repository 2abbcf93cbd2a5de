"""What holds for every type: test virus, second formats at either end; and the kind that looks at the rest. No process, no file."""

from __future__ import annotations

from appliance.runtime.errors import Refused
from gateway.filters.inspection import refusal
from gateway.filters.inspection.kinds import registry
from gateway.filters.inspection.kinds.kind import Told

# In two parts, so that no scanner takes this file for the test virus itself (EICAR's 68 bytes begin with the first).
EICAR = rb"X5O!P%@AP[4\PZX54(P^)7CC)7}$" + b"EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"
HEAD = 1024  # bytes in which readers of PDF look for its beginning
TAIL = (64 << 10) + 22  # bytes in which readers of ZIP look for its end
ZIPPED = ("application/epub+zip", "model/vnd.usdz+zip")
PDF = "application/pdf"


class Scan:
    """One object, as it comes in."""

    def __init__(self, told: Told) -> None:
        self._told, self._kind = told, registry.kind_of(told)
        self._head, self._edge, self._tail, self._seen = b"", b"", b"", 0
        self._ends = max(0, told.size - TAIL)  # from this byte on it is kept

    @property
    def verified(self) -> int:
        """Return up to which byte the object may be shown: what could still be the beginning of something bad is not."""
        return max(0, self._seen - len(EICAR) + 1) if self._kind.streams else 0

    def feed(self, data: bytes) -> None:
        """Take the next bytes.

        Raises:
            Refused: they do not pass.
        """
        if self._seen + len(data) > self._told.size:
            raise refusal.malformed("more bytes came than were announced")
        if EICAR in data or EICAR in self._edge + data[: len(EICAR)]:
            raise refusal.malware("the EICAR test virus")
        if len(self._head) < HEAD:
            self._head += data[: HEAD - len(self._head)]
            if self._told.type != PDF and b"%PDF-" in self._head:
                raise refusal.polyglot("the beginning is that of a PDF as well")
        rest = data[-len(EICAR) + 1 :]
        self._edge = (self._edge + rest)[-len(EICAR) + 1 :]
        if self._seen + len(data) > self._ends:
            self._tail += data[max(0, self._ends - self._seen) :]
        self._seen += len(data)
        self._kind.feed(data)

    def finish(self) -> int:
        """Return the size, once the whole passed.

        Raises:
            Refused: it does not pass.
        """
        if self._seen != self._told.size:
            raise refusal.malformed(f"{self._seen} bytes came, {self._told.size} were announced")
        if self._told.type not in ZIPPED and ends_as_zip(self._tail):
            raise refusal.polyglot("the end is that of a ZIP archive as well")
        self._kind.finish()
        return self._seen


def ends_as_zip(tail: bytes) -> bool:
    """Return whether a reader of ZIP would find its end of central directory: the signature, and a comment that ends with the file."""
    at = tail.rfind(b"PK\x05\x06")
    while at >= 0:
        end = at + 22
        if end <= len(tail) and end + int.from_bytes(tail[at + 20 : at + 22], "little") == len(tail):
            return True
        at = tail.rfind(b"PK\x05\x06", 0, at)
    return False


def scan(told: Told, data: bytes, step: int = 1 << 18) -> Refused | None:
    """Return why ``data`` does not pass as ``told``, or None."""
    try:
        whole = Scan(told)
        for at in range(0, len(data), step):
            whole.feed(data[at : at + step])
        whole.finish()
    except Refused as refused:
        return refused
    return None
