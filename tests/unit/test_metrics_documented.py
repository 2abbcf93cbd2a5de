"""docs/operations.md is what operators look things up in, so what the code exports and refuses stands there."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("appliance", "gateway", "firmware", "monitoring", "provisioning")
COUNTERS = {"Counter", "CounterMetricFamily", "_counter"}
OTHERS = {"Gauge", "Histogram", "Observed", "Summary", "GaugeMetricFamily", "HistogramMetricFamily", "_gauge"}
# Which argument is the reason, of what makes a refusal or tells one.
REASONS = {"Refused": 0, "Refuse": 0, "WrongCode": 0, "NotFound": 0, "Wrong": 2, "_told": 1, "answer": 1}
# What operators meet: the daemons and the fleet. The lab and the image's builder speak to people who read them on the spot.
REFUSING = ("appliance", "gateway", "provisioning/controller", "provisioning/fleet", "provisioning/registry")


def calls(*folders: str, saying: str = "") -> Iterator[tuple[ast.Module, ast.Call, str]]:
    """Yield every call below ``folders``, in files that say ``saying``, with its module and the name of what is called."""
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*.py")):
            if saying not in (text := path.read_text()):
                continue
            module = ast.parse(text)
            for node in ast.walk(module):
                if isinstance(node, ast.Call):
                    name = getattr(node.func, "attr", getattr(node.func, "id", ""))
                    yield module, node, name


def words(module: ast.Module, node: ast.Call) -> Iterator[tuple[str, str]]:
    """Yield the name and help of a metric; one whose name a loop over a table makes is yielded for each row."""
    name, told = node.args[0], node.args[1]
    if isinstance(name, ast.Constant) and isinstance(told, ast.Constant):
        yield str(name.value), str(told.value)
    elif isinstance(name, ast.JoinedStr) and isinstance(told, ast.Name):
        (variable,) = (part.value.id for part in name.values if isinstance(part, ast.FormattedValue))
        for loop in (each for each in ast.walk(module) if isinstance(each, ast.For) and node in ast.walk(each)):
            names = [target.id for target in loop.target.elts]
            for row in loop.iter.elts:
                values = dict(zip(names, row.elts, strict=True))
                text = [p.value if isinstance(p, ast.Constant) else values[variable].value for p in name.values]
                yield "".join(text), values[told.id].value
    else:
        raise AssertionError(f"a metric whose name cannot be read: {ast.unparse(node)}")  # noqa: TRY004 (a fault of the scan)


@cache
def exported() -> dict[str, str]:
    """Return the metrics that the code exports, as Prometheus sees their names, with their help."""
    found = {}
    for module, node, kind in calls(*PACKAGES, saying="headgate_"):
        if kind in COUNTERS | OTHERS and node.args and "headgate_" in ast.unparse(node.args[0]):
            for name, told in words(module, node):
                found[name + ("_total" if kind in COUNTERS else "")] = told.rstrip(".")
    return found


@cache
def refused() -> set[str]:
    """Return every reason that is written where a refusal is made."""
    found = set()
    for _, node, name in calls(*REFUSING):
        arguments = node.args[REASONS[name] :] if name in REASONS else []
        if arguments and isinstance(arguments[0], ast.Constant) and isinstance(arguments[0].value, str):
            found.add(arguments[0].value)
    return found


def table(heading: str) -> dict[str, str]:
    """Return the first two columns of the tables below ``heading`` of docs/operations.md; several names may share a row."""
    page = (ROOT / "docs/operations.md").read_text()
    (section,) = re.findall(rf"^## {heading}\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)
    rows = re.findall(r"^\| (`[^|]+) \| ([^|]+) \|", section, re.MULTILINE)
    return {name: told.strip() for names, told in rows for name in re.findall(r"`([^`]+)`", names)}


def test_every_metric_is_documented_with_its_help():
    """A figure on a dashboard is looked up by its name; the page says what the code says, no more and no less."""
    assert table("Metrics") == exported()


def test_every_reason_is_documented():
    """Whoever reads a reason in an answer, a log or a metric finds there what to do; no row outlives its refusal."""
    documented = set(table("Reasons"))
    sources = "".join(path.read_text() for folder in REFUSING for path in (ROOT / folder).rglob("*.py"))

    assert not refused() - documented
    assert not {reason for reason in documented if f'"{reason}"' not in sources}


def test_the_scan_sees_what_is_there():
    """A scan that finds nothing would prove nothing."""
    assert {"headgate_delivery_requests_total", "headgate_controller_messages_damaged_total"} <= set(exported())
    assert {"not-admitted", "digest-mismatch", "wrong-check-digit", "outside-identifiers"} <= refused()
