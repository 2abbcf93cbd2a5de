"""The suite's origin behind the real daemons: fetch, the exchange, the filters, and delivery with its cache."""

import contextlib
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.server.content.conftest import ADDRESSES, ORIGIN, Chain, until
from tests.server.ports import free_port
from tests.server.web import suite

SECONDS = 30.0  # until the suite's origin answers
REACH = "reach:\n  suite: {{zone: culture, run: fetch, to: [{origin}], port: tcp/{port}}}\n"
WEB = """
web:
  suite: {{hosts: [{host}], address: {origin}, port: {port}, methods: [GET, HEAD, OPTIONS, POST, PUT, DELETE, M-SEARCH],
           fields: ["*"], credentials: true, request: 1 MiB}}
lanes:
  web: {{from: culture, to: bigscreen, kind: web, active: true, largest: 64 MiB}}
"""


class WebChain(Chain):
    """A box whose big screens may ask an origin at ``behind`` by plain HTTP."""

    def __init__(self, base: Path) -> None:
        self.behind = free_port(ORIGIN)
        super().__init__(base)

    def write_policy(self, change: Callable[[str], str] = lambda text: text) -> None:
        told = WEB.format(host=ADDRESSES["bigscreen"], origin=ORIGIN, port=self.behind)
        reach = REACH.format(origin=ORIGIN, port=self.behind)
        super().write_policy(lambda text: change(text.replace("\nlanes:\n", told).replace("reach:\n", reach)))

    @property
    def base_url(self) -> str:
        return f"http://{ADDRESSES['bigscreen']}:{self.port}"


@contextlib.contextmanager
def chain(checkout: Path, base: Path) -> Iterator[str]:
    """Yield the address of delivery in front of the suite's origin."""
    with WebChain(base) as box:
        log = base / "suite.log"
        origin = suite.origin(checkout, box.behind, log)
        try:
            until(lambda: origin.poll() is not None or _answers(box), "the suite's origin answers", SECONDS)
            assert origin.poll() is None, log.read_text()
            yield box.base_url
            assert all(process.poll() is None for process in box.processes.values()), "a daemon did not live through it"
        finally:
            origin.terminate()
            origin.wait()


def _answers(box: WebChain) -> bool:
    return box.get("/", {"Cache-Control": "no-store"}).status != 504


def main() -> None:
    """Run the suite of a checkout, print the figures; fail where a required test does."""
    checkout = Path(sys.argv[1]).resolve()
    if not (checkout / "tests" / "index.mjs").exists():
        raise SystemExit(f"{checkout} is no checkout of http-tests/cache-tests")
    if not (checkout / "node_modules").exists():
        words = ["npm", "install", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund"]
        subprocess.run(words, cwd=checkout, check=True)
    with tempfile.TemporaryDirectory(prefix="s") as folder, chain(checkout, Path(folder)) as base:
        results = suite.run(checkout, base)
    print(suite.table(results))
    raise SystemExit(1 if suite.failed(results, "required") else 0)


if __name__ == "__main__":
    main()
