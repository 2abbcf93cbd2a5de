"""The suite http-cache-tests run against a cache: its origin, its client, and what its own kinds make of the results."""

import json
import os
import subprocess
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

SECONDS = 600  # of a whole run, which takes about one minute
_TESTS = """
import suites from './tests/index.mjs'
const told = []
for (const suite of suites) for (const test of suite.tests) if (test.browser_only !== true)
  told.push({group: suite.name, id: test.id, kind: test.kind || 'required', needs: test.depends_on || []})
console.log(JSON.stringify(told))
"""


@dataclass(frozen=True)
class Result:
    """A test of the suite; ``passed`` where it and all that it builds on did, as the suite itself counts."""

    group: str
    id: str
    kind: str
    passed: bool
    why: str


def _engine(suite: Path) -> str:
    """Return where the suite has its programs: its releases in the registry are older than that folder."""
    return "test-engine/" if (suite / "test-engine").is_dir() else ""


def origin(suite: Path, port: int, log: Path) -> subprocess.Popen[bytes]:
    """Start the suite's origin on ``port``; the caller waits for it, and ends it."""
    given = {"npm_config_protocol": "http", "npm_config_port": str(port), "npm_config_pidfile": f"{log}.pid"}
    with log.open("wb") as out:
        return subprocess.Popen(
            ["node", f"{_engine(suite)}server/server.mjs"], cwd=suite, env=os.environ | given, stdout=out, stderr=out
        )


def run(suite: Path, base: str) -> list[Result]:
    """Run the suite's client against the cache at ``base``."""
    given = os.environ | {"npm_config_base": base, "npm_config_id": "", "npm_package_config_id": ""}
    results = json.loads(_node(suite, given, "--no-warnings", f"{_engine(suite)}cli.mjs"))
    tests = json.loads(_node(suite, dict(os.environ), "--input-type=module", "-e", _TESTS))
    needs = {test["id"]: test["needs"] for test in tests}

    def passed(one: str) -> bool:
        return results.get(one) is True and all(map(passed, needs[one]))

    def why(one: str) -> str:
        result = results.get(one)
        return ": ".join(result) if isinstance(result, list) else "what it builds on failed" if result else "not run"

    return [
        Result(test["group"], one, test["kind"], passed(one), "" if passed(one) else why(one))
        for test in tests
        for one in [test["id"]]
    ]


def _node(suite: Path, env: dict[str, str], *words: str) -> str:
    done = subprocess.run(
        ["node", *words], cwd=suite, env=env, capture_output=True, text=True, timeout=SECONDS, check=True
    )
    return done.stdout[done.stdout.index("\n{" if "\n{" in done.stdout else "{" if done.stdout[0] == "{" else "[") :]


def failed(results: list[Result], kind: str) -> list[str]:
    """Return what did not pass of a kind, with the reason."""
    return [f"{one.id}: {one.why}" for one in results if one.kind == kind and not one.passed]


def figure(results: list[Result], kind: str, group: str | None = None) -> str:
    """Return how many passed, of how many."""
    found = Counter(one.passed for one in results if one.kind == kind and group in (None, one.group))
    return f"{found[True]} of {found.total()}" if found else "-"


def table(results: list[Result]) -> str:
    """Return the figures by group as docs/conformance.md has them, and what did not pass."""
    lines = ["| group | required | optimal |", "|---|---|---|"]
    lines += [
        f"| {group} | {figure(results, 'required', group)} | {figure(results, 'optimal', group)} |"
        for group in dict.fromkeys(one.group for one in results)
    ]
    lines += [f"| **all** | **{figure(results, 'required')}** | **{figure(results, 'optimal')}** |", ""]
    lines += [f"- {kind} {told}" for kind in ("required", "optimal") for told in failed(results, kind)]
    return "\n".join(lines)
