"""The bulk file, read in batches as it comes: CSV with a header, or JSON Lines. Touches the file."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from appliance.runtime.errors import Corrupt, Refused
from gateway.resolver.importing.rows import Row, check_header
from gateway.resolver.statement import MOST

LONGEST_LINE = 256 << 10  # bytes


class BulkFile:
    """A file of records; ``read`` tells how many bytes of it went into the batches so far."""

    def __init__(self, path: Path, encoding: str = "utf-8-sig") -> None:
        """Open it.

        Raises:
            Refused: it is neither ``.csv`` nor ``.jsonl`` (``bad-request``), or its header is wrong (``bad-header``).
            OSError: it cannot be read.
        """
        if path.suffix not in (".csv", ".jsonl"):
            raise Refused("bad-request", f"{path.name} is neither .csv nor .jsonl", 400)
        self._path, self._encoding = path, encoding
        self.size = path.stat().st_size
        self.read = 0
        self._number = 0
        self.header: list[str] = []
        if path.suffix == ".csv":
            with path.open("rb") as file:
                self.header = [name.strip() for name in next(self._cells(file), [])]
            check_header(self.header)
            self.read = self._number = 0

    def digest(self) -> str:
        """Return the SHA-256 of the file, in hex: by it an import that was broken off is known again."""
        with self._path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def batches(self) -> Iterator[list[Row]]:
        """Yield the rows, at most ``MOST`` at once.

        Raises:
            Corrupt: a line is too long, or not of the encoding.
        """
        self.read = self._number = 0
        with self._path.open("rb") as file:
            rows = self._objects(file) if not self.header else self._table(file)
            while batch := list(islice(rows, MOST)):
                yield batch

    def _objects(self, file: BinaryIO) -> Iterator[Row]:
        for line in self._lines(file):
            if line.strip():
                yield Row(self._number, line)

    def _table(self, file: BinaryIO) -> Iterator[Row]:
        for number, cells in enumerate(self._cells(file)):
            if number and any(cells):
                yield Row(self._number, cells)

    def _cells(self, file: BinaryIO) -> Iterator[list[str]]:
        encoding, following = self._encoding, self._encoding.removesuffix("-sig")

        def texts() -> Iterator[str]:
            for line in self._lines(file):
                yield line.decode(encoding if self._number == 1 else following)

        try:
            yield from csv.reader(texts(), strict=True)
        except (csv.Error, ValueError, LookupError) as error:
            other = " (--encoding says in which it is)" if isinstance(error, UnicodeError) else ""
            raise Corrupt(f"{self._path.name}: line {self._number}: {error}{other}") from error

    def _lines(self, file: BinaryIO) -> Iterator[bytes]:
        while line := file.readline(LONGEST_LINE + 1):
            self._number += 1
            if len(line) > LONGEST_LINE:
                raise Corrupt(f"{self._path.name}: line {self._number} is longer than {LONGEST_LINE} bytes")
            self.read += len(line)
            yield line
