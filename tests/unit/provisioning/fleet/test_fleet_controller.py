"""What the controller answers about boxes."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.runtime.errors import Corrupt, Unreachable
from provisioning.fleet import controller
from provisioning.fleet.controller import Report


def test_boxes_are_read():
    """A box's digest, state and presence are taken; what a silent one lacks is None."""
    told = {
        "boxes": [
            {"site": "edge", "enforced": "ab", "state": "enforced", "online": True, "faults": []},
            {"site": "new", "enforced": None},
        ]
    }

    assert controller.parse(json.dumps(told).encode()) == {
        "edge": Report("edge", "ab", "enforced", True),
        "new": Report("new", None, "", False),
    }


keys = st.sampled_from(["boxes", "site", "enforced"])
told = st.recursive(
    st.none() | st.text(max_size=5), lambda v: st.lists(v, max_size=3) | st.dictionaries(keys, v, max_size=3)
)


@given(st.one_of(st.binary(max_size=100), told.map(lambda value: json.dumps(value).encode())))
def test_any_bytes_are_reports_or_corrupt(data: bytes):
    """Any bytes give reports or Corrupt."""
    try:
        found = controller.parse(data)
    except Corrupt:
        return
    assert all(isinstance(report, Report) for report in found.values())


def test_a_controller_that_is_away_is_unreachable():
    """Nobody at the address is Unreachable, not a crash."""
    with pytest.raises(Unreachable, match="does not answer"):
        controller.boxes("http://127.0.0.1:1")
