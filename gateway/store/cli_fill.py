"""``headgate box fill``: lays releases down that came on a carried disk, and tells what the exchange made of them."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import Progress

from appliance.runtime import places
from appliance.runtime.errors import Corrupt, HeadgateError, Refused
from gateway.release import paths, signed
from gateway.release.manifest import Release

PATIENCE = 24 * 3600.0  # seconds for the exchange to take one release in
LOOK = 0.2  # seconds between two looks at whether it has
MOST_METADATA, LARGEST_METADATA = 200_000, 32 << 20  # files of trust metadata that are copied, and bytes of one
SPARE = 64 << 20  # bytes of the disk that copying leaves


@click.command()
@click.argument("disk", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--json", "as_json", is_flag=True, help="Print the result for a program.")
def fill(disk: Path, *, as_json: bool) -> None:
    """Fill the store from DISK, which holds releases as an origin does (releases/CODE/...); both filters judge each file.

    Example: headgate box fill /media/usb
    """
    folder = places.STATE / "store" / "carried"
    with Progress(console=Console(stderr=True), transient=True) as progress:
        found = _releases(disk)
        _lay_down_trust(disk / "trust", folder)
        told = [_fill(source, folder, progress) for source in found]
    if as_json:
        click.echo(json.dumps(told, ensure_ascii=False))
    else:
        for one in told:
            click.echo(f"{one['release']}: {one['stored']} of {one['files']} files are in the store")
            for refusal in one["refused"]:
                click.echo(f"  {refusal['path']}: {refusal['reason']}: {refusal['error']}")
    if any(one["refused"] for one in told):
        raise Refused("not-all", "not everything on the disk was taken in; the lines above say why")


def _releases(disk: Path) -> list[Path]:
    found = sorted(path for path in (disk / "releases").glob("*") if path.is_dir() and not path.is_symlink())
    if not found:
        raise Refused("bad-request", f"{disk} holds no releases: nothing at {disk}/releases/CODE/{paths.MANIFEST}")
    return found


def _fill(source: Path, folder: Path, progress: Progress) -> dict[str, Any]:
    """Lay one release down and wait until the exchange has taken it in."""
    try:
        code = paths.code_of(source.name)
        release = _read(source)
        task = progress.add_task(f"copying {code}", total=sum(file.size for file in release.files.values()))
        with _laid_down(source, folder, code, release) as copied:
            for size in copied:
                progress.advance(task, size)
    except (HeadgateError, OSError) as error:
        reason = error.reason if isinstance(error, Refused) else "corrupt"
        return _told(source.name, 0, 0, [{"path": paths.MANIFEST, "reason": reason, "error": str(error)}])
    progress.update(task, description=f"taking in {code}", total=None)
    told = _await(folder, code)
    progress.remove_task(task)
    return told


def _read(source: Path) -> Release:
    path = source / paths.MANIFEST
    if path.is_symlink() or not path.is_file() or path.stat().st_size > signed.LONGEST:
        raise Corrupt(f"{path} is no manifest")
    return signed.claimed(path.read_bytes())  # whose it really is, the filters say


@contextlib.contextmanager
def _laid_down(source: Path, folder: Path, code: str, release: Release) -> Iterator[Iterator[int]]:
    """Give what copies, piece by piece; afterwards the release is visible to the exchange, and belongs to it."""
    owner = _folders(folder, folder / "releases", folder / "results")
    room = os.statvfs(folder)
    needed = sum(file.size for file in release.files.values())
    if needed + SPARE > room.f_bavail * room.f_frsize:
        raise Refused(
            "store-full", f"{needed} bytes are to be copied; the disk has {room.f_bavail * room.f_frsize}", 507
        )
    (folder / "results" / f"{code}.json").unlink(missing_ok=True)
    coming, target = folder / f"coming-{code}", folder / "releases" / code
    for stale in (coming, target):
        shutil.rmtree(stale, ignore_errors=True)

    def copy() -> Iterator[int]:
        for path in (paths.MANIFEST, *release.files):
            wanted = source / path
            if wanted.is_symlink() or not wanted.is_file():
                continue  # a disk may hold a part: the rest comes over the line
            (coming / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(wanted, coming / path, follow_symlinks=False)
            yield release.files[path].size if path in release.files else 0

    try:
        yield copy()
        for path in (coming, *coming.rglob("*")):
            os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)
        coming.rename(target)
    finally:
        shutil.rmtree(coming, ignore_errors=True)


def _lay_down_trust(source: Path, folder: Path) -> None:
    """Copy the trust metadata of the disk, if it has any: the exchange asks for it where the line is away."""
    found = [path for path in sorted(source.glob("*.json")) if path.is_file() and not path.is_symlink()]
    if not found:
        return
    owner = _folders(folder, folder / "trust")
    for path in found[:MOST_METADATA]:
        if path.stat().st_size <= LARGEST_METADATA:
            shutil.copyfile(path, folder / "trust" / path.name)
            os.chown(folder / "trust" / path.name, owner.st_uid, owner.st_gid)


def _folders(folder: Path, *parts: Path) -> os.stat_result:
    """Make the folders for the exchange, to which the store belongs; return to whom that is."""
    owner = folder.parent.stat()
    for part in (folder, *parts):
        part.mkdir(mode=0o750, exist_ok=True)
        os.chown(part, owner.st_uid, owner.st_gid)
    return owner


def _await(folder: Path, code: str) -> dict[str, Any]:
    result, deadline = folder / "results" / f"{code}.json", time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if result.exists():
            told: dict[str, Any] = json.loads(result.read_bytes())
            result.unlink()
            return told
        time.sleep(LOOK)
    raise Refused(
        "busy", f"the exchange has not taken {code} in for {PATIENCE:.0f} s: journalctl -u headgate-exchange", 503
    )


def _told(code: str, files: int, stored: int, refused: list[dict[str, str]]) -> dict[str, Any]:
    return {"release": code, "files": files, "stored": stored, "refused": refused}
