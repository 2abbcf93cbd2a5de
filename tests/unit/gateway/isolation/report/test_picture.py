"""The drawing: every zone and lane is there, nothing overlaps, what is not shown is not claimed."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from gateway.isolation.report import picture
from gateway.isolation.report.model import Audit


def test_every_zone_and_lane_is_drawn(good: Audit):
    """The picture is the policy."""
    drawn = picture.draw(good)

    assert {one.zone.name for one in drawn.compartments} == {zone.name for zone in good.zones}
    assert [one.lane for one in drawn.arrows] == list(good.lanes)
    assert all(cut.shown for cut in drawn.cuts)
    assert not drawn.bridges


@pytest.mark.parametrize("number", [0, 1, 2, 3, 5])
def test_compartments_do_not_overlap(good: Audit, number: int):
    """Whatever zones a site has, they fit."""
    drawn = picture.draw(replace(good, zones=good.zones[:number]))
    for one, other in itertools.combinations(drawn.compartments, 2):
        assert one.left != other.left or one.y + one.height < other.y or other.y + other.height < one.y
    assert all(one.y > 0 and one.y + one.height < drawn.height for one in drawn.compartments)


def test_what_was_found_is_drawn_and_no_gap_claimed(bad: Audit):
    """A bridge is a red line between its zones, and nothing beside it says that no path is there."""
    drawn = picture.draw(bad)

    assert [one.label for one in drawn.bridges] == ["foreign-link", "thread-in-two-zones"]
    assert not any(cut.shown for cut in drawn.cuts)


def test_very_many_lanes_are_counted(good: Audit):
    """Lanes beyond the picture's room are told as a number; the table holds them all."""
    drawn = picture.draw(replace(good, lanes=good.lanes * 20))

    assert len(drawn.arrows) + drawn.more_lanes == len(good.lanes) * 20


def test_a_lane_of_an_unknown_zone_draws_nothing(good: Audit):
    """An audit that was read from a file may name anything."""
    drawn = picture.draw(replace(good, lanes=(replace(good.lanes[0], source="elsewhere"),)))

    assert drawn.arrows == ()


@pytest.mark.parametrize(
    ("text", "shown"), [("short", "short"), ("x" * 50, "x" * 7 + "…"), ("广西壮族自治区图书馆", "广西壮…")]
)
def test_text_is_cut_to_its_room(text: str, shown: str):
    """A Chinese letter is as wide as it is high."""
    assert picture.fit(text, 48, 10) == shown
