"""What ``headgate box audit`` prints of its evidence."""

import io

from rich.console import Console

from gateway.isolation import audit, audit_words
from gateway.isolation.evidence import Finding, Measure, Proof
from gateway.isolation.report.model import Inspected


def test_a_bridge_is_told_apart_from_what_is_only_told():
    """Of two findings one joins zones: it is counted and is a fault; both are named with their way."""
    bridge = Finding(17, "enslaved-port", ("culture",), "the port of culture was put into br0")
    told = Finding(22, "operator-entered", ("culture",), "process 7 went from management to culture")
    found = audit.Evidence(
        "d" * 64,
        {"culture": []},
        (Proof("culture", "algebra", equal=True, seconds=0.04),),
        (bridge, told),
        Inspected(17, 31, 246, 92, 8, 40),
        (Measure("io-uring", "closed", "open", ok=False),),
    )
    console = Console(width=200, file=io.StringIO(), record=True)

    audit_words.show(audit.summary(found), console)

    text = console.export_text()
    assert "bridges: 1 in 17 processes, 246 descriptors, 8 links" in text
    assert f"way 17 enslaved-port: {bridge.what}" in text
    assert f"way 22 operator-entered: {told.what}" in text
    assert "0 of 1 measures; lacking: io-uring" in text
    assert found.faults == [f"enslaved-port: {bridge.what}"]
