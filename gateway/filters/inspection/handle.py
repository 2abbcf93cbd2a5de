"""One worker process, as the daemon sees it: asked by messages, and ended whatever it does."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import select
import signal
import socket
from collections.abc import Callable
from typing import Any

from appliance.runtime.errors import Refused
from gateway.filters.inspection import metrics

LONGEST_PATIENCE = 20.0  # seconds for one piece
PATIENCE = min(LONGEST_PATIENCE, float(os.environ.get("HEADGATE_INSPECTION_PATIENCE", "20")))  # tests make it shorter
LONGEST = 16 << 10  # bytes of a message
log = logging.getLogger("headgate.inspection")


class Worker:
    """One process at the other end of ``channel``; ``process`` is a pidfd, since numbers are used again."""

    def __init__(self, channel: socket.socket, process: int, ended: Callable[[], None]) -> None:
        self._channel, self._process, self._ended = channel, process, ended

    async def ask(self, told: dict[str, Any], what: str) -> int:
        """Return up to which byte the object passed.

        Raises:
            Refused: it does not pass; ``filter-failed`` where the process ended, or did not answer in time, and was ended.
        """
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(PATIENCE):
                await loop.sock_sendall(self._channel, json.dumps(told).encode())
                message = await loop.sock_recv(self._channel, LONGEST)
        except TimeoutError as error:
            raise self._failed(f"the inspection of {what} took longer than {PATIENCE:.0f} seconds", "hung") from error
        except OSError as error:
            raise self._failed(f"the inspection of {what} broke off: {error}", "crashed") from error
        if not message:
            raise self._failed(f"the process that inspected {what} ended", "crashed")
        try:
            answer = json.loads(message)
            if "verified" in answer:
                return int(answer["verified"])
            refused = Refused(str(answer["reason"]), str(answer["error"]), int(answer["status"]))
        except (ValueError, KeyError, TypeError) as error:
            raise self._failed(f"the process that inspected {what} spoke nonsense", "crashed") from error
        raise refused

    @property
    def alive(self) -> bool:
        """Return whether the process runs: a pidfd is readable once it has ended."""
        return self._process >= 0 and not select.select([self._process], [], [], 0)[0]

    def end(self) -> None:
        """End the process, whatever it does."""
        if self._process >= 0:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._process, signal.SIGKILL)
            os.close(self._process)
            self._process = -1
            self._ended()
        self._channel.close()

    def _failed(self, sentence: str, how: str) -> Refused:
        metrics.FAILED.labels(how).inc()
        log.error("%s", sentence)
        return Refused("filter-failed", sentence, 503)
