"""What a permit lets pass, as a table."""

import dataclasses
import hashlib
import time
from ipaddress import ip_network

import pytest

from appliance.runtime.errors import Refused
from gateway.permission.judge import Asked, Here, judge, part_of
from gateway.permission.permit import CONTAINS, EXACT, PREFIX, REGEX, SHA256, SUFFIX, Comparison, Permit

URI = "http://10.20.0.11:8080/r/999999-1/video/0001.tar.gz?a=1"
ASKED = Asked("GET", URI, "10.20.0.5", {"user-agent": "tv"})
HERE = Here(("headgate", "headend", "bigscreen"), "CN-GX", 30.0)
PERMIT = Permit("portal", until=1000.0, since=500.0)
NOW = 700.0


def told(now=NOW, **changed):
    """Return why it is refused, or None."""
    try:
        judge(dataclasses.replace(PERMIT, **changed), ASKED, HERE, now)
    except Refused as refused:
        return refused.reason
    return None


def test_what_is_not_limited_passes():
    """A permit with a time alone."""
    assert told() is None


@pytest.mark.parametrize(
    ("now", "reason"), [(1030, None), (1031, "token-expired"), (470, None), (469, "token-not-yet")]
)
def test_clocks_may_differ_by_the_skew(now, reason):
    """Thirty seconds at either end, not one more."""
    assert told(now=now) == reason


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"audience": ("headend",)}, None),
        ({"audience": ("edge",)}, "token-elsewhere"),
        ({"territories": ("CN-GX",)}, None),
        ({"territories": ("CN-GD",)}, "token-elsewhere"),
        ({"territories": ()}, "token-elsewhere"),
        ({"networks": (ip_network("10.20.0.0/24"),)}, None),
        ({"networks": (ip_network("10.30.0.0/24"), ip_network("2001:db8::/32"))}, "token-elsewhere"),
        ({"methods": ("GET", "HEAD")}, None),
        ({"methods": ("HEAD",)}, "token-not-for-this"),
        ({"headers": {"user-agent": (Comparison("header", EXACT, "tv"),)}}, None),
        ({"headers": {"user-agent": (Comparison("header", EXACT, "phone"),)}}, "token-not-for-this"),
        ({"headers": {"absent": (Comparison("header", EXACT, "tv"),)}}, "token-not-for-this"),
    ],
)
def test_limits(changed, reason):
    """Each limit lets its own pass and nothing else."""
    assert told(**changed) == reason


@pytest.mark.parametrize(
    ("test", "holds"),
    [
        (Comparison("path", PREFIX, "/r/999999-1/"), True),
        (Comparison("path", PREFIX, "/r/999999-2/"), False),
        (Comparison("path", SUFFIX, ".gz"), True),
        (Comparison("path", SUFFIX, ".ts"), False),
        (Comparison("path", CONTAINS, "video"), True),
        (Comparison("path", CONTAINS, "audio"), False),
        (Comparison("path", EXACT, "/r/"), False),
        (Comparison("path", REGEX, r"^/r/[0-9-]+/"), True),
        (Comparison("path", REGEX, r"^/x/"), False),
        (Comparison("path", REGEX, r"("), False),
        (Comparison("host", SHA256, hashlib.sha256(b"10.20.0.11").digest()), True),
        (Comparison("host", SHA256, hashlib.sha256(b"10.20.0.12").digest()), False),
        (Comparison("path", 9, "/r/"), False),
    ],
)
def test_comparisons(test, holds):
    """Each way to compare, also one that is none."""
    assert told(tests=(test,)) == (None if holds else "token-not-for-this")


def test_parts_of_a_uri():
    """As CTA-5007 names them; a file's stem ends at its first dot."""
    names = ("scheme", "host", "port", "path", "query", "parent-path", "filename", "stem", "extension", "uri")
    assert [part_of(URI, name) for name in names] == [
        "http", "10.20.0.11", "8080", "/r/999999-1/video/0001.tar.gz", "a=1", "/r/999999-1/video", "0001.tar.gz", "0001", ".tar.gz", URI,
    ]  # fmt: skip
    assert part_of("http://a/", "port") == "80"


def test_a_pattern_cannot_make_the_box_busy():
    """What takes other engines longer than the universe lasts, takes this one no time."""
    began = time.process_time()
    asked = dataclasses.replace(ASKED, uri="http://a/" + "a" * 4000 + "!")
    with pytest.raises(Refused):
        judge(dataclasses.replace(PERMIT, tests=(Comparison("path", REGEX, r"^/(a+)+$"),)), asked, HERE, NOW)
    assert time.process_time() - began < 5
