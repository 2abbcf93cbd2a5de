"""``headgate box carry``: releases from a disk that somebody carried in."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn
from rich.table import Table
from rich.text import Text

from appliance.runtime import places
from appliance.runtime.errors import ConfigError, Fault, HeadgateError, Refused, Unreachable
from gateway.publish.daemon import largest
from gateway.publish.desk import Desk
from gateway.publish.drop import Drop
from gateway.publish.exchange import Exchange
from gateway.publish.folders import bring, read
from gateway.publish.uploads import UNSETTLED
from gateway.release import paths
from gateway.release.reading import Tree

UNIT = "carry-institution"  # the peer of the exchange that root is, with a disk in hand
FREE = 1 << 30  # bytes of the box's disk that stay free
MOST = 10_000  # releases of one disk
MOST_NAMES = 100_000  # names that are looked at to find them
LISTED = 60.0  # seconds that the centre is waited for, to list what came with its listing
PATIENCE = 30.0  # seconds that an exchange which cannot now is asked again


@dataclass(frozen=True)
class Result:
    """What became of one folder."""

    folder: str
    release: str
    version: int
    state: str  # accepted, refused, waiting-for-listing
    reason: str = ""
    sentence: str = ""


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--json", "as_json", is_flag=True, help="Print the results as JSON.")
def carry(folder: Path, *, as_json: bool) -> None:
    """Bring an institution's releases in from a mounted disk: FOLDER itself, the folders in it, or an origin's layout (releases/CODE).

    Nothing on the disk is run, no link is followed, and only files that a manifest names are read. By the same rules as an upload.
    Doing it again brings only what is not in yet. Content of the culture network is brought ahead by 'headgate box fill'.

    Example: headgate box carry /media/usb
    """
    console = Console(stderr=True, highlight=False)
    found = list(releases(folder))
    if not found:
        raise ConfigError([Fault(str(folder), 1, 1, "", f"holds no folder with a {paths.MANIFEST}")])
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=console, transient=True) as progress:
        results = asyncio.run(_carry(found, progress))
    if as_json:
        click.echo(json.dumps([asdict(result) for result in results], ensure_ascii=False))
    else:
        Console(highlight=False).print(_table(results))
    refused = [result for result in results if result.state != "accepted"]
    if refused:
        raise Refused(refused[0].reason, f"{len(refused)} of {len(results)} releases did not come in")


def releases(folder: Path) -> Iterator[Path]:
    """Yield the folders that hold a release: this one, those in it, or those below ``releases``; links are not entered.

    Raises:
        ConfigError: there are too many names.
    """
    if _plain(folder):
        yield folder
        return
    below = folder / "releases"
    root = below if below.is_dir() and not below.is_symlink() else folder
    names, count = [], 0
    with os.scandir(root) as entries:
        for entry in entries:
            count += 1
            if count > MOST_NAMES:
                raise ConfigError([Fault(str(root), 1, 1, "", f"holds more than {MOST_NAMES} names")])
            if entry.is_dir(follow_symlinks=False) and _plain(Path(entry.path)):
                names.append(entry.name)
    if len(names) > MOST:
        raise ConfigError([Fault(str(root), 1, 1, "", f"holds more than {MOST} releases: carry them in parts")])
    for name in sorted(names):
        yield root / name


def _plain(folder: Path) -> bool:
    manifest = folder / paths.MANIFEST
    return manifest.is_file() and not manifest.is_symlink()


async def _carry(found: list[Path], progress: Progress) -> list[Result]:
    drop = places.STATE / "drop" / UNIT
    socket = places.RUN / "exchange" / UNIT / "exchange.sock"
    if not socket.exists():
        told = "the exchange takes no disk in: is it running, and has the policy a lane for releases from institution?"
        raise Unreachable(told)
    try:
        drop.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Unreachable(f"the drop folder cannot be used (are you root?): {error}") from error
    results = []
    async with Exchange(socket) as exchange, asyncio.TaskGroup() as tasks:
        desk = Desk(Drop(drop, FREE), exchange, tasks, largest(drop))
        for number, folder in enumerate(found, 1):
            task = progress.add_task(f"{number}/{len(found)} {folder.name[:40]!a}", total=None)
            results.append(await _one(desk, folder, partial(progress.advance, task)))
            progress.remove_task(task)
        desk.leave()
    return results


async def _one(desk: Desk, folder: Path, progress: Callable[[int], None]) -> Result:
    name, release, version = ascii(folder.name)[1:-1], "", 0
    try:
        with Tree(folder) as tree:
            _, claimed = await read(tree)
            release, version = claimed.code, claimed.version
            upload = await bring(desk, tree, PATIENCE, progress)
            deadline = asyncio.get_running_loop().time() + LISTED
            while upload.state in UNSETTLED and asyncio.get_running_loop().time() < deadline:
                await desk.moved(1)
    except HeadgateError as error:
        reason = error.reason if isinstance(error, Refused) else "unreachable"
        return Result(name, release, version, "refused", reason, str(error))
    if upload.accepted:
        return Result(name, release, version, "accepted")
    if upload.state in UNSETTLED:
        told = f"{upload.waits}; all of it is here: run this again when it is listed"
        return Result(name, release, version, upload.state, "waiting-for-listing", told)
    first = next((part for part in upload.parts.values() if part.refusal is not None), None)
    refusal = (
        upload.refusal
        or (first.refusal if first is not None else None)
        or Refused("unexpected-answer", "the exchange gave no reason")
    )
    where = f"{first.path}: " if first is not None and upload.refusal is None else ""
    return Result(name, release, version, "refused", refusal.reason, f"{where}{refusal}")


def _table(results: list[Result]) -> Table:
    table = Table("folder", "release", "version", "state", "why")
    for result in results:
        style = "green" if result.state == "accepted" else "red"
        why = f"{result.reason}: {result.sentence}" if result.reason else ""
        table.add_row(result.folder, result.release, str(result.version or ""), Text(result.state, style), Text(why))
    return table
