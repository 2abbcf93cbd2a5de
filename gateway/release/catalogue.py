"""Where releases can be looked up: a folder, an origin's folder or its web server, the controller."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

import aiohttp
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from appliance.runtime.errors import Corrupt, HeadgateError, Refused, Unreachable
from gateway.release import folder as folders
from gateway.release import paths, signed
from gateway.release.manifest import Release

SECONDS = 15.0  # for one answer
LONGEST_LIST = 64 << 20  # bytes of the controller's answer
MOST = 100_000  # releases of one list
AT_ONCE = 1000  # releases that the controller is asked for at a time


class Kept(BaseModel):
    """At how many boxes a release is."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    admitted: int = 0
    stored: int = 0  # whole
    part: int = 0
    refused: int = 0


class Refusal(BaseModel):
    """A box that refuses a release, and why."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    box: str = Field(max_length=100)
    reason: str = Field(max_length=100)


@dataclass(frozen=True)
class Wanted:
    """Which releases are wanted; an empty text: any."""

    query: str = ""  # in title, code or body
    state: str = ""
    body: str = ""
    label: str = ""

    def of(self, line: Listed, labels: Collection[str]) -> bool:
        """Return whether a release of an origin's folder is."""
        texts = (line.title, line.release, line.body)
        return (
            (not self.query or any(self.query.casefold() in text.casefold() for text in texts))
            and self.state in ("", line.state)
            and self.body in ("", line.body)
            and (not self.label or self.label in labels)
        )


class Listed(BaseModel):
    """One line of a list."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    release: str = Field(max_length=100)
    version: int = 0
    body: str = ""
    title: str = ""
    state: str = "published"
    zones: tuple[str, ...] = ()
    bytes: int | None = None
    published: int = 0  # the version that the origin has, as the controller knows it
    boxes: Kept = Kept()
    reason: str = ""  # of the last refusal
    refusals: tuple[Refusal, ...] = Field((), max_length=100)
    order: int | None = None  # by which it is withdrawn
    error: str = ""


EVERYTHING = Wanted()


def listed(origin: Path, wanted: Wanted = EVERYTHING) -> list[Listed]:
    """Return what is ``wanted`` of an origin's folder; a release that cannot be read is in the list with what is wrong with it."""
    found = []
    for place in sorted((origin / "releases").glob("*"))[:MOST]:
        if not place.is_dir():
            continue
        name = paths.shown(place.name)[:100]
        try:
            claimed = folders.read_claimed(place)
            if claimed is None:
                found.append(Listed(release=name, state="unfinished", error="no manifest: publish it again"))
                continue
            release = claimed[1]
            if release.code != place.name:
                raise Corrupt(f"its manifest is of {release.code}")
        except (HeadgateError, OSError) as error:
            found.append(Listed(release=name, state="damaged", error=str(error)))
        else:
            line = line_of(release)
            found += [line] if wanted.of(line, release.labels) else []
    return found


def line_of(release: Release) -> Listed:
    """Return the line that tells of ``release``."""
    return Listed(
        release=release.code,
        version=release.version,
        body=release.body,
        title=release.title,
        zones=release.rights.zones,
        bytes=sum(file.size for file in release.files.values()),
    )


def asked(controller: str, wanted: Wanted = EVERYTHING) -> list[Listed]:
    """Return the releases that the controller at ``controller`` (http://HOST:PORT) tells of and that are ``wanted``.

    Raises:
        Unreachable: nobody answers.
        Refused: it refuses.
        Corrupt: its answer is none.
    """
    found: dict[str, Listed] = {}  # a release may move to a later page while they are asked for
    for page in range(1, MOST // AT_ONCE + 1):
        asks = {"limit": AT_ONCE, "page": page, "q": wanted.query, "state": wanted.state}
        asks |= {"body": wanted.body, "label": wanted.label}
        query = urlencode({name: value for name, value in asks.items() if value})
        data = _get(f"{controller.rstrip('/')}/api/releases?{query}", LONGEST_LIST)
        try:
            answer = _Answer.model_validate_json(data)
        except ValidationError as error:
            raise Corrupt("the controller's answer is no list of releases") from error
        found.update((each.release, each) for each in answer.releases)
        if page >= answer.pages:
            break
    return list(found.values())


def envelope_at(origin: str, code: str) -> bytes:
    """Return the envelope of ``code`` at the origin's web server ``origin`` (http://HOST:PORT).

    Raises:
        Unreachable, Refused: as ``asked``.
    """
    return _get(f"{origin.rstrip('/')}/releases/{paths.code_of(code)}/{paths.MANIFEST}", signed.LONGEST)


class _Answer(BaseModel):
    releases: tuple[Listed, ...] = Field(max_length=MOST)
    pages: int = 1


def _get(url: str, longest: int) -> bytes:
    try:
        return asyncio.run(_read(url, longest))
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        raise Unreachable(f"{url} cannot be asked: {error or 'no answer in time'}") from error


async def _read(url: str, longest: int) -> bytes:
    timeout = aiohttp.ClientTimeout(total=SECONDS)
    async with aiohttp.ClientSession(timeout=timeout) as session, session.get(url, allow_redirects=False) as response:
        if response.status == 404:
            raise Refused("unknown-release", f"{url}: there is no such thing", 404)
        if response.status != 200:
            raise Refused("unexpected-answer", f"{url} answers {response.status}", 502)
        parts, size = [], 0
        async for chunk in response.content.iter_chunked(1 << 18):
            size += len(chunk)
            if size > longest:
                raise Refused("too-large", f"the answer is longer than {longest} bytes", 413)
            parts.append(chunk)
        return b"".join(parts)
