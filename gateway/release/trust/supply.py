"""Files that verification waits for: asked for by name, given by whoever can fetch, taken once."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timedelta

from appliance.runtime.errors import Refused
from gateway.release.trust import layout, refusals
from gateway.release.trust.layout import Name, Needed

MOST = 256  # files waited for at once, by all who look something up
LASTS = timedelta(seconds=60)  # for which a file that was given waits to be taken


class Ask(Exception):
    """Verification cannot go on without a file."""

    def __init__(self, needed: Needed) -> None:
        super().__init__(needed.file)
        self.needed = needed


@dataclass(frozen=True)
class _Given:
    data: bytes | None  # None: the origin has no such file
    at: datetime


class Supply:
    """What was asked for and what was given."""

    def __init__(self) -> None:
        self._asked: OrderedDict[str, None] = OrderedDict()
        self._given: dict[str, _Given] = {}
        self.at: datetime | None = None  # when the file that was taken last had been given

    def give(self, file: str, data: bytes | None, now: datetime) -> None:
        """Take a file that was asked for; another is passed over.

        Raises:
            Refused: it is longer than it may be (``too-large``).
        """
        if file not in self._asked:
            return
        largest = layout.parse(file).largest  # one that is longer than the metadata before it says is told as that
        if data is not None and len(data) > largest:
            raise Refused("too-large", f"{file} is longer than {largest} bytes", 413)
        self._given[file] = _Given(data, now)

    def take_or_none(self, name: Name, now: datetime | None = None, largest: int | None = None) -> bytes | None:
        """Return a file that was given, None where the origin has none.

        Raises:
            Ask: it was not given yet.
        """
        given = self._given.pop(name.file, None)
        if given is None or (now is not None and abs(now - given.at) > LASTS):
            self._asked[name.file] = None
            self._asked.move_to_end(name.file)
            while len(self._asked) > MOST:
                self._given.pop(self._asked.popitem(last=False)[0], None)
            raise Ask(Needed(name.file, min(largest or name.largest, name.largest)))
        self._asked.pop(name.file, None)
        self.at = given.at
        return given.data

    def take(self, name: Name, largest: int | None = None) -> bytes:
        """Return a file that was given.

        Raises:
            Ask: it was not given yet.
            Refused: the origin has none (``missing-metadata``).
        """
        data = self.take_or_none(name, None, largest)
        if data is None:
            raise refusals.missing(name)
        return data
