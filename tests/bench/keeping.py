"""Byte hits of what the store keeps: LRU, SIEVE, S3-FIFO and the choice among them, against Belady's, on five traces made here.

Belady looks into the future and lets go what is needed last: near the most that any policy could serve. Each trace is a day and says of
what kind it is; they are models, so that anybody gets the same ones. ``libcachesim`` (not a dependency) checks LRU, where it is installed.
"""

from __future__ import annotations

import bisect
import hashlib
import heapq
import importlib
import itertools
import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from gateway.store.policies import DEFAULT, KNOWN
from gateway.store.shadow import Shadows
from gateway.store.shelf import Cache

REQUESTS = 250_000  # of each trace
DAY = 86_400.0  # seconds that it takes
ROOMS = (0.01, 0.05, 0.2)  # of the bytes of all objects of the trace
RUNGS = (400_000, 900_000, 2_000_000, 3_500_000)  # bytes of six seconds of each quality
SHARES = (0.1, 0.2, 0.5, 0.2)  # of the screens that play it


@dataclass
class Trace:
    """Requests in order: the object, its bytes."""

    name: str
    keys: list[str]
    sizes: list[int]

    @property
    def footprint(self) -> int:
        """The bytes of all objects."""
        return sum(dict(zip(self.keys, self.sizes, strict=True)).values())


