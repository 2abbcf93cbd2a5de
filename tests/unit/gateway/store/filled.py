"""A store that is filled as the exchange fills it, with filters that pass everything."""

from __future__ import annotations

from pathlib import Path

from gateway.store.incoming import FILTERS, Arrival, Incoming


class Passing(Arrival):
    """An object that both filters passed, whatever it is."""

    def finish(self) -> Path:
        """Let both filters pass all of it, and make it visible."""
        for name in FILTERS:
            self.passed(name, self.written)
        return super().finish()


def write(root: Path, digest: str, size: int) -> Passing:
    """Return the writer of an object."""
    incoming = Incoming(root)
    incoming.folder.mkdir(exist_ok=True)
    arrival = incoming.arrive(digest, size)
    arrival.__class__ = Passing
    return arrival  # type: ignore[return-value]
