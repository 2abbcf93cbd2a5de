"""Log lines for people and for journald: one line an event, no time (journald has it)."""

from __future__ import annotations

import logging
import sys


def start(level: int = logging.INFO) -> None:
    """Send log lines to standard error, each with the priority prefix that journald reads (sd-daemon(3))."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Line())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)
    logging.getLogger("tuf").setLevel(logging.WARNING)  # it tells of each key that did not sign, and of each that did


class _Line(logging.Formatter):
    PRIORITIES = ((logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))

    def format(self, record: logging.LogRecord) -> str:
        priority = next((p for level, p in self.PRIORITIES if record.levelno >= level), 7)
        text = f"{record.name}: {record.getMessage()}"
        if record.exc_info:
            text += "\n" + self.formatException(record.exc_info)
        return "\n".join(f"<{priority}>{line}" for line in text.splitlines())
