"""A rollout's events as lines for people (one a task, with how it ended on each box) or as JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict

from provisioning.fleet.ansible import Event

Print = Callable[[str], None]


class Lines:
    """Prints a line for each task once the next begins: ``  software unpacked   changed: headend, edge``."""

    def __init__(self, show: Print, *, everything: bool = False) -> None:
        self._show, self._everything = show, everything
        self._task = ""
        self._ended: dict[str, list[str]] = {}

    def __call__(self, event: Event) -> None:
        """Take an event in."""
        if event.kind in ("task", "step"):
            self.flush()
            self._task = event.task
            if event.kind == "step":
                self._show(f"==> {event.task}")
        elif event.kind in ("failed", "unreachable"):
            self._show(f"  {event.host}: {event.kind} at '{event.task}': {event.words}")
        else:
            self._ended.setdefault(event.kind, []).append(event.host)

    def flush(self) -> None:
        """Print the task that ended last."""
        ended = self._ended if self._everything else {kind: h for kind, h in self._ended.items() if kind == "changed"}
        if ended:
            told = "; ".join(f"{kind}: {', '.join(dict.fromkeys(hosts))}" for kind, hosts in sorted(ended.items()))
            self._show(f"  {self._task or 'task':<52} {told}")
        self._ended = {}


class Json:
    """Prints each event as one line of JSON."""

    def __init__(self, show: Print) -> None:
        self._show = show

    def __call__(self, event: Event) -> None:
        """Take an event in."""
        self._show(json.dumps(asdict(event), ensure_ascii=False))

    def flush(self) -> None:
        """Nothing waits here."""
