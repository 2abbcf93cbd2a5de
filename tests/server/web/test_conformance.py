"""The public suite of HTTP caches against ours: all that it requires, of the release that the npm registry has."""

import base64
import hashlib
import subprocess
from pathlib import Path

import pytest

from tests.server.web import suite
from tests.server.web.running import chain

pytestmark = [pytest.mark.server, pytest.mark.timeout(900)]
PACKAGES = {  # what npm fetches, by the digest of the archive
    "http-cache-tests@0.4.5": "DjuwN9nUZXLTW+wav1LRESCZNVxl8SshwOy4z1pxuWbWt5/ay6sM9QQ1lebBaDO6P1IMBoK6mdf+PuVP/QNL8A==",
    "node-fetch@2.6.1": "V4aYg89jEoVRxRb2fJdAg8FHvI7cEyYdVAh94HH0UIK8oJxUfkjlDQN9RbMx+bEjP7+ggMiFRprSti032Oipxw==",
}

# What that release requires, and the suite itself has corrected since.
CORRECTED = {
    # RFC 9111 section 5.1: a bad Age is ignored, of several the first counts; RFC 7234 let caches take it for stale.
    "age-parse-nonnumeric", "age-parse-negative", "age-parse-float", "age-parse-prefix-twoline", "age-parse-dup-0",
    "age-parse-dup-0-twoline", "age-parse-dup-old", "age-parse-parameter", "age-parse-numeric-parameter",
    # It takes any answer that the origin did not number for one from the cache, our 504 too.
    "stale-close-must-revalidate", "stale-close-proxy-revalidate", "stale-close-no-cache", "stale-close-s-maxage=2",
    # RFC 9111 section 3.2 has a 304 change these fields, too.
    "304-etag-update-response-Content-MD5", "304-etag-update-response-ETag",
}  # fmt: skip


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    folder = tmp_path_factory.mktemp("suite")
    root = folder / "http-cache-tests"
    for package, digest in PACKAGES.items():
        name = package.partition("@")[0]
        done = subprocess.run(
            ["npm", "pack", "--silent", package], cwd=folder, capture_output=True, text=True, check=True
        )
        archive = folder / done.stdout.split()[-1]
        assert base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode() == digest
        subprocess.run(["tar", "-xzf", archive.name], cwd=folder, check=True)
        (folder / "package").rename(root if name == root.name else _modules(root) / name)
    return root


def _modules(root: Path) -> Path:
    (root / "node_modules").mkdir()
    return root / "node_modules"


def test_all_that_the_suite_requires_holds(checkout, tmp_path_factory):
    with chain(checkout, tmp_path_factory.mktemp("c")) as base:
        results = suite.run(checkout, base)
    assert [told for told in suite.failed(results, "required") if told.partition(": ")[0] not in CORRECTED] == []
    assert sum(one.kind == "required" for one in results) > 150
    assert sum(one.passed for one in results if one.kind == "optimal") > 75, suite.failed(results, "optimal")
