"""The nearest playable copy."""

from ipaddress import ip_network
from typing import Any

import pytest

from gateway.resolver.answer.here import Here
from gateway.resolver.answer.known import known
from gateway.resolver.answer.places import places, playable
from gateway.resolver.records import Location, Record

CODE = "isli:999999-100000000000001-4"
BIG = Here("s", "bigscreen", "http://10.20.0.11", networks=(ip_network("10.20.0.0/24"),))
SMALL = Here("s", "smallscreen", "http://10.30.0.11", networks=(ip_network("10.30.0.0/24"),))
FAR, NEAR = {"url": "http://example.com/a"}, {"url": "http://10.20.0.99/a"}
BOX = {"release": CODE, "entry": "a.m3u8"}
ON = "http://10.20.0.11/r/999999-100000000000001-4/a.m3u8"


@pytest.mark.parametrize(
    ("locations", "here", "screen", "nearest"),
    [
        ([FAR, NEAR, BOX], BIG, None, ON),
        ([FAR, NEAR], BIG, None, NEAR["url"]),
        ([FAR, NEAR], SMALL, None, FAR["url"]),
        ([BOX | {"screens": ["small"]}, FAR], BIG, None, FAR["url"]),
        ([BOX | {"screens": ["small"]}], BIG, None, None),
        ([BOX | {"screens": ["small"]}, FAR], BIG, "small", ON),
        ([FAR | {"screens": ["big"]}, NEAR | {"screens": ["small"]}], Here("s", "culture"), None, FAR["url"]),
        ([BOX], Here("s", "culture"), None, None),
        ([], BIG, None, None),
    ],
)
def test_made_for_the_screen_goes_before_near(
    locations: list[Any], here: Here, screen: str | None, nearest: Any
) -> None:
    """A copy for the screen on the box, then in the zone, then elsewhere; one made for other screens alone is not played."""
    record = Record(code=CODE, title="x", body="b", locations=[Location(**one) for one in locations])
    found = places(known(record.dump()), here, screen)
    assert playable(found) == nearest
    assert len(found) == len(locations)
