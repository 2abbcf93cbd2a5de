"""CDN-Loop as boxes write and read it."""

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.runtime.errors import Refused
from gateway.fetch import loops

SITES = st.lists(st.from_regex(loops.SITE, fullmatch=True), max_size=loops.DEEPEST)


@given(SITES)
def test_what_is_written_is_read_again(sites):
    """The list comes through as it was."""
    assert loops.read(loops.written(sites)) == tuple(sites)


@pytest.mark.parametrize(
    ("value", "sites"),
    [
        ("", ()),
        ('foo123.foocdn.example, headgate;site=a, barcdn.example; trace="abc,def"', ("a",)),
        ('headgate ; site="a" ,headgate;v=1;site=b', ("a", "b")),
        ("headgate", ()),
        ("other;site=a", ()),
    ],
)
def test_entries_of_others_are_left_alone(value, sites):
    """The forms of RFC 8586 are read; only ours name sites."""
    assert loops.read(value) == sites


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=100) | st.text(alphabet='headgate;site=a", ', max_size=60))
def test_any_text_gives_sites_or_a_refusal(value):
    """Whatever a header holds."""
    with contextlib.suppress(Refused):
        assert all(site.isascii() for site in loops.read(value))


def test_long_headers_are_refused():
    """Before they are looked at."""
    with pytest.raises(Refused):
        loops.read("a, " * loops.LONGEST)


def test_a_question_passes_a_box_once():
    """Its own site in the list is a loop, and too many boxes are one too."""
    loops.check(["a", "b"], "c")
    for sites in (["a", "c"], [f"box-{n}" for n in range(loops.DEEPEST + 1)]):
        with pytest.raises(Refused) as error:
            loops.check(sites, "c")
        assert (error.value.reason, error.value.status) == ("loop", 508)
