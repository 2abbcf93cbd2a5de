"""What the guides of the tour work with: the screens, the boxes, the operator's workstation."""

from __future__ import annotations

import json
import re
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from rich.markup import escape

from appliance.runtime.errors import HeadgateError, Unreachable
from gateway.resolver.codes import check_digit
from provisioning.lab.lab import Lab
from provisioning.lab.operator import Operator

SERVICE = "999999"  # the ISLI service code that the lab uses
SCREENS = {"settop": ("headend", "10.20.0.11"), "phone": ("edge", "10.30.0.12")}  # who serves them, and where
UNPUBLISHED = f"/r/{SERVICE}-100000000000009-6/master.m3u8"  # a right code that nobody published
BOXES = ("headend", "edge", "institution")


@dataclass(frozen=True)
class Step:
    """One claim of the tour: what was done, whether it held, and what was seen."""

    step: str
    ok: bool
    seen: dict[str, Any] = field(default_factory=dict)
    flow: str = ""

    def of(self, flow: str) -> Step:
        """Return the step as one of ``flow``."""
        return replace(self, flow=flow)

    def told(self) -> dict[str, Any]:
        """Return the step for a program."""
        return {"flow": self.flow, "step": self.step, "ok": self.ok, "seen": self.seen}

    def lines(self) -> list[str]:
        """Return the step for a terminal: the claim, then what was seen."""
        mark = "[green]✓[/]" if self.ok else "[red]✗[/]"
        seen = [f"    [dim]{escape(str(name)):>18}[/]  {escape(_short(value))}" for name, value in self.seen.items()]
        return [f"{mark} {escape(self.step)}", *seen]


def _short(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 600 else text[:600] + " …"


class Stage:
    """One lab as the guides see it."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.operator = Operator(lab)

    def curl(self, screen: str, path: str, *options: str) -> tuple[int, dict[str, str], str]:
        """Ask ``screen``'s box for ``path`` (``:8080/id/..`` or ``/r/..``) from the screen; return status, headers (lower case), body."""
        out = self.lab.exec(
            screen, ["curl", "-sS", "-i", "--max-time", "20", *options, f"http://{SCREENS[screen][1]}{path}"]
        )
        head, _, body = out.replace("\r\n", "\n").partition("\n\n")
        first, *lines = head.split("\n")
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        return int(first.split()[1]), headers, body

    def metric(self, box: str, name: str, **labels: str) -> float:
        """Return the sum of a box's metric over the series that carry ``labels``, as its telemetry serves it."""
        text = self.operator.text(f"http://{self.address(box)}:9100/metrics")
        total = 0.0
        for line in text.splitlines():
            match = re.match(rf"{re.escape(name)}(?:\{{(.*)\}})? ([0-9.eE+-]+)$", line)
            if match and all(f'{key}="{value}"' in (match[1] or "") for key, value in labels.items()):
                total += float(match[2])
        return total

    def address(self, box: str) -> str:
        """Return the management address of a box."""
        return {"centre": "10.40.0.20", "headend": "10.40.0.11", "edge": "10.40.0.12", "institution": "10.40.0.13"}[box]

    def play(self, address: str) -> dict[str, Any]:
        """Play ``address`` to its end on the television; return duration (seconds), frames and codecs of what was played."""
        probed = json.loads(
            self.lab.exec(
                "settop",
                ["ffprobe", "-v", "error", "-of", "json", "-show_format", "-show_streams", address],
                seconds=60,
            )
        )
        played = self.lab.exec(
            "settop",
            [
                "ffmpeg",
                "-nostdin",
                "-v",
                "error",
                "-progress",
                "pipe:1",
                "-i",
                address,
                "-map",
                "0:v:0",
                "-map",
                "0:a:0",
                "-f",
                "null",
                "-",
            ],
            seconds=120,
        )
        frames = [int(n) for n in re.findall(r"^frame=(\d+)", played, re.MULTILINE)]
        return {
            "seconds": round(float(probed["format"]["duration"]), 1),
            "frames": frames[-1] if frames else 0,
            "renditions": sum(s["codec_type"] == "video" for s in probed["streams"]),
            "codecs": sorted({s["codec_name"] for s in probed["streams"] if s.get("codec_name")}),
        }

    def watch(self, code: str, portal: str, seconds: float = 60) -> list[dict[str, Any]]:
        """Open the portal page in the phone's browser, play ``code`` to its end, and return what the page told."""
        page = f"http://{SCREENS['phone'][1]}/r/{portal}/index.html?id={code}"
        script = (
            "d=$(mktemp -d); chromium --headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run --disable-sync"
            " --disable-background-networking --disable-component-update --autoplay-policy=no-user-gesture-required --enable-logging=stderr"
            ' --user-data-dir=$d "$1" >$d/log 2>&1 & p=$!;'
            ' n=0; until grep -qE "headgate-player .*(ended|failed)" $d/log || [ $n -ge "$2" ]; do sleep 0.2; n=$((n+1)); done;'
            " kill $p; wait $p; grep -o 'headgate-player {.*}' $d/log; rm -rf $d; true"
        )
        out = self.lab.exec("phone", ["sh", "-c", script, "sh", page, str(int(seconds * 5))], seconds=seconds + 30)
        return [
            json.loads(line.removeprefix("headgate-player ").replace('\\"', '"'))
            for line in out.splitlines()
            if line.startswith("headgate-player")
        ]


def new_code(leading: str = SERVICE + "1000") -> str:
    """Return an ISLI code that was not used before, in the library's range, that begins with ``leading``."""
    payload = leading + "".join(secrets.choice("0123456789") for _ in range(len(SERVICE) + 15 - len(leading)))
    return f"{SERVICE}-{payload[6:]}-{check_digit(payload)}"


def until(what: str, true: Callable[[], Any], seconds: float = 30) -> Any:
    """Return what ``true`` returns once it is true; a question that cannot be answered yet is asked again.

    Raises:
        Unreachable: it was not within ``seconds``.
    """
    for last in _ticks(seconds):
        try:
            value, why = true(), ""
        except HeadgateError as error:
            value, why = None, f" ({error})"
        if value:
            return value
        if last:
            raise Unreachable(f"waited {seconds:g} s in vain: {what}{why}")
    raise AssertionError("the ticks end with the last one")


def _ticks(seconds: float) -> Iterator[bool]:
    end = time.monotonic() + seconds
    while True:
        last = time.monotonic() >= end
        yield last
        time.sleep(0.2)
