"""Events that players report by POST (CMCD version 2) are counted as what their requests tell; what is none is refused in words."""

import json
from http.client import HTTPConnection

import pytest

from tests.server.content import media
from tests.server.content.conftest import ADDRESSES, BOTH_WAYS, CODE, DEADLINE

pytestmark = pytest.mark.server
REPORT = b'e=ps,sid="a",sta=s,v=2\ne=ps,msd=900,sid="a",sta=p,v=2\ne=ps,sid="a",sta=r,v=2\n'


def report(chain, body=REPORT, *, code=CODE, kind="application/cmcd", method="POST"):
    connection = HTTPConnection(ADDRESSES["bigscreen"], chain.port, timeout=DEADLINE)
    try:
        connection.request(method, f"/cmcd/{code}", body, {"Content-Type": kind})
        response = connection.getresponse()
        body = response.read()
        return response.status, json.loads(body)["reason"] if body else "", response.headers
    finally:
        connection.close()


@BOTH_WAYS
def test_what_a_player_reports_is_in_the_figures(chain, until):
    chain.publish({"film.m4s": media.sized(2000)})
    status, _, headers = report(chain)
    assert (status, headers["Access-Control-Allow-Origin"]) == (204, "*")
    figures = chain.run / "metrics" / "delivery-bigscreen" / "delivery-bigscreen.prom"

    def told():
        lines = dict(line.rsplit(" ", 1) for line in figures.read_text().splitlines() if not line.startswith("#"))
        zone = 'screen="big",zone="bigscreen"'
        names = ("stalls_total", "start_seconds_sum", "cmcd_events_total")
        return [float(lines.get(f"headgate_delivery_{name}{{{zone}}}", 0)) for name in names] == [1.0, 0.9, 3.0]

    until(told, "stall, start and events are counted")


@BOTH_WAYS
def test_what_is_no_report_is_refused_in_words(chain):
    chain.publish({"film.m4s": media.sized(2000)})
    assert report(chain, b"no event")[:2] == (400, "bad-request")
    assert report(chain, kind="text/plain")[:2] == (415, "bad-request")
    assert report(chain, b"e=t\n" * 20_000)[:2] == (413, "too-large")
    assert report(chain, code="999999-123456789012345-8")[:2] == (404, "unknown-release")
    assert report(chain)[0] == 204


def test_a_page_may_report_and_measure(chain):
    """It asks first (CORS), and sees how long its requests took (Timing-Allow-Origin)."""
    status, _, headers = report(chain, b"", method="OPTIONS")
    assert (status, headers["Access-Control-Allow-Headers"]) == (204, "Content-Type")
    assert "POST" in headers["Access-Control-Allow-Methods"]
    chain.publish({"film.m4s": media.sized(2000)})
    assert chain.play("film.m4s").headers["Timing-Allow-Origin"] == "*"
    assert chain.play("none.m4s").headers["Timing-Allow-Origin"] == "*"
