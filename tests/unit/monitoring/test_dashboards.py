"""Dashboards for Grafana: each asks for what is exported, in words that Prometheus takes."""

import json
import re
import shutil
from pathlib import Path

import pytest

import monitoring
from appliance.runtime.command import run

FILES = sorted((Path(monitoring.__file__).parent / "dashboards").glob("*.json"))
MANUAL = Path(__file__).parents[3] / "docs" / "operations.md"
SUFFIXES = re.compile(r"_(bucket|sum|count)$")


def questions(file: Path) -> list[str]:
    return [target["expr"] for panel in json.loads(file.read_text())["panels"] for target in panel["targets"]]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_dashboard_asks_for_what_boxes_export(file: Path) -> None:
    """Each name stands in the operator's manual, which another test holds against the code; no panel is without a word of help."""
    exported = set(re.findall(r"`(headgate_\w+)`", MANUAL.read_text()))
    asked = {name for text in questions(file) for name in re.findall(r"headgate_\w+", text)}
    assert asked
    assert {name for name in asked if name not in exported and SUFFIXES.sub("", name) not in exported} == set()
    panels = json.loads(file.read_text())["panels"]
    assert all(panel["description"] for panel in panels)
    assert len({panel["id"] for panel in panels}) == len(panels)


@pytest.mark.server  # starts a program
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_prometheus_takes_the_questions_of_a_dashboard(file: Path, tmp_path: Path) -> None:
    if shutil.which("promtool") is None:
        pytest.skip("SKIPPED LOUDLY: promtool is not installed (apt-get install prometheus)")
    rules = [
        {"record": f"asked:{number}", "expr": re.sub(r"\$__(rate_interval|range)", "5m", text)}
        for number, text in enumerate(questions(file))
    ]
    (tmp_path / "rules.yml").write_text(json.dumps({"groups": [{"name": file.stem, "rules": rules}]}))
    run(["promtool", "check", "rules", str(tmp_path / "rules.yml")])
