"""Load on an HTTP server: as fast as it answers, or so many questions a second; and the processor time of processes."""

import asyncio
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress

AHEAD = bool(os.environ.get("HEADGATE_BENCH_AHEAD"))  # of all others on a machine that is shared; needs root
TICKS = os.sysconf("SC_CLK_TCK")


class Asker(asyncio.Protocol):
    """One connection, one question at a time; ``answered`` is told the seconds of each."""

    def __init__(self, answered) -> None:
        self._answered, self._data, self._begun, self.free = answered, b"", 0.0, True

    def connection_made(self, transport) -> None:
        self._transport = transport

    def ask(self, request: bytes) -> None:
        self.free, self._begun = False, time.perf_counter()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._data += data
        head, end, body = self._data.partition(b"\r\n\r\n")
        if not end:
            return
        low = head.lower()
        at = low.find(b"content-length:")
        length = int(low[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
        if len(body) < length:
            return
        assert head[9:12] in (b"200", b"302"), self._data[:400]
        self._data, self.free = b"", True
        self._answered(self, time.perf_counter() - self._begun)


async def connect(port: int, number: int, answered) -> list[Asker]:
    async with asyncio.timeout(60):
        while True:
            try:
                loop = asyncio.get_running_loop()
                made = [await loop.create_connection(lambda: Asker(answered), "127.0.0.1", port) for _ in range(number)]
                return [protocol for _, protocol in made]
            except OSError:
                await asyncio.sleep(0.05)


async def flat_out(port: int, requests: Sequence[bytes], seconds: float, connections: int = 16) -> list[float]:
    """Ask as fast as answers come; return the seconds of each."""
    times, index, over = list[float](), 0, asyncio.Event()
    end = float("inf")

    def answered(asker: Asker, took: float) -> None:
        nonlocal index
        times.append(took)
        if time.perf_counter() >= end:
            over.set()
            return
        index += 1
        asker.ask(requests[index % len(requests)])

    askers = await connect(port, connections, answered)
    end = time.perf_counter() + seconds
    for asker in askers:
        index += 1
        asker.ask(requests[index % len(requests)])
    await over.wait()
    for asker in askers:
        asker._transport.abort()
    return times


async def paced(
    port: int, requests: Sequence[bytes], rate: float, seconds: float, connections: int = 64
) -> list[float]:
    """Ask ``rate`` times a second, whether answers come or not; return the seconds of each, from when it was due."""
    times, free, due_at = list[float](), list[Asker](), dict[Asker, float]()

    def answered(asker: Asker, _: float) -> None:
        times.append(time.perf_counter() - due_at[asker])
        free.append(asker)

    askers = await connect(port, connections, answered)
    free += askers
    begun, sent = time.perf_counter(), 0
    while (now := time.perf_counter()) < begun + seconds:
        while sent < (now - begun) * rate and free:
            asker = free.pop()
            due_at[asker] = begun + sent / rate
            asker.ask(requests[sent % len(requests)])
            sent += 1
        await asyncio.sleep(0)
    for asker in askers:
        asker._transport.abort()
    return times


@contextmanager
def ahead(pids: Iterable[int]) -> Iterator[None]:
    """Let this process and ``pids`` go before all others for a moment, where ``AHEAD``; then the others have as long for themselves."""
    if not AHEAD:
        yield
        return
    some, begun = [os.getpid(), *pids], time.perf_counter()
    try:
        _schedule(some, os.SCHED_FIFO, 1)
        yield
    finally:
        _schedule(some, os.SCHED_OTHER, 0)
        time.sleep(time.perf_counter() - begun)


def _schedule(pids: Iterable[int], policy: int, priority: int) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):  # PostgreSQL's helpers come and go
            os.sched_setscheduler(pid, policy, os.sched_param(priority))


def processor(pids: Iterable[int]) -> float:
    """Return the processor seconds of processes."""
    total = 0
    for pid in pids:
        try:
            fields = open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()  # noqa: SIM115, PTH123
        except FileNotFoundError:
            continue
        total += int(fields[11]) + int(fields[12])
    return total / TICKS


def waited(pids: Iterable[int]) -> float:
    """Return the seconds that processes were ready to run and had no processor (their first threads)."""
    total = 0
    for pid in pids:
        with suppress(FileNotFoundError):
            total += int(open(f"/proc/{pid}/schedstat").read().split()[1])  # noqa: SIM115, PTH123
    return total / 1e9


def memory(pid: int) -> tuple[int, int]:
    """Return the bytes of a process that are its own, and those of files that it has mapped."""
    found = dict.fromkeys(("RssAnon", "RssFile"), 0)
    for line in open(f"/proc/{pid}/status"):  # noqa: SIM115, PTH123
        name, _, rest = line.partition(":")
        if name in found:
            found[name] = int(rest.split()[0]) * 1024
    return found["RssAnon"], found["RssFile"]


def children(pid: int) -> list[int]:
    """Return a process and its children."""
    try:
        listed = open(f"/proc/{pid}/task/{pid}/children").read().split()  # noqa: SIM115, PTH123
    except FileNotFoundError:
        return [pid]
    return [pid, *(one for child in listed for one in children(int(child)))]


def hundredth(times: Sequence[float], part: float = 0.99) -> float:
    """Return the seconds that only so small a part was slower than."""
    return sorted(times)[min(len(times) - 1, int(len(times) * part))]
