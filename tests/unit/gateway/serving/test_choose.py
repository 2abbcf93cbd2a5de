"""Ranges and conditions of RFC 9110, as a table and as properties."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.serving.choose import MOST, NotModified, Part, Parts, Unsatisfiable, Whole, choose

TAG = '"' + "0" * 64 + '"'


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ("bytes=0-", Part(0, 99)),
        ("bytes=0-0", Part(0, 0)),
        ("bytes=10-19", Part(10, 19)),
        ("bytes=90-1000", Part(90, 99)),
        ("bytes=99-", Part(99, 99)),
        ("bytes=-1", Part(99, 99)),
        ("bytes=-1000", Part(0, 99)),
        ("bytes=100-", Unsatisfiable()),
        ("bytes=-0", Unsatisfiable()),
        ("bytes=5-4", Whole()),
        ("bytes=-", Whole()),
        ("bytes=0-1,3-4", Parts((Part(0, 1), Part(3, 4)))),
        ("bytes=0-1, 98-, -1", Whole()),
        ("bytes=0-1, 90-97, -1", Parts((Part(0, 1), Part(90, 97), Part(99, 99)))),
        ("bytes=3-4,0-1", Whole()),
        ("bytes=0-1,2-3", Whole()),
        ("bytes=0-1,200-", Part(0, 1)),
        ("bytes=200-,300-", Unsatisfiable()),
        ("bytes=0-1,x", Whole()),
        ("bytes=" + ",".join(f"{3 * n}-{3 * n}" for n in range(MOST + 1)), Whole()),
        ("bytes = 0-1", Whole()),
        ("items=0-1", Whole()),
        ("bytes=a-b", Whole()),
        ("bytes=１-２", Whole()),
        ("bytes=" + "9" * 30 + "-", Whole()),
        ("", Whole()),
    ],
)
def test_ranges_of_a_hundred_bytes(wanted, expected):
    """One range is cut out, what is no range is ignored, what lies behind the end cannot be satisfied."""
    assert choose({"Range": wanted}, "GET", 100, TAG) == expected


@pytest.mark.parametrize(
    ("headers", "method", "expected"),
    [
        ({"If-None-Match": TAG}, "GET", NotModified()),
        ({"If-None-Match": f"W/{TAG}"}, "GET", NotModified()),
        ({"If-None-Match": f'"a", {TAG}'}, "HEAD", NotModified()),
        ({"If-None-Match": "*"}, "GET", NotModified()),
        ({"If-None-Match": '"a"'}, "GET", Whole()),
        ({"If-None-Match": TAG, "Range": "bytes=0-1"}, "GET", NotModified()),
        ({"If-Range": TAG, "Range": "bytes=0-1"}, "GET", Part(0, 1)),
        ({"If-Range": f"W/{TAG}", "Range": "bytes=0-1"}, "GET", Whole()),
        ({"If-Range": '"a"', "Range": "bytes=0-1"}, "GET", Whole()),
        ({"If-Range": "Sat, 29 Oct 1994 19:43:31 GMT", "Range": "bytes=0-1"}, "GET", Whole()),
        ({"Range": "bytes=0-1"}, "HEAD", Whole()),
        ({}, "GET", Whole()),
    ],
)
def test_conditions(headers, method, expected):
    """A condition that holds saves the body; a range for another version gives the whole."""
    assert choose(headers, method, 100, TAG) == expected


def test_empty_object_has_no_ranges():
    """Of nothing, nothing can be cut out."""
    assert choose({"Range": "bytes=0-"}, "GET", 0, TAG) == Unsatisfiable()
    assert choose({"Range": "bytes=-1"}, "GET", 0, TAG) == Unsatisfiable()
    assert choose({}, "GET", 0, TAG) == Whole()


@settings(max_examples=200, deadline=None)
@given(
    st.text(max_size=30) | st.tuples(st.integers(0, 300), st.integers(0, 300)).map(lambda p: f"bytes={p[0]}-{p[1]}"),
    st.integers(0, 200),
)
def test_a_part_lies_inside(wanted, size):
    """Whatever is asked, a part is not empty and lies inside the object."""
    choice = choose({"Range": wanted}, "GET", size, TAG)
    if isinstance(choice, Part):
        assert 0 <= choice.first <= choice.last < size
