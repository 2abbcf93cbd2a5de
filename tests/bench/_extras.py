"""What each extra costs delivery: processor time for an object of 16 KiB with it, beside the same without."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import quote

from rich.console import Console
from rich.table import Table

from tests.bench import _box
from tests.bench._caches import SERVER, Cache, pin
from tests.bench._screens import Measured, has_wrk, small
from tests.server.content import media
from tests.server.content.conftest import CODE, Chain

TURNS, SECONDS = 2, 2  # turns, and seconds of each
TARGET = f"/r/{CODE}/small.m4s"
TOLD = 'bl=21300,br=3200,cid="f1",d=4004,mtp=25400,ot=v,sf=h,sid="6e2fb550-c457-11e9-bb97-0800200c9a66",st=v,tb=6000'
CMCD = f"{TARGET}?CMCD={quote(TOLD)}"


@contextmanager
def without(chain: Chain, extra: str) -> Iterator[Cache]:
    """Let the small screens' delivery do without an extra inside the block."""
    chain.stop("delivery-smallscreen")
    argv = [
        "-m",
        "tests.bench._without",
        extra,
        "run",
        "delivery",
        "--zone",
        "smallscreen",
        "--config",
        str(chain.policy),
    ]
    places = {"HEADGATE_RUN": str(chain.run), "HEADGATE_STATE": str(chain.state), "HEADGATE_ETC": str(chain.base)}
    with (chain.base / "without.log").open("ab") as log:
        process = subprocess.Popen([sys.executable, *argv], env=os.environ | places, stdout=log, stderr=log)
    chain.processes["delivery-smallscreen"] = process
    chain.wait("delivery", "smallscreen")
    pin([process.pid], SERVER)
    yield _box.delivery(chain, "smallscreen")
    chain.stop("delivery-smallscreen")
    chain.start("delivery", "smallscreen")


def main(console: Console) -> None:
    """Measure, and print the table."""
    if not has_wrk():
        return
    table = Table("", "on: CPU us/request", "off: CPU us/request", "on / off", title="what each extra costs (16 KiB)")
    with _box.chain_with_a_door() as (chain, token):
        chain.publish({"small.m4s": media.sized(16 << 10)})

        def row(name: str, on: tuple[Cache, str, list[str]], off: tuple[Cache, str, list[str]]) -> None:
            for zone in ("bigscreen", "smallscreen"):
                chain.play("small.m4s", zone=zone, headers=_box.as_dictionary(token))
            with_it, bare = Measured(), Measured()
            for turn in range(TURNS + 1):
                for told, (server, target, headers) in ((with_it, on), (bare, off)):
                    measured = small(server, target, headers, SECONDS)
                    if turn:
                        told += measured
            table.add_row(name, f"{with_it.micros:.1f}", f"{bare.micros:.1f}", f"{with_it.micros / bare.micros:.2f}")

        everything = _box.delivery(chain)
        for extra in ("permission", "metering"):
            with without(chain, extra) as server:
                row(extra, (everything, TARGET, [token]), (server, TARGET, [token]))
        row("CMCD in the query", (everything, CMCD, [token]), (everything, TARGET, [token]))
        told = [token, f"CMCD-Session: {TOLD}"]
        row("CMCD in a header", (everything, TARGET, told), (everything, TARGET, [token]))
    console.print(table)


if __name__ == "__main__":
    main(Console(width=120))
