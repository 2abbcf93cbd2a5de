"""How whatever takes longer than a second tells what it is at."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.markup import escape
from rich.status import Status


@dataclass
class Progress:
    """Hears of steps and keeps how long each took, in seconds; says nothing by itself."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """Be at ``title`` for as long as the block runs; steps may be nested."""
        began = time.monotonic()
        self.began(title)
        try:
            yield
        except BaseException:
            self.ended(title, time.monotonic() - began, ok=False)
            raise
        self.seconds[title] = time.monotonic() - began
        self.ended(title, self.seconds[title], ok=True)

    def note(self, text: str) -> None:
        """Hear a detail of the current step, such as a line that a builder prints."""

    def __call__(self, text: str) -> None:
        """Hear a detail: progress is handed to whatever only wants a function of a text."""
        self.note(text)

    def began(self, title: str) -> None:
        """Hear that a step begins."""

    def ended(self, title: str, seconds: float, *, ok: bool) -> None:
        """Hear that a step ended."""


@dataclass
class Shown(Progress):
    """Shows steps on a terminal: the current one moving, a line with its time for each that ended."""

    console: Console = field(default_factory=lambda: Console(stderr=True, highlight=False))
    _open: list[str] = field(default_factory=list)
    _status: Status | None = None

    def began(self, title: str) -> None:
        """Show the step as the current one."""
        self._open.append(title)
        self._show()

    def note(self, text: str) -> None:
        """Show the detail beside the current step."""
        self._show(text)

    def ended(self, title: str, seconds: float, *, ok: bool) -> None:
        """Leave a line for the step."""
        self._open.remove(title)
        self.console.print(f"{'[green]done[/]' if ok else '[red]failed[/]'} {escape(title)} [dim]{seconds:.1f} s[/]")
        if self._open:
            self._show()
        elif self._status:
            self._status.stop()
            self._status = None

    def _show(self, detail: str = "") -> None:
        if not self._open:
            return
        title = self._open[-1]
        room = max(20, self.console.width - len(title) - 8)  # one line, beside the moving mark
        text = f"{escape(title)} [dim]{escape(detail[:room])}[/]"
        if not self._status:
            self._status = self.console.status(text)
            self._status.start()
        self._status.update(text)
