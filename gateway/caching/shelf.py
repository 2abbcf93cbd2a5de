"""What one zone keeps, in memory: found by key, tag and prefix; the one not used for longest goes first where there is no room."""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Collection, Iterable
from dataclasses import replace

from gateway.caching import fields as headers
from gateway.caching.stored import Stored

MOST_BYTES = 2 << 30  # of bodies
MOST_STORED = 200_000  # responses
MOST_VARIANTS = 32  # responses of one key
MOST_TAGS = 64  # tags of one response; what is beyond is not heeded
LONGEST_TAG = 256  # characters
HEAD = 1024  # bytes that a response counts for beside its body


class Shelf:
    """Stored responses by their key; bounded in bytes and in number."""

    def __init__(self, most_bytes: int = MOST_BYTES, most: int = MOST_STORED) -> None:
        self.most_bytes, self._most = most_bytes, most
        self._all: OrderedDict[str, Stored] = OrderedDict()  # by id, the one used last at the end
        self._by_key: dict[str, list[str]] = {}
        self._by_tag: defaultdict[str, set[str]] = defaultdict(set)
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._all)

    def find(self, key: str) -> list[Stored]:
        """Return the responses kept under ``key``."""
        return [self._all[one] for one in self._by_key.get(key, ())]

    def get(self, one: str) -> Stored | None:
        """Return the response of this id, or None where it went."""
        return self._all.get(one)

    def use(self, stored: Stored) -> None:
        """Note that the response was used."""
        if stored.id in self._all:
            self._all.move_to_end(stored.id)

    def put(self, stored: Stored) -> list[str]:
        """Keep the response instead of one of the same key and selecting fields; return the ids of those that went."""
        gone = [other.id for other in self.find(stored.key) if other.id != stored.id and other.vary == stored.vary]
        gone += (
            self._by_key.get(stored.key, [])[: -MOST_VARIANTS + 1]
            if len(self.find(stored.key)) >= MOST_VARIANTS
            else []
        )
        for one in [stored.id, *gone]:
            self.remove(one)
        self._all[stored.id] = stored
        self._by_key.setdefault(stored.key, []).append(stored.id)
        for tag in tags(stored.fields):
            self._by_tag[tag].add(stored.id)
        self.bytes += stored.held + HEAD
        while len(self._all) > 1 and (self.bytes > self.most_bytes or len(self._all) > self._most):
            oldest = next(iter(self._all))
            self.remove(oldest)
            gone.append(oldest)
        return gone

    def remove(self, one: str) -> bool:
        """Forget the response of this id; return whether it was there."""
        stored = self._all.pop(one, None)
        if stored is None:
            return False
        self.bytes -= stored.held + HEAD
        under = self._by_key[stored.key]
        under.remove(one)
        if not under:
            del self._by_key[stored.key]
        for tag in tags(stored.fields):
            self._by_tag[tag].discard(one)
            if not self._by_tag[tag]:
                del self._by_tag[tag]
        return True

    def chosen(self, wanted: Collection[str] = (), key: str | None = None, prefix: str | None = None) -> list[Stored]:
        """Return what carries one of these tags exactly, or has this key, or a key that begins with ``prefix``."""
        found: Iterable[str] = {one for tag in wanted for one in self._by_tag.get(tag, ())}
        if key is not None:
            found = {*found, *self._by_key.get(key, ())}
        if prefix is not None:
            found = {*found, *(one.id for one in self._all.values() if one.key.startswith(prefix))}
        return [self._all[one] for one in found]

    def soften(self, stored: Stored) -> Stored:
        """Make the response stale, keeping it for validation and for while the origin is away; return it."""
        self._all[stored.id] = soft = replace(stored, soft=True)
        return soft


def tags(fields: Iterable[tuple[str, str]]) -> list[str]:
    """Return the tags of a response: ``Cache-Tag`` parts them by commas, ``Surrogate-Key`` by spaces."""
    fields = tuple(fields)
    found = headers.members(fields, "cache-tag") + " ".join(headers.values(fields, "surrogate-key")).split()
    return [tag for tag in dict.fromkeys(found) if len(tag) <= LONGEST_TAG][:MOST_TAGS]
