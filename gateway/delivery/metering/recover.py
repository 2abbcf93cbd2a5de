"""Ends what a killed process left running: counts it, once, with what left."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path

from gateway.delivery.metering.slots import Slot, Slots
from gateway.delivery.metering.window import Window, windows

RUNNING = "running"  # the file of slots
log = logging.getLogger("headgate.delivery")


def recover(folder: Path, left_of: Callable[[Slot], int], now: Callable[[], float] = time.time) -> int:
    """Count what slots say was under way, each with the bytes that ``left_of`` tells; return how many there were."""
    ended = 0
    opened = {window.number: window for window in (Window(path, _number(path)) for path in windows(folder))}
    with Slots(folder / RUNNING) as slots:
        if (ticket := slots.marking()) is not None:
            for window in opened.values():
                window.undo(ticket)
            slots.unmark()
        for slot in slots.all():
            at, number = opened.get(slot.cell >> 32), slot.cell & 0xFFFFFFFF
            if at is None or number >= len(at):
                log.error("a delivery under way belongs to no window: %d bytes are not counted", slot.noted)
            elif not at.counted(number, slot.ticket):
                left = max(0, min(slot.count, left_of(slot)))
                seconds = max(0.0, now() - slot.started)
                at.count(number, slot.ticket, slot.first, left, slot.started, seconds, left < slot.count and slot.first)
                ended += 1
            slots.clear(slot.index)
    for at in opened.values():
        at.close()
    return ended


def noted(slot: Slot) -> int:
    """Return what had left of a slot's content when one looked last: all that is known where nobody survived."""
    return slot.noted


def _number(path: Path) -> int:
    return int(path.name.split("-", 1)[0])
