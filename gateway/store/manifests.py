"""``manifests/CODE.json``: the envelope of the newest verified version of each release; verified again by whoever reads it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from appliance.runtime.files import write_atomic
from gateway.release import paths, signed
from gateway.store.faults import told
from gateway.store.objects import make_folder


class Manifests:
    """The envelopes below ``root``, by the release's code."""

    def __init__(self, root: Path) -> None:
        self._folder = root / "manifests"
        self.told: Callable[[str], None] = lambda code: None  # of which release another version is kept now

    def prepare(self) -> None:
        """Make the folder, and throw away what an earlier writer left unfinished."""
        make_folder(self._folder)
        for path in self._folder.glob(".*"):
            path.unlink()

    def codes(self) -> list[str]:
        """Return the codes of all releases that are kept."""
        return [path.stem for path in self._folder.glob("*.json") if not path.name.startswith(".")]

    def get(self, code: str) -> bytes | None:
        """Return the envelope kept for ``code``, or None."""
        try:
            with self.path(code).open("rb") as file:
                return file.read(signed.LONGEST + 1)
        except FileNotFoundError:
            return None

    def put(self, code: str, envelope: bytes) -> None:
        """Keep ``envelope`` durably in the place of the one before.

        Raises:
            Refused: the disk is full (``store-full``) or fails (``store-broken``).
        """
        try:
            write_atomic(self.path(code), envelope)
        except OSError as error:
            raise told(error) from error
        self.told(code)

    def paths(self) -> list[Path]:
        """Return the files of all envelopes."""
        return sorted(self._folder.glob("*.json"))

    def path(self, code: str) -> Path:
        """Return where the envelope of ``code`` is, if it is kept."""
        return self._folder / f"{paths.code_of(code)}.json"
