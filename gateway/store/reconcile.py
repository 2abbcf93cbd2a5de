"""Index and files brought in line, folder by folder, while the box serves: a file is the truth, a row is advice.

A file without a row gets one, with what the kept manifests say of its release; a row without a file goes. Nothing is asked of the index
as a whole, so that a million objects are no burden; between two folders others have their turn.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from appliance.runtime.errors import Corrupt
from gateway.release import signed
from gateway.store import metrics
from gateway.store.disk import FOLDERS
from gateway.store.index import Coming
from gateway.store.keeper import Keeper
from gateway.store.manifests import Manifests

AT_ONCE = 2000  # rows in one transaction
MOST_OWNERS = 2_000_000  # files of kept manifests that are kept in mind while this runs


@dataclass(frozen=True)
class Difference:
    """What is there without a row, with its size, and the rows without a file."""

    files: dict[str, int]
    rows: frozenset[str]


def compare(files: dict[str, int], rows: dict[str, int]) -> Difference:
    """Return how files and rows of one folder differ; a row with another size is none."""
    return Difference(
        {digest: size for digest, size in files.items() if rows.get(digest) != size}, frozenset(rows) - frozenset(files)
    )


class Reconciling:
    """One pass over the folders; ``step`` does one."""

    def __init__(self, keeper: Keeper, manifests: Manifests) -> None:
        self._keeper, self._manifests = keeper, manifests
        self._owners: dict[str, tuple[str, str]] | None = None

    def steps(self) -> Iterator[int]:
        """Put right one folder after another, and yield how many differences there were in each."""
        for folder in FOLDERS:
            yield self._step(folder)

    def _step(self, folder: str) -> int:
        keeper = self._keeper
        files = keeper.disk.folder(folder)
        found = compare(files, keeper.index.known(folder, _behind(folder)))
        # Looked at again, since the box went on meanwhile: what came or went has its row or has none by now.
        gone = [digest for digest in found.rows if keeper.disk.size(digest) is None]
        came = [digest for digest in sorted(found.files) if keeper.disk.size(digest) == found.files[digest]]
        if gone:
            keeper.index.remove(gone)
            metrics.RECONCILED.labels("file").inc(len(gone))
        for start in range(0, len(came), AT_ONCE):
            keeper.index.add(self._coming(digest, found.files[digest]) for digest in came[start : start + AT_ONCE])
        if came:
            metrics.RECONCILED.labels("row").inc(len(came))
        return len(gone) + len(came)

    def _coming(self, digest: str, size: int) -> Coming:
        release, body = self._owned().get(digest, ("", ""))
        return Coming(digest, size, body, "", release)  # for which zone it came first is not known any more

    def _owned(self) -> dict[str, tuple[str, str]]:
        """Return release and body by digest, from the manifests that are kept; read when the first file asks."""
        if self._owners is None:
            self._owners = {}
            for path in self._manifests.paths():
                try:
                    release = signed.claimed(path.read_bytes())
                except (Corrupt, OSError):  # it is verified again when it is asked for; here it is only a hint
                    continue
                for file in release.files.values():
                    if len(self._owners) < MOST_OWNERS:
                        self._owners.setdefault(file.sha256, (release.code, release.body))
        return self._owners


def _behind(folder: str) -> str:
    """Return digits that no digest of ``folder`` reaches."""
    return f"{int(folder, 16) + 1:02x}" if folder != "ff" else "ff" * 33
