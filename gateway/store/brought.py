"""``brought/CODE``: releases that came in from an institution. Nobody else may have them, so they stay until they are withdrawn."""

from __future__ import annotations

import contextlib
from pathlib import Path

from appliance.runtime.errors import Refused
from appliance.runtime.files import sync_folder, write_atomic
from gateway.release import paths
from gateway.store.faults import told


class Brought:
    """The marks below ``root``, by the release's code."""

    def __init__(self, root: Path) -> None:
        self._folder = root / "brought"

    def codes(self) -> frozenset[str]:
        """Return the releases that stay."""
        found = set()
        with contextlib.suppress(FileNotFoundError):
            for path in self._folder.iterdir():
                with contextlib.suppress(Refused):
                    found.add(paths.code_of(path.name))
        return frozenset(found)

    def add(self, code: str) -> None:
        """Let a release stay, durably.

        Raises:
            Refused: the disk is full (``store-full``), or fails (``store-broken``).
        """
        try:
            self._folder.mkdir(exist_ok=True)
            if not (path := self._path(code)).exists():
                write_atomic(path, b"")
        except OSError as error:
            raise told(error) from error

    def remove(self, code: str) -> None:
        """Let it go with the others."""
        with contextlib.suppress(FileNotFoundError, Refused):
            self._path(code).unlink()
            sync_folder(self._folder)

    def _path(self, code: str) -> Path:
        return self._folder / paths.code_of(code)
