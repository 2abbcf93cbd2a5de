"""``incoming/NAME``: what came in and is being judged, and ``quarantine/``: what was refused.

The exchange alone writes here; the filters and, up to where both filters passed it, delivery read ``incoming``. A file leaves it
for the objects only once both filters passed all of it.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path
from types import TracebackType
from typing import Self

from appliance.runtime.errors import Corrupt
from appliance.runtime.files import sync_folder
from gateway.store.faults import told
from gateway.store.objects import FILE_MODE, Objects, make_folder
from gateway.store.quarantine import Quarantine

FILTERS = ("admission", "inspection")  # both, always: nothing in any configuration names them
# Bytes written at once. With more, the kernel caches them in larger blocks of memory, which a virtual machine may have given back to its
# host: to touch those anew takes several times as long as the writing.
AT_ONCE = 64 << 10
READABLE = 0o644  # the folder's own mode is the gate, as of the store's


class Incoming:
    """The folder below ``root`` that the filters see."""

    def __init__(self, root: Path, quarantine: int = 256 << 20) -> None:
        self.folder, self._objects = root / "incoming", Objects(root)
        self.quarantine = Quarantine(root, quarantine)

    def prepare(self) -> int:
        """Make the folder where there is none, throw away what was not finished, and return how many leftovers there were."""
        self.quarantine.prepare()
        self.folder.mkdir(parents=True, exist_ok=True)  # its mode is tmpfiles.d's: the filters have it mounted
        leftovers = list(self.folder.iterdir())
        for path in leftovers:
            _let_go(path)
        return len(leftovers)

    def arrive(self, sha256: str, size: int) -> Arrival:
        """Return the writer of an object that comes in."""
        return Arrival(self.folder, self._objects, sha256, size)

    def show(self, data: bytes) -> Shown:
        """Put ``data`` where the filters can read it, as long as the context lasts."""
        return Shown(self._written(data))

    def _written(self, data: bytes) -> Path:
        path = self.folder / _name("manifest")
        try:
            with os.fdopen(_create(path), "wb") as file:
                file.write(data)
        except OSError as error:
            _let_go(path)
            raise told(error) from error
        return path


class Shown:
    """A file in ``incoming`` for as long as it is being judged."""

    def __init__(self, path: Path) -> None:
        self.path, self.name = path, path.name

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        _let_go(self.path)


class Arrival:
    """One object on its way into the store; used as a context manager, which throws away what was not finished."""

    def __init__(self, folder: Path, objects: Objects, sha256: str, size: int) -> None:
        self._target, self._size = objects.path(sha256), size
        self.path = folder / _name(sha256)
        self.name, self.written = self.path.name, 0
        self._passed = dict.fromkeys(FILTERS, -1)  # an empty object needs both verdicts too
        try:
            self._file = os.fdopen(_create(self.path), "wb", buffering=0)
        except OSError as error:
            raise told(error) from error

    @property
    def verified(self) -> int:
        """Return up to which byte both filters passed it."""
        return max(0, min(self._passed.values()))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()
        _let_go(self.path)  # after ``finish`` it has its other name

    def write(self, chunk: bytes | memoryview) -> None:
        """Take the next bytes.

        Raises:
            Corrupt: there are more than the manifest says.
            Refused: the disk is full (``store-full``) or fails (``store-broken``).
        """
        if self.written + len(chunk) > self._size:
            raise Corrupt(f"more than the {self._size} bytes that the manifest says came")
        view = memoryview(chunk)
        try:
            while view:
                view = view[self._file.write(view[:AT_ONCE]) :]
        except OSError as error:
            raise told(error) from error
        self.written += len(chunk)

    def rewind(self, to: int) -> None:
        """Forget the bytes from ``to`` on, of which none passed both filters."""
        if not self.verified <= to <= self.written:
            raise AssertionError("what was shown is not taken back")
        os.ftruncate(self._file.fileno(), to)
        self._file.seek(to)
        self.written = to

    def passed(self, by: str, upto: int) -> None:
        """Note that the filter ``by`` passed everything up to the byte ``upto``."""
        if by not in self._passed or not 0 <= upto <= self.written:
            raise AssertionError("a verdict about bytes that are not here")
        self._passed[by] = max(self._passed[by], upto)

    def finish(self) -> Path:
        """Make the object durable, then visible in the store; return where.

        Raises:
            Corrupt: a filter has not passed all of it.
            Refused: the disk is full (``store-full``) or fails (``store-broken``).
        """
        if any(upto != self._size for upto in (self.written, *self._passed.values())):
            raise Corrupt(f"{self.verified} of {self._size} bytes passed both filters")
        try:
            os.fchmod(self._file.fileno(), FILE_MODE)
            os.fsync(self._file.fileno())
            if not self._target.parent.is_dir():
                make_folder(self._target.parent)
                sync_folder(self._target.parent.parent)
            self.path.rename(self._target)
            sync_folder(self._target.parent)
        except OSError as error:
            raise told(error) from error
        return self._target


def _name(begin: str) -> str:
    return f"{begin[:16]}-{secrets.token_hex(8)}"


def _let_go(path: Path) -> None:
    with contextlib.suppress(OSError):  # a disk that fails, or turned read-only, lets nothing go: the next start does
        path.unlink(missing_ok=True)


def _create(path: Path) -> int:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, READABLE)
    os.fchmod(descriptor, READABLE)  # whatever the umask is
    return descriptor
