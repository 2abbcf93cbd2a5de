"""``headgate release channel`` makes a live channel's release, ``headgate release live`` signs what a packager writes for it."""

from __future__ import annotations

import contextlib
import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Event

import click
from rich.console import Console

from appliance.identity.keys import PrivateKey, PublicKey
from appliance.runtime.errors import ConfigError
from appliance.runtime.files import write_atomic
from gateway.release import folder as folders
from gateway.release import paths, signed
from gateway.release.live.channel import build, channel_at, fault
from gateway.release.live.follow import Folder
from gateway.release.live.outlet import Outlet
from gateway.release.live.packager import Signer, Turn, alone
from gateway.resolver import codes

LOOK = 0.05  # seconds between two looks at the packager's folder
FOLDER = click.Path(path_type=Path, exists=True, file_okay=False)
KEY = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.command()
@click.argument("folder", type=FOLDER)
@click.option("--id", "identifier", required=True, help="The ISLI code it goes by.")
@click.option("--body", required=True, help="The admitted organisation that signs it, as policies name it.")
@click.option("--title", required=True, help="What people see.")
@click.option("--description", default="", help="A longer text for people.")
@click.option("--label", "labels", multiple=True, help="A word of classification; may be repeated.")
@click.option("--entry", required=True, help="The playlist that a player opens, such as index.m3u8 or live.mpd.")
@click.option("--zones", required=True, help="Zones whose screens may show it, with commas: bigscreen,smallscreen")
@click.option(
    "--packager", required=True, help="The packager's public key (ed25519:...), as 'headgate key show' prints it."
)
@click.option("--segment", type=float, required=True, help="Seconds of a segment, at most 60.")
@click.option("--window", type=int, required=True, help="Segments that a playlist names at once.")
@click.option("--largest", type=int, default=64 << 20, show_default=True, help="Bytes of the largest segment.")
@click.option("--version", type=int, help="Its number; without it, one more than the release.json that is there.")
@click.option("--key", type=KEY, required=True, help="The body's private key.")
@click.option("--json", "as_json", is_flag=True, help="Print what was made as JSON.")
def channel(
    folder: Path,
    identifier: str,
    zones: str,
    packager: str,
    segment: float,
    window: int,
    largest: int,
    version: int | None,
    key: Path,
    *,
    as_json: bool,
    **told: object,
) -> None:
    """Write FOLDER/release.json of a live channel, signed by its body; files in FOLDER (a poster, say) become part of it.

    Example: headgate release channel channel/ --id 999999-100000000000001-4 --body guangxi-library --title 广西卫视 --entry index.m3u8
    --zones bigscreen,smallscreen --packager ed25519:Q2h...= --segment 2 --window 6 --key library.key
    """
    code = codes.parse(identifier if ":" in identifier else f"isli:{identifier}")
    private = PrivateKey.load(key)
    try:
        PublicKey.parse(packager)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--packager") from error
    if version is None:
        before = folders.read_claimed(folder)
        version = 1 if before is None else before[1].version + 1
    others = any(path.name not in (paths.MANIFEST, paths.LISTING, paths.DESCRIPTION) for path in folder.iterdir())
    files = folders.gather(folder, folders.survey(folder)) if others else {}
    if inside := [path for path in files if path.startswith("live/")]:
        raise ConfigError([fault(folder / path, "'live/' is where the segments come") for path in inside])
    release = build(
        {
            **told,
            "identifier": code.canonical,
            "version": version,
            "rights": {"zones": tuple(zone.strip() for zone in zones.split(","))},
            "files": files,
            "live": {"key": packager, "segment": segment, "window": window, "largest": largest},
        },
        folder,
    )
    write_atomic(folder / paths.MANIFEST, signed.seal(release, private))
    made = {"identifier": release.identifier, "version": release.version, "entry": release.entry, "packager": packager}
    if as_json:
        click.echo(json.dumps(made, ensure_ascii=False))
    else:
        _say(
            f"{release.identifier} version {release.version} of {release.body}: channel {release.title}, {release.entry}"
        )


