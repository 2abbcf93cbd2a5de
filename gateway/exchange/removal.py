"""Takes the bytes of withdrawn releases out of the store: every object that no other release names which is not withdrawn."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from appliance.runtime.files import sync_folder
from gateway.exchange.register import Register
from gateway.store.objects import Objects


@dataclass(frozen=True)
class Removed:
    """How many objects of how many bytes went, and how many stay because other releases name them too."""

    objects: int = 0
    bytes: int = 0
    kept: int = 0


class Counts(Protocol):
    """Whoever keeps count of the objects in the store (``gateway/store/keeper.py``)."""

    def gone(self, digests: Iterable[str]) -> None:
        """Take note, at once for all, that these objects are gone."""


class Removal:
    """Removes from ``store`` by what the register knows of names."""

    def __init__(self, register: Register, store: Objects, keeper: Counts | None = None) -> None:
        self._register, self._store, self._keeper = register, store, keeper

    def remove(self, codes: Iterable[str], withdrawn: Callable[[str], bool]) -> Removed:
        """Remove the objects of the releases ``codes``; ``withdrawn`` tells of any release whether it is. Durable when it returns."""
        names = dict.fromkeys(sha256 for code in codes for sha256 in self._register.objects(code))
        return self.remove_objects(names, withdrawn)

    def remove_objects(self, names: Iterable[str], withdrawn: Callable[[str], bool]) -> Removed:
        """Remove these objects, but for those that a release which is not withdrawn names."""
        objects = size = kept = 0
        folders, known, gone = set(), dict[str, bool](), list[str]()
        for sha256 in names:
            for code in self._register.others(sha256):
                if not known.setdefault(code, withdrawn(code)):
                    kept += 1
                    break
            else:
                path = self._store.path(sha256)
                try:
                    bytes_ = path.stat().st_size
                    path.unlink()
                except FileNotFoundError:
                    continue
                objects, size = objects + 1, size + bytes_
                folders.add(path.parent)
                gone.append(sha256)
        if self._keeper is not None and gone:
            self._keeper.gone(gone)
        for folder in folders:
            sync_folder(folder)
        return Removed(objects, size, kept)
