"""Delivery beside what an operator could have instead, every one tuned, warm, on one core, the screens on the other.

Segments of 2 MiB, objects of 16 KiB with permission and metering on, a flash crowd, ten thousand screens, and what each extra costs.
Servers take turns, so that all have the same company on the machine: the ratios of one run matter, not the absolutes. Where others
use the machine, ``HEADGATE_BENCH_AHEAD=1`` lets who is measured go before all else meanwhile.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace

from rich.console import Console
from rich.table import Table

from tests.bench import _box, _caches, _crowd, _extras, _many, _network
from tests.bench._caches import Cache
from tests.bench._screens import Measured, has_wrk, large, small
from tests.server.content import media
from tests.server.content.conftest import CODE

TURNS = 3
SECONDS = 2  # of a turn
SEGMENT, SMALL = 2 << 20, 16 << 10  # bytes
FRONT = ("smallscreen",) if shutil.which("nginx", path="/usr/sbin") else ()  # the zone with nginx in front of delivery
OURS = ("delivery", "nginx in front")
# The same nginx with a permission to ask for and an account to write, as delivery has.
ALSO = {"proxy_cache, same duties": _caches.GUARDED}
FILES = {"segment.m4s": SEGMENT, "small.m4s": SMALL}
MANY = 400  # small objects that are asked for one after the other, too: as screens that show posters do, and no two lines are alike
POSTER = "poster-"  # how their names begin


def turns(servers: list[Cache], ask: Callable[[Cache], Measured]) -> dict[str, Measured]:
    """Measure all, turn by turn; the first turn warms."""
    told = {server.name: Measured() for server in servers}
    for turn in range(TURNS + 1):
        for server in servers:
            measured = ask(server)
            if turn:
                told[server.name] += measured
    return told


def side_by_side(console: Console) -> None:
    """Segments and small objects."""
    with _box.chain_with_a_door(front=FRONT) as (chain, token), ExitStack() as stack:
        posters = {f"{POSTER}{number}.m4s": SMALL for number in range(MANY)}
        chain.publish({name: media.sized(size) for name, size in (FILES | posters).items()})
        for name in (*FILES, *posters):
            for zone in ("bigscreen", *FRONT):
                chain.play(name, headers=_box.as_dictionary(token), zone=zone)
        source = chain.base / f"source-{CODE}-1"
        files = stack.enter_context(_caches.nginx_files(chain.base / "files", source))
        origin = f"{files.address}:{files.port}"
        others = [stack.enter_context(run(chain.base / run.__name__, origin)) for run in _caches.peers()]
        servers = [_box.delivery(chain), *(_box.in_front(chain, zone) for zone in FRONT), *others]

        servers += [replace(one, name=name) for one in others if one.name == "nginx proxy_cache" for name in ALSO]

        def target(server: Cache, name: str) -> str:
            return f"/r/{CODE}/{name}" if server.name in OURS else ALSO.get(server.name, "/") + name

        for name, size in (FILES | {POSTER: SMALL}).items():
            if size == SMALL and not has_wrk():
                continue

            def ask(server: Cache, name: str = name, size: int = size) -> Measured:
                shown = [token] if server.name in OURS or server.name in ALSO else []
                if size == SEGMENT:
                    return large(server, target(server, name), size, shown, SECONDS)
                return small(server, target(server, name), shown, SECONDS, among=MANY if name == POSTER else 0)

            with console.status(f"{name}: {', '.join(server.name for server in servers)}"):
                told = turns(servers, ask)
            show(console, name, size, told)


def show(console: Console, name: str, size: int, told: dict[str, Measured]) -> None:
    """Print one table: each server, and its ratio to delivery."""
    table = Table("", "requests/s", "CPU us/request", "CPU s/GB", "delivery's rate / its", "delivery's CPU / its")
    named = f"one of {MANY} after the other" if name == POSTER else name
    table.title = f"{size >> 10} KiB ({named}), permission and metering on at delivery"
    ours = told["delivery"]
    for server, one in told.items():
        per_gigabyte = one.cpu / (one.requests * size / 1e9)
        ratios = (f"{ours.rate / one.rate:.2f}", f"{ours.micros / one.micros:.2f}")
        table.add_row(server, f"{one.rate:,.0f}", f"{one.micros:,.1f}", f"{per_gigabyte:.3f}", *ratios)
    console.print(table)
    if refused := {server: one.refused for server, one in told.items() if one.refused}:
        console.print(f"refused meanwhile, and not counted: {refused}", style="yellow")


def main() -> None:
    """Measure, and print the tables."""
    console = Console(width=120)
    with _network.as_debian():
        side_by_side(console)
        _extras.main(console)
        _crowd.main(console)
        _many.main(console)


if __name__ == "__main__":
    main()
