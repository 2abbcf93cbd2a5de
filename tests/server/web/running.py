"""The suite's origin and delivery's cache in front of it, each a process of its own."""

import contextlib
import os
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from tests.server.ports import free_port
from tests.server.web import suite

ROOT = Path(__file__).parents[3]
HOST = "127.0.0.3"
SECONDS = 30  # until a process answers


@contextlib.contextmanager
def chain(checkout: Path) -> Iterator[str]:
    """Yield the address of the cache in front of the suite's origin."""
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        behind, front = free_port(), free_port(HOST)
        origin = suite.origin(checkout, behind, Path(folder) / "origin.log")
        stack.callback(_end, origin)
        words = [
            sys.executable,
            "-m",
            "tests.server.web.direct",
            f"{folder}/web",
            f"http://127.0.0.1:{behind}",
            HOST,
            str(front),
        ]
        cache = subprocess.Popen(words, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)})
        stack.callback(_end, cache)
        base = f"http://{HOST}:{front}"
        _wait(f"{base}/", origin, cache)
        yield base
        assert cache.poll() is None, "the cache did not live through the suite"


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _wait(url: str, *processes: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + SECONDS
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5):  # noqa: S310 (an address of ours)
                return
        except urllib.error.HTTPError as error:
            if error.code != 504:  # the cache is there, and its origin too
                return
            problem: Exception = error
        except OSError as error:
            problem = error
        assert all(process.poll() is None for process in processes), "a process ended"
        assert time.monotonic() < deadline, f"nobody answers at {url}: {problem}"
        time.sleep(0.05)


def main() -> None:
    """Run the suite of a checkout, print the figures; fail where a required test does."""
    checkout = Path(sys.argv[1]).resolve()
    if not (checkout / "tests" / "index.mjs").exists():
        raise SystemExit(f"{checkout} is no checkout of http-tests/cache-tests")
    if not (checkout / "node_modules").exists():
        subprocess.run(
            ["npm", "install", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=checkout, check=True
        )
    with chain(checkout) as base:
        results = suite.run(checkout, base)
    print(suite.table(results))
    raise SystemExit(1 if suite.failed(results, "required") else 0)


if __name__ == "__main__":
    main()
