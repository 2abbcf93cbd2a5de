"""The failures that callers tell apart, by what they do about them."""

from __future__ import annotations

from dataclasses import dataclass


class HeadgateError(Exception):
    """Base of every failure that is not our own mistake."""


@dataclass(frozen=True)
class Fault:
    """One thing wrong in an operator's file: where, what, and the nearest right word if there is one."""

    file: str
    line: int  # from 1
    column: int  # from 1
    path: str  # such as zones.bigscreen.port
    message: str
    source: str = ""  # the line's text
    width: int = 1  # characters to underline
    hint: str = ""

    def render(self) -> str:
        """Return ``file:line:col: path: message`` with the text underlined below it."""
        head = f"{self.file}:{self.line}:{self.column}: " + (f"{self.path}: " if self.path else "") + self.message
        if not self.source:
            return head + (f"   {self.hint}" if self.hint else "")
        mark = " " * (self.column - 1) + "^" * max(1, self.width)
        return f"{head}\n    {self.source}\n    {mark}" + (f"   {self.hint}" if self.hint else "")


class ConfigError(HeadgateError):
    """The operator's file is wrong; ``faults`` holds every fault found in it."""

    def __init__(self, faults: list[Fault]) -> None:
        self.faults = faults
        super().__init__("\n".join(fault.render() for fault in faults))


class Refused(HeadgateError):
    """The request may not be served; ``reason`` is the word for metric, journal and answer, ``str()`` the sentence."""

    def __init__(self, reason: str, sentence: str = "", status: int = 403) -> None:
        self.reason = reason  # kebab-case, from a fixed list per daemon, so that it can be a metric label
        self.status = status  # the HTTP status an answer carries
        self.about: dict[str, str] = {}  # what a record of it says besides, such as which filter refused
        super().__init__(sentence or reason)


class Unreachable(HeadgateError):
    """The other side is away; trying again later may work."""


class Corrupt(HeadgateError):
    """The data is damaged or not what it claims to be; it must be thrown away."""