def main() -> None:
    """Run the benchmark and print what was measured."""
    names = [*sorted(KNOWN), "auto", "belady"]
    print(f"\nbyte hits in % ({REQUESTS:,} requests each); auto begins with {DEFAULT} and is judged by its own choices")
    print(f"  {'trace':34}{'room':>6}  " + "".join(f"{name:>9}" for name in names) + "   chosen at last; regret told")
    gains: dict[str, list[float]] = {name: [] for name in names}
    for make in (prime_time, catch_up, web, bookhouse, shift):
        trace = make(random.Random(make.__name__))
        for part in ROOMS:
            room = int(trace.footprint * part)
            hits = {name: plain(trace, Cache(keep, room)) for name, keep in sorted(KNOWN.items())}
            hits["auto"], shadows, changes = auto(trace, room)
            hits["belady"] = belady(trace, room)
            print(
                f"  {trace.name:34}{part:6.0%}  "
                + "".join(f"{100 * hits[name]:9.2f}" for name in names)
                + f"   {shadows.choice} ({changes} changes); {100 * shadows.regret():.2f}"
            )
            for name, hit in hits.items():
                gains[name].append((hit - hits["lru"]) / (1 - hits["lru"]))
            check(trace, room, hits["lru"])
    print(
        f"  {'bytes not served, less than LRU, mean':42}"
        + "".join(f"{100 * mean(gains[name]):8.1f}%" for name in names)
    )
    print(f"  {'the worst of the 15':42}" + "".join(f"{100 * min(gains[name]):8.1f}%" for name in names))
    trace = web(random.Random("cost"))
    for name, keep in sorted(KNOWN.items()):
        began = time.perf_counter()
        plain(trace, Cache(keep, trace.footprint // 20))
        print(f"  cost of a request in memory, {name}: {(time.perf_counter() - began) / REQUESTS * 1e6:.1f} us")


def mean(values: list[float]) -> float:
    """Return the mean."""
    return sum(values) / len(values)


def key(text: str) -> str:
    """Return what stands for an object's digest: the shadows sample by it."""
    return hashlib.sha256(text.encode()).hexdigest()


def plain(trace: Trace, cache: Cache) -> float:
    """Return the share of bytes that a cache serves."""
    served = asked = 0
    for digest, size in zip(trace.keys, trace.sizes, strict=True):
        asked += size
        if cache.access(digest, size):
            served += size
    return served / asked


def auto(trace: Trace, room: int) -> tuple[float, Shadows, int]:
    """Return the share of bytes that the store serves whose shadows choose, as the keeper does it."""
    cache, shadows, changes = Cache(KNOWN[DEFAULT], room), Shadows(room), 0
    served = asked = 0
    for number, (digest, size) in enumerate(zip(trace.keys, trace.sizes, strict=True)):
        asked += size
        if cache.access(digest, size):
            served += size
        if chosen := shadows.use(digest, size, size, number * DAY / REQUESTS):
            cache.keep = KNOWN[chosen]
            changes += 1
    return served / asked, shadows, changes


def belady(trace: Trace, room: int) -> float:
    """Return the share of bytes that is served by whoever knows the future, and lets go what is needed last."""
    never, following = len(trace.keys), [0] * len(trace.keys)
    last: dict[str, int] = {}
    for number in range(len(trace.keys) - 1, -1, -1):
        following[number] = last.get(trace.keys[number], never)
        last[trace.keys[number]] = number
    held: dict[str, tuple[int, int]] = {}  # size, next use
    queue: list[tuple[int, str]] = []
    used = served = asked = 0
    for number, (digest, size) in enumerate(zip(trace.keys, trace.sizes, strict=True)):
        asked += size
        if digest in held:
            served += size
        elif size <= room and following[number] != never:
            used += size
        else:
            continue
        held[digest] = (size, following[number])
        heapq.heappush(queue, (-following[number], digest))
        while used > room:
            at, one = heapq.heappop(queue)
            if one in held and held[one][1] == -at:
                used -= held.pop(one)[0]
    return served / asked


def check(trace: Trace, room: int, hit: float) -> None:
    """Compare LRU with libCacheSim's, where that is installed."""
    try:
        other = importlib.import_module("libcachesim")
    except ImportError:
        return
    cache, numbers = other.LRU(cache_size=room), dict[str, int]()
    served = asked = 0
    for digest, size in zip(trace.keys, trace.sizes, strict=True):
        asked += size
        request = other.Request(obj_id=numbers.setdefault(digest, len(numbers) + 1), obj_size=size)
        served += size if cache.get(request) else 0
    if abs(served / asked - hit) > 0.0005:
        print(f"    libCacheSim's LRU serves {100 * served / asked:.2f}, ours {100 * hit:.2f}")


def prime_time(rng: random.Random) -> Trace:
    """VOD in the evening: titles by Zipf, half an hour in segments, in four qualities; who begins may leave early."""
    pick = zipf(rng, 3000, 0.9)

    def session() -> list[tuple[str, int]]:
        title, rung = pick(), rng.choices(range(4), SHARES)[0]
        length = min(300, 1 + int(rng.expovariate(1 / 80)))
        return [(f"{title} {rung} {n}", size_of(f"{title} {n}", rung)) for n in range(length)]

    return played("VOD, HLS ladders, prime time", rng, session, 400)


def catch_up(rng: random.Random) -> Trace:
    """Catch-up television: new programmes every quarter of an hour; who looks back looks mostly to the last hours."""
    state = {"now": 0}

    def session() -> list[tuple[str, int]]:
        state["now"] += 1
        newest = state["now"] // 25
        programme = newest - int(rng.expovariate(1 / 12))
        rung, length = rng.choices(range(4), SHARES)[0], min(200, 1 + int(rng.expovariate(1 / 60)))
        return [(f"c{programme} {rung} {n}", size_of(f"c{programme} {n}", rung)) for n in range(length)]

    return played("catch-up television, decaying", rng, session, 300)


def web(rng: random.Random) -> Trace:
    """Pictures, texts, pages of the bookhouse's portal: Zipf over many sizes, a third asked for once."""
    pick = zipf(rng, 120_000, 0.8)
    keys, sizes, once = [], [], itertools.count()
    for _ in range(REQUESTS):
        name = f"once {next(once)}" if rng.random() < 0.3 else f"web {pick()}"
        keys.append(key(name))
        sizes.append(int(min(5e7, random.Random(name).lognormvariate(10.5, 1.6))) + 100)
    return Trace("web, Zipf 0.8, log-normal sizes", keys, sizes)


def bookhouse(rng: random.Random) -> Trace:
    """A village: a few hundred things that are loved, while a scan of everything passes by in blocks."""
    pick, scanned = zipf(rng, 1500, 1.0), itertools.count()
    keys, sizes = [], []
    while len(keys) < REQUESTS:
        block = rng.random() < 0.002
        names = [f"scan {next(scanned)}" for _ in range(500)] if block else [f"loved {pick()}"]
        keys += [key(name) for name in names]
        sizes += [500_000 + random.Random(name).randrange(3_000_000) for name in names]
    return Trace("bookhouse, loved things and scans", keys[:REQUESTS], sizes[:REQUESTS])


def shift(rng: random.Random) -> Trace:
    """A box whose traffic changes at noon: catch-up television before, things loved and scans after."""
    before, after = catch_up(rng), bookhouse(rng)
    half = REQUESTS // 2
    return Trace(
        "catch-up until noon, then bookhouse",
        before.keys[:half] + after.keys[:half],
        before.sizes[:half] + after.sizes[:half],
    )


def zipf(rng: random.Random, count: int, slope: float) -> Callable[[], int]:
    """Return what picks a number below ``count``, small ones more often."""
    sums = list(itertools.accumulate(1 / (n + 1) ** slope for n in range(count)))
    return lambda: bisect.bisect_left(sums, rng.random() * sums[-1])


def size_of(segment: str, rung: int) -> int:
    """Return the bytes of a segment in one of the qualities; scenes differ."""
    return int(RUNGS[rung] * (0.6 + 0.8 * random.Random(segment).random()))


def played(name: str, rng: random.Random, session: Callable[[], list[tuple[str, int]]], at_once: int) -> Trace:
    """Return the requests of so many sessions at once, each of which asks for one segment after the other."""
    running = [iter(session()) for _ in range(at_once)]
    digests: dict[str, str] = {}
    keys, sizes = [], []
    while len(keys) < REQUESTS:
        at = rng.randrange(at_once)
        if (asked := next(running[at], None)) is None:
            running[at] = iter(session())
            continue
        keys.append(digests.setdefault(asked[0], key(asked[0])))
        sizes.append(asked[1])
    return Trace(name, keys, sizes)


if __name__ == "__main__":
    main()
