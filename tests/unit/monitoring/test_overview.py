from __future__ import annotations

import pytest

from monitoring.fleet import Box
from monitoring.overview import Standing, Used, agreement, overview, standing, total, wanted_of


@pytest.mark.parametrize(
    ("wanted", "enforced", "expected"),
    [("a", "a", "equal"), ("a", "b", "differs"), ("", "b", "unknown"), ("a", "", "unknown"), ("", "", "unknown")],
)
def test_agreement(wanted: str, enforced: str, expected: str) -> None:
    """Only two known digests can be compared."""
    assert agreement(wanted, enforced) == expected


def test_standing_keeps_its_time() -> None:
    """'Since when' moves only when the agreement changes, not with each new digest that agrees."""
    first = standing(None, "a", "b", 10.0)
    assert first == Standing("differs", 10.0)
    assert standing(first, "c", "b", 20.0) is first
    assert standing(first, "b", "b", 30.0) == Standing("equal", 30.0)


def test_the_operators_word_goes_before_the_boxs() -> None:
    """What is asked is read in the operator's folder where it has the site, else from the box."""
    box = Box("headend", metrics={"policy/wanted": "box"})
    assert wanted_of(box, {"headend": "operator"}) == "operator"
    assert wanted_of(box, {}) == "box"


def test_boxes_that_need_somebody_come_first() -> None:
    """Ill boxes, then those never heard, then the well ones; a site with a policy alone is listed too."""

    def box(site: str, state: str) -> Box:
        metrics = {"policy/enforced": "a", "policy/wanted": "a", "policy/state": state}
        return Box(site, online=True, seen=1.0, metrics=metrics)

    fleet = {"a": box("a", "enforced"), "b": box("b", "drift")}
    views = overview(fleet, {"c": "a"}, {}, [("a", Used("r", 2, 10, 1, 1)), ("a", Used("", 1))], {}, 5.0)
    assert [view.site for view in views] == ["b", "c", "a"]
    assert views[2].used == Used("", 3, 10, 1, 1)
    assert [one.release for one in views[2].top] == ["r"]
    told = views[1].told()
    assert (told["online"], told["last_seen"], told["wanted"], told["enforced"]) == (False, None, "a", None)


def test_hit_share() -> None:
    """The share counts requests for content only, and is none where there were none."""
    assert total([Used("a", 10, 0, 3, 1), Used("b")]).hit_share == 0.75
    assert Used("b", 5).hit_share is None
