"""What a level takes from a record's bytes."""

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from appliance.runtime.errors import Corrupt
from gateway.resolver.level import links_of

TEXTS = st.text(st.sampled_from('ab:/.{}[],"\\ü\x00')) | st.sampled_from(['"}]', '"},{"target":"', '","type":"', "x],"])


def dumped(links: object) -> bytes:
    told = {"code": "isli:1", "links": links, "status": "registered", "title": 't","x":[{"target":"no","type":"no"}]'}
    return json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode()


@given(st.lists(st.tuples(TEXTS, TEXTS), max_size=4))
@example([("doi:10.1000/1", "source"), ("isli:999999-100000000000001-4", "related")])
def test_links_are_those_that_json_tells(links: list[tuple[str, str]]) -> None:
    """Whatever stands in them, read quickly or as JSON, they are the same."""
    record = dumped([{"target": target, "type": kind} for target, kind in links])
    assert links_of(record) == [(kind, target) for target, kind in links]


@pytest.mark.parametrize(
    "links",
    [
        [{"target": "a"}],
        [{"target": "a"}, {"target": "b", "type": "x", "more": "y"}],
        [{"target": 1, "type": "x"}, 2],
        ["a"],
        [{}],
    ],
)
def test_what_is_no_link_is_damaged(links: object) -> None:
    """A link without a type, or something else in its place."""
    with pytest.raises(Corrupt):
        links_of(dumped(links))


def test_another_form_of_json_is_understood() -> None:
    """Keys in another order, and one more: slower, and the same."""
    assert links_of(dumped([{"type": "source", "target": "a"}])) == [("source", "a")]
    assert links_of(dumped([{"target": "a", "type": "source", "x": "y"}])) == [("source", "a")]