@click.command()
@click.argument("folder", type=FOLDER)
@click.option("--id", "identifier", required=True, help="The channel's ISLI code.")
@click.option("--key", type=KEY, required=True, help="The packager's private key, whose public one the channel names.")
@click.option("--to", "origin", type=FOLDER, required=True, help="The folder that an origin's web server serves.")
@click.option(
    "--until-end", is_flag=True, help="Return once the packager ended its playlists (a programme, not a channel)."
)
@click.option("--json", "as_json", is_flag=True, help="Print each thing that happens as a line of JSON.")
def live(folder: Path, identifier: str, key: Path, origin: Path, *, until_end: bool, as_json: bool) -> None:
    """Sign what a running packager (ffmpeg) writes into FOLDER, and put it at an origin, until Ctrl-C or SIGTERM.

    Segments go before the playlist that names them, each with its .sig; what left the window is removed. Killed and started again, it
    goes on. The channel itself must be published before (headgate release channel, then publish).

    Example: headgate release live out/ --id 999999-100000000000001-4 --key packager.key --to /srv/origin
    """
    code = codes.parse(identifier if ":" in identifier else f"isli:{identifier}").text
    private = PrivateKey.load(key)
    release, told = channel_at(origin, code, private)
    outlet = Outlet(origin, code, told, private)
    stop = Event()
    with alone(outlet.folder), _told_to_end(stop):
        before = outlet.begin()
        watcher = _Watcher(release.title, as_json=as_json)
        watcher.began(before)
        signer = Signer(Folder(folder), outlet, told)
        while not stop.wait(LOOK):
            turn = signer.turn(time.time())
            watcher.saw(turn, len(outlet))
            if until_end and turn.state == "ended":
                break
        watcher.ended()


@contextlib.contextmanager
def _told_to_end(stop: Event) -> Iterator[None]:
    """Set ``stop`` on Ctrl-C and SIGTERM, as long as the context lasts."""
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Watcher:
    """Tells people one line that changes and what they must know, programs a line of JSON a thing."""

    def __init__(self, title: str, *, as_json: bool) -> None:
        self._title, self._json = title, as_json
        self._console = Console(stderr=True, highlight=False, soft_wrap=True)
        self._status = self._console.status(f"{title}: waiting for the first playlist")
        self._state, self._faults = "waiting", tuple[str, ...]()
        self._files, self._bytes = 0, 0

    def began(self, files: int) -> None:
        """The signer is there."""
        if self._json:
            self._line({"event": "ready", "files": files})
        else:
            self._status.start()

    def saw(self, turn: Turn, kept: int) -> None:
        """A turn was made."""
        for path, size in turn.signed:
            self._files, self._bytes = self._files + 1, self._bytes + size
            if self._json:
                self._line({"event": "signed", "path": path, "bytes": size})
        for fault_ in turn.faults if turn.faults != self._faults else ():
            self._tell({"event": "fault", "fault": fault_}, fault_, "yellow")
        self._faults = turn.faults
        if turn.state != self._state:
            self._state = turn.state
            sentence = {
                "live": "the packager writes",
                "stopped": "the packager has stopped: no playlist was written for three segments; the box shows what is left of the window",
                "ended": "the packager ended the playlist",
            }.get(turn.state, "waiting for the first playlist")
            self._tell(
                {"event": turn.state}, f"{self._title}: {sentence}", "red" if turn.state == "stopped" else "green"
            )
        if not self._json and turn.newest is not None:
            self._status.update(
                f"{self._title}: {self._files} signed, {self._bytes / 1e6:.1f} MB, {kept} at the origin, "
                f"the last playlist {max(0.0, time.time() - turn.newest):.1f} s ago"
            )

    def ended(self) -> None:
        """The signer goes."""
        self._status.stop()
        self._tell({"event": "done", "files": self._files}, f"{self._title}: {self._files} files signed", "")

    def _tell(self, told: dict[str, object], sentence: str, style: str) -> None:
        if self._json:
            self._line(told)
        else:
            self._console.print(sentence, style=style, markup=False)

    def _line(self, told: dict[str, object]) -> None:
        click.echo(json.dumps(told, ensure_ascii=False))


def _say(text: str) -> None:
    Console(highlight=False, soft_wrap=True).print(text, markup=False)
