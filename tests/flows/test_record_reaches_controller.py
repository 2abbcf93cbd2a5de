"""Flow 4, on the lab's boxes: records arrive exactly once."""

import pytest

from provisioning.lab.operator import CONTROLLER
from provisioning.lab.tour import flow_record, guided
from provisioning.lab.tour.stage import BOXES, Stage, until

pytestmark = pytest.mark.flow


def test_every_claim_of_the_guide_holds(stage: Stage):
    """State over Sparkplug B, records through an unplugged broker and a killed daemon, page and metrics."""
    for step in guided("record", flow_record.walk(stage)):
        assert step.ok, step.told()


def test_prometheus_scrapes_every_box(stage: Stage):
    """Prometheus at the centre finds each box and the controller up."""

    def up() -> set[str]:
        told = stage.operator.get("http://10.40.0.20:9090/api/v1/query?query=up%3D%3D1")["data"]["result"]
        return {series["metric"]["instance"] for series in told}

    wanted = {f"{stage.address(box)}:9100" for box in BOXES} | {CONTROLLER.removeprefix("http://")}
    until(f"Prometheus sees {wanted}", lambda: wanted <= up(), seconds=60)


def test_a_box_cannot_speak_for_another(stage: Stage):
    """With the headend's certificate nothing can be published under the edge's name."""
    script = """
import paho.mqtt.client as mqtt, ssl, threading
done, told = threading.Event(), []
c = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id="thief", protocol=mqtt.MQTTv5)
c.tls_set("/etc/headgate/tls/ca.crt", "/etc/headgate/tls/box.crt", "/etc/headgate/tls/box.key")
c.on_connect = lambda client, *rest: client.publish("headgate/v1/edge/records", "[]", qos=1)
c.on_publish = lambda client, data, mid, code, properties: (told.append(str(code)), done.set())
c.connect("10.40.0.20", 8883); c.loop_start(); done.wait(10); c.disconnect(); c.loop_stop(); print(told)
"""
    python = [
        "nsenter",
        "--net=/run/netns/management",
        "env",
        "PYTHONPATH=/opt/headgate/current/libraries",
        "python3",
        "-c",
        script,
    ]

    assert "Not authorized" in stage.lab.exec("headend", python)
