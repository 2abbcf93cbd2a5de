"""The figures of a zone on their way to the controller."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.runtime.errors import Corrupt
from appliance.telemetry.served import Mean, Served, Title
from appliance.telemetry.served_text import LONGEST, read, write
from appliance.telemetry.sparkplug import LONGEST_TEXT

ZONE = Served(
    "bigscreen", "big", 1000.0, 10, 4096, 1024, 2, 1, 3, 5, 4, Mean(2.5, 5), Mean(40.0, 8), Mean(8e6, 4),
    {"no-token": 3, "unknown-path": 1}, (Title("999999-100000000000001-4", 5, 4, Mean(2.5, 5), Mean(8e6, 4)),),
)  # fmt: skip


def test_what_is_written_is_read() -> None:
    """A zone's figures arrive as they were; without titles where they are not wanted."""
    assert read("bigscreen", write(ZONE)) == ZONE
    assert read("bigscreen", write(ZONE, titles=False)).titles == ()


def test_the_text_fits_a_metric() -> None:
    """However long the names are: titles go first, then reasons, and the sums stay."""
    titles = tuple(Title("t" * 99 + str(number), 9**9, 9**9, Mean(9e9, 9**9), Mean(9e9, 9**9)) for number in range(10))
    wide = Served(**{**vars(ZONE), "titles": titles, "refusals": {chr(0x4E00 + n) * LONGEST: n for n in range(20)}})
    wider = Served(**{**vars(wide), "refusals": {f"{n}" * LONGEST: n for n in range(100)}})
    for one in (wide, wider):
        text = write(one)
        assert len(text) <= LONGEST_TEXT
        assert json.loads(text)["bytes"] == 4096
    assert len(json.loads(write(wider))["refusals"]) < 100
    assert json.loads(write(wider))["titles"] == []


@pytest.mark.parametrize(
    "changed",
    [
        {"requests": -1}, {"requests": True}, {"bytes": 1 << 54}, {"stalls": "9"}, {"start": [1]}, {"start": [-1, 1]},
        {"buffer": ["1", 1]}, {"bitrate": [True, 1]}, {"refusals": []}, {"refusals": {"": 1}}, {"refusals": {"a\nb": 1}},
        {"refusals": {str(n): 1 for n in range(21)}}, {"titles": {}}, {"titles": [[1, 2, 3, [0, 0], [0, 0]]]},
        {"titles": [["a", 2, 3, [0, 0]]]}, {"titles": [["a", 0, 0, [0, 0], [0, 0]]] * 11},
    ],
)  # fmt: skip
def test_what_no_box_tells_is_refused(changed: dict[str, object]) -> None:
    """Each figure that cannot be believed makes the whole text one that is passed over."""
    with pytest.raises(Corrupt):
        read("bigscreen", json.dumps(json.loads(write(ZONE)) | changed))


@given(st.text(max_size=300) | st.recursive(st.none() | st.floats() | st.text(), st.lists).map(json.dumps))
def test_any_text_gives_figures_or_is_refused(text: str) -> None:
    """Whatever a box sends, nothing else is raised."""
    with contextlib.suppress(Corrupt):
        assert read("bigscreen", text).zone == "bigscreen"


@pytest.mark.parametrize("zone", ["", "../x", "Z", "a" * 33])
def test_a_zone_has_a_zones_name(zone: str) -> None:
    """The name comes from a topic's metric."""
    with pytest.raises(Corrupt):
        read(zone, "{}")
