"""What came on a disk that somebody carried in: an origin of its own, ``disk``, for the releases that ``headgate box fill`` laid down.

Nothing about it is trusted: what it has goes through the same filters, into the same journal, as what came over the line.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from appliance.runtime.errors import Refused, Unreachable
from appliance.runtime.files import write_atomic
from gateway.exchange.origin import Answer, Origins
from gateway.release import paths

NAME = "disk"  # as an origin, in journal and refusals
CHUNK = 1 << 20  # bytes read at once
MOST = 1000  # releases that are laid down at once


class FileAnswer(Answer):
    """A file of the disk, told as an origin's answer is."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.unchanged, self.etag, self.origin, self.age = False, "", NAME, 0.0

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the file as it is read."""
        while data := await asyncio.to_thread(self._file.read, CHUNK):
            yield data


class Carried:
    """The folder in which releases are laid down: ``releases/CODE/...``, ``trust/...``, ``results/CODE.json``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def codes(self) -> list[str]:
        """Return the releases that are laid down, whole."""
        found = []
        with contextlib.suppress(FileNotFoundError):
            for path in sorted((self.folder / "releases").iterdir())[:MOST]:
                with contextlib.suppress(Refused):
                    found.append(paths.code_of(path.name))
        return found

    def has(self, code: str, path: str) -> bool:
        """Return whether the disk has this file of the release."""
        return (self.folder / "releases" / code / path).is_file()

    def open(self, path: str, first: int, largest: int) -> BinaryIO | None:
        """Open what stands at ``path`` of the origin's layout, or return None.

        Raises:
            Refused: it is longer than ``largest`` bytes (``too-large``).
            Unreachable: the disk does not give it.
        """
        try:
            descriptor = os.open(self.folder / path.lstrip("/"), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise Unreachable(f"the carried disk does not give '{path}': {error.strerror}") from error
        file = os.fdopen(descriptor, "rb", buffering=0)
        if os.fstat(descriptor).st_size - first > largest:
            file.close()
            raise Refused("too-large", f"the carried disk has more than {largest} bytes", 413)
        file.seek(first)
        return file

    def done(self, code: str, told: Mapping[str, Any]) -> None:
        """Tell how it ended with a release, and take it away."""
        results = self.folder / "results"
        results.mkdir(exist_ok=True)
        write_atomic(results / f"{code}.json", json.dumps(told, ensure_ascii=False).encode())
        shutil.rmtree(self.folder / "releases" / code)


class OriginsAndDisk(Origins):
    """The origins through fetch, and the disk: asked first for content, which is the same anywhere, and last for what may be newer."""

    def __init__(self, socket: Path, carried: Carried) -> None:
        super().__init__(socket)
        self._carried = carried

    @contextlib.asynccontextmanager
    async def ask(
        self, origin: str, path: str, largest: int, etag: str = "", via: Sequence[str] = ()
    ) -> AsyncIterator[Answer]:
        """Ask ``origin``; where it is away, what the disk has must do.

        Raises:
            Refused, Unreachable: as ``Origins.ask``.
        """
        async with self._either(super().ask(origin, path, largest, etag, via), path, largest) as answer:
            yield answer

    @contextlib.asynccontextmanager
    async def any(
        self,
        path: str,
        largest: int,
        *,
        first: int = 0,
        wrong: Sequence[str] = (),
        etags: Mapping[str, str] | None = None,
        oldest: int | None = None,
        direct: bool = False,
        via: Sequence[str] = (),
    ) -> AsyncIterator[Answer]:
        """Ask for ``path`` whoever is best, as ``Origins.any``; the disk is one of them.

        Raises:
            Refused, Unreachable: as ``Origins.any``.
        """
        others = super().any(
            path,
            largest,
            first=first,
            wrong=[name for name in wrong if name != NAME],
            etags={name: etag for name, etag in (etags or {}).items() if name != NAME},
            oldest=oldest,
            direct=direct,
            via=via,
        )
        if NAME in wrong:
            async with others as answer:
                yield answer
        elif path.endswith(f"/{paths.MANIFEST}"):
            async with self._either(others, path, largest) as answer:
                yield answer
        else:
            file = self._carried.open(path, first, largest)
            if file is not None:
                with file:
                    yield FileAnswer(file)
            else:
                async with others as answer:
                    yield answer

    @contextlib.asynccontextmanager
    async def _either(
        self, others: contextlib.AbstractAsyncContextManager[Answer], path: str, largest: int
    ) -> AsyncIterator[Answer]:
        async with contextlib.AsyncExitStack() as stack:
            try:
                answer = await stack.enter_async_context(others)
            except (Unreachable, Refused) as error:
                if isinstance(error, Refused) and error.reason != "unknown-path":
                    raise
                file = self._carried.open(path, 0, largest)
                if file is None:
                    raise
                answer = FileAnswer(stack.enter_context(file))
            yield answer
