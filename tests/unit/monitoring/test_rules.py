from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric
from ruamel.yaml import YAML

from appliance.runtime.command import run
from monitoring import figures
from monitoring.overview import Overview

RULES = Path(figures.__file__).parent / "rules"
MANUAL = Path(__file__).parents[3] / "docs" / "operations.md"
FILES = sorted(RULES.glob("*.yml"))


def exported() -> set[str]:
    names = set()
    for family in figures.families(Overview(0.0, identifiers=0)):
        assert isinstance(family, Metric)
        names |= {family.name, f"{family.name}_total"} if family.type == "counter" else {family.name}
    # What a box's daemons export is told in the operator's manual, which another test holds against the code.
    return names | set(
        re.findall(
            r"headgate_(?:controller|guard|exchange|delivery|fetch|publish|store|admission|inspection|replica)_\w+",
            MANUAL.read_text(),
        )
    )


def rules() -> list[dict[str, object]]:
    read = YAML(typ="safe", pure=True)
    return [rule for file in FILES for group in read.load(file.read_text())["groups"] for rule in group["rules"]]


def test_every_alert_reads_metrics_that_exist() -> None:
    """Each name of ours in a rule is exported by the controller or by a box's daemons."""
    assert FILES
    for rule in rules():
        asked = set(re.findall(r"headgate_\w+", str(rule["expr"])))
        assert asked <= exported(), rule["alert"]


def test_every_alert_says_what_to_do_and_is_tested() -> None:
    """Each alert has a summary, a command or unit to look at, a severity, and a case in the rules' test."""
    tested = Path(__file__).with_name("headgate_rules_test.yaml").read_text()
    for rule in rules():
        annotations = rule["annotations"]
        assert isinstance(annotations, dict)
        assert annotations["summary"]
        assert re.search(r"headgate (box|fleet|journal)|journalctl|systemctl", annotations["description"])
        assert str(rule["alert"]) in tested


@pytest.mark.server  # takes seconds
def test_the_rules_hold_in_prometheus(tmp_path: Path) -> None:
    """promtool takes the rules, and each alert fires when it should and not before."""
    if shutil.which("promtool") is None:
        pytest.skip("SKIPPED LOUDLY: promtool is not installed (apt-get install prometheus)")
    run(["promtool", "check", "rules", *map(str, FILES)])
    cases = tmp_path / "cases.yaml"
    text = Path(__file__).with_name("headgate_rules_test.yaml").read_text()
    cases.write_text(text.replace("[RULES]", f"[{', '.join(map(str, FILES))}]"))
    run(["promtool", "test", "rules", str(cases)])


def test_metrics_pass_promtool() -> None:
    """promtool's linter has nothing against the names, units and help of the controller's metrics."""
    if shutil.which("promtool") is None:
        pytest.skip("SKIPPED LOUDLY: promtool is not installed (apt-get install prometheus)")
    from prometheus_client import generate_latest
    from prometheus_client.registry import Collector

    class Families(Collector):
        def collect(self) -> list[Metric]:
            return list(figures.families(Overview(0.0, reasons={"not-admitted": 1})))

    registry = CollectorRegistry(auto_describe=False)
    registry.register(Families())
    run(["promtool", "check", "metrics"], stdin=generate_latest(registry).decode())
