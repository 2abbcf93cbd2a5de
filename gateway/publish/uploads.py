"""A release on its way in: what is wanted, what is there, what was refused. Pure: nothing here reads, writes or waits."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from appliance.runtime.errors import Refused
from gateway.release.manifest import Release

MOST_TOLD = 1000  # files named in one answer; the others are named when these are in

State = Literal["incomplete", "waiting-for-listing", "checking", "accepted", "refused"]
UNSETTLED = ("incomplete", "waiting-for-listing", "checking")
Stage = Literal["wanted", "whole", "stored", "refused"]


@dataclass
class Part:
    """The bytes of one digest, which one or more paths of the release name."""

    sha256: str
    size: int  # bytes
    paths: list[str]  # that name it and are to be taken in
    offset: int = 0  # bytes that are here
    stage: Stage = "wanted"
    refusal: Refused | None = None

    @property
    def path(self) -> str:
        """The first path that names it."""
        return self.paths[0]

    def judge(self, offset: int, length: int | None) -> None:
        """Judge whether ``length`` bytes (None: unknown) may be appended at ``offset``.

        Raises:
            Refused: they do not go on from what is here (``offset-mismatch``), or are too many (``too-large``).
        """
        if self.stage in ("whole", "stored") or offset != self.offset:
            raise Refused("offset-mismatch", f"'{self.path}': {self.offset} bytes of {self.size} are here", 409)
        if length is not None and offset + length > self.size:
            raise Refused("too-large", f"'{self.path}' has {self.size} bytes by its manifest", 413)

    def take(self, offset: int) -> bool:
        """Note that ``offset`` bytes are here now; return whether that is all."""
        self.offset = offset
        if offset == self.size and self.stage == "wanted":
            self.stage = "whole"
        return self.stage == "whole"

    def again(self) -> None:
        """Want the whole once more."""
        self.offset, self.stage, self.refusal = 0, "wanted", None


@dataclass
class Upload:
    """One version of a release on its way in; ``parts`` are what the box did not have when it was offered, by digest."""

    release: Release
    envelope: bytes
    touched: float  # monotonic seconds of the last byte
    parts: dict[str, Part] = field(default_factory=dict)
    accepted: bool = False
    refusal: Refused | None = None  # of the release as a whole
    ending: bool = False  # the exchange is being asked to take it in as a whole
    waits: str = ""  # why the exchange has to be asked again
    listing: bool = False  # what its body signed waits for the centre to name it; until then nothing is taken in

    def want(self, paths: list[str], offsets: dict[str, int]) -> list[Part]:
        """Want what these paths name, of which ``offsets`` (digest -> bytes) are here; return what is whole already."""
        for path in paths:
            file = self.release.files[path]
            part = self.parts.get(file.sha256)
            if part is None:
                part = self.parts[file.sha256] = Part(file.sha256, file.size, [path])
            elif part.stage == "stored":  # and is not any more, or not as what this path is served as
                part.paths = [path]
                part.again()
            elif path not in part.paths:
                part.paths.append(path)
            if part.stage == "wanted":
                part.take(offsets.get(file.sha256, 0))
        return [part for part in self.parts.values() if part.stage == "whole"]

    @property
    def bytes_wanted(self) -> int:
        """Bytes that are still to come."""
        return sum(part.size - part.offset for part in self.parts.values() if part.stage == "wanted")

    @property
    def settled(self) -> bool:
        """Whether nothing is left to be sent or taken in."""
        if self.listing and self.refusal is None:
            return False
        return self.refusal is not None or all(part.stage in ("stored", "refused") for part in self.parts.values())

    @property
    def state(self) -> State:
        """How it stands, in one word."""
        if self.accepted:
            return "accepted"
        refused = any(part.stage == "refused" for part in self.parts.values())
        if self.refusal is not None or (refused and self.settled):
            return "refused"
        if self.listing:
            return "waiting-for-listing"
        return "incomplete" if any(part.stage == "wanted" for part in self.parts.values()) else "checking"

    def told(self) -> dict[str, Any]:
        """Return the answer to a question about it."""
        wanted = [part for part in self.parts.values() if part.stage == "wanted"]
        refused = [part for part in self.parts.values() if part.refusal is not None]
        told: dict[str, Any] = {
            "release": self.release.code,
            "version": self.release.version,
            "state": self.state,
            "files": len(self.release.files),
            "wanted": len(wanted),
            "missing": [
                {
                    "path": part.path,
                    "size": part.size,
                    "offset": part.offset,
                    "upload": f"/releases/{self.release.code}/files/{part.sha256}",
                }
                for part in wanted[:MOST_TOLD]
            ],
            "refused": [
                {"path": part.path, "reason": part.refusal.reason, "error": str(part.refusal)}
                for part in refused[:MOST_TOLD]
                if part.refusal is not None
            ],
        }
        if self.refusal is not None:
            told |= {"reason": self.refusal.reason, "error": str(self.refusal)}
        elif self.waits:
            told["waits"] = self.waits
        return told
