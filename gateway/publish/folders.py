"""A folder with a release in it -> the desk: only what its manifest names is opened, and no link is followed."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable

from appliance.runtime.errors import Corrupt, HeadgateError, Refused
from gateway.publish.desk import Desk
from gateway.publish.exchange import passing
from gateway.publish.uploads import UNSETTLED, Part, Upload
from gateway.release import signed
from gateway.release.manifest import Release
from gateway.release.reading import Tree

PIECE = 1 << 20  # bytes read at once
AHEAD = 4  # files that wait to be taken in while the next is read
MOST_NAMED = 3  # absent files that a sentence names
AGAIN = 1.0  # seconds until the exchange is asked again where it could not

Progress = Callable[[int], None]  # told the bytes that were just read


async def read(tree: Tree) -> tuple[bytes, Release]:
    """Return the envelope in a folder and what it claims.

    Raises:
        Refused: there is none that can be read (``absent``, ``no-plain-file``), or it is no release (``not-signed``).
    """
    try:
        envelope = await asyncio.to_thread(tree.envelope)
        return envelope, await asyncio.to_thread(signed.claimed, envelope)
    except Corrupt as error:
        raise Refused("not-signed", f"release.json is no signed release: {error}") from error


async def bring(desk: Desk, tree: Tree, patience: float, progress: Progress = lambda _: None) -> Upload:
    """Bring the release in a folder in, and return how it ended, or that all of it waits for its listing. Nothing that the box has is read.

    ``patience`` (seconds) bounds how long an exchange that cannot now is asked again.

    Raises:
        Refused: the release as a whole is refused, or files of it are not in the folder.
        Unreachable: the exchange is away.
    """
    envelope, release = await read(tree)
    lacking = await asyncio.to_thread(tree.lacks, release)
    if lacking:
        first = list(lacking.values())[:MOST_NAMED]
        more = f", and {len(lacking) - MOST_NAMED} more" if len(lacking) > MOST_NAMED else ""
        raise Refused(first[0].reason, "; ".join(map(str, first)) + more)
    listing = await asyncio.to_thread(tree.listing)
    if listing is not None:
        await desk.hand_in(release.code, listing)
    upload = await _begin(desk, release.code, envelope, patience)
    while not upload.accepted and upload.state in UNSETTLED:
        wanted = [part for part in upload.parts.values() if part.stage == "wanted"]
        if upload.listing and not wanted:
            return upload
        for part in wanted:
            await desk.write(upload, part, part.offset, part.size - part.offset, _pieces(tree, part, progress))
            while not upload.listing and sum(other.stage == "whole" for other in upload.parts.values()) >= AHEAD:
                await desk.moved(1)
        if not wanted:
            await desk.moved(1)
    return upload


async def _begin(desk: Desk, code: str, envelope: bytes, patience: float) -> Upload:
    deadline = asyncio.get_running_loop().time() + patience
    while True:
        try:
            return await desk.begin(code, envelope)
        except HeadgateError as error:
            if not passing(error) or asyncio.get_running_loop().time() > deadline:
                raise
        await asyncio.sleep(AGAIN)


async def _pieces(tree: Tree, part: Part, progress: Progress) -> AsyncIterator[bytes]:
    descriptor = await asyncio.to_thread(tree.open, part.path)
    with contextlib.closing(os.fdopen(descriptor, "rb", buffering=0)) as file:
        file.seek(part.offset)
        left = part.size - part.offset
        while left:
            piece = await asyncio.to_thread(file.read, min(PIECE, left))
            if not piece:
                raise Refused("absent", f"'{part.path}' became shorter while it was read")
            left -= len(piece)
            progress(len(piece))
            yield piece
