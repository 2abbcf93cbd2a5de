"""The suite http-cache-tests run against a cache: its origin, its client, and what its own kinds make of the results."""

import json
import os
import subprocess
from collections import Counter
from pathlib import Path

_JUDGE = """
import tests from './tests/index.mjs'
import {determineTestResult, resultTypes} from './test-engine/lib/results.mjs'
import fs from 'node:fs'
const results = JSON.parse(fs.readFileSync(process.argv[2]))
const names = Object.fromEntries(Object.entries(resultTypes).map(([name, type]) => [type[2], name]))
const told = []
for (const suite of tests) for (const test of suite.tests) {
  if (test.browser_only === true) continue
  told.push({group: suite.name, id: test.id, kind: test.kind || 'required', name: test.name,
    verdict: names[determineTestResult(tests, test.id, results)[2]],
    why: Array.isArray(results[test.id]) ? results[test.id].join(': ') : ''})
}
console.log(JSON.stringify(told))
"""


def origin(suite: Path, port: int, log: Path) -> subprocess.Popen[bytes]:
    """Start the suite's origin on ``port``; the caller waits for it, and ends it."""
    given = {"npm_config_protocol": "http", "npm_config_port": str(port), "npm_config_pidfile": str(log) + ".pid"}
    with log.open("wb") as out:
        return subprocess.Popen(
            ["node", "test-engine/server/server.mjs"], cwd=suite, env=os.environ | given, stdout=out, stderr=out
        )


def run(suite: Path, base: str, folder: Path, test: str = "") -> list[dict[str, str]]:
    """Run the suite's client against the cache at ``base``; return each test with its group, kind and verdict."""
    given = os.environ | {"npm_config_base": base, "npm_config_id": test, "npm_package_config_id": ""}
    done = subprocess.run(
        ["node", "--no-warnings", "test-engine/cli.mjs"],
        cwd=suite,
        env=given,
        capture_output=True,
        text=True,
        timeout=600,
    )
    if test:
        print(done.stdout, done.stderr)
        return []
    results = folder / "results.json"
    results.write_text(done.stdout[done.stdout.index("{") :])
    judge = suite / "judge.mjs"
    judge.write_text(_JUDGE)
    told = subprocess.run(["node", judge, results], cwd=suite, capture_output=True, text=True, check=True)
    found: list[dict[str, str]] = json.loads(told.stdout)
    return found


def summary(found: list[dict[str, str]]) -> str:
    """Return the figures: by kind, by group, and what did not pass."""
    lines = ["| group | required | optimal |", "|---|---|---|"]
    groups = list(dict.fromkeys(one["group"] for one in found))

    def figure(group: str | None, kind: str) -> str:
        of = [one["verdict"] for one in found if one["kind"] == kind and group in (None, one["group"])]
        return f"{Counter(of)['pass']} of {len(of)}" if of else "-"

    lines += [f"| {group} | {figure(group, 'required')} | {figure(group, 'optimal')} |" for group in groups]
    lines += [f"| all | {figure(None, 'required')} | {figure(None, 'optimal')} |", ""]
    lines += [
        f"- {one['kind']} `{one['id']}`: {one['verdict']} ({one['why']})"
        for one in found
        if one["kind"] != "check" and one["verdict"] != "pass"
    ]
    return "\n".join(lines)
