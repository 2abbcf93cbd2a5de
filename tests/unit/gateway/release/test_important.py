"""Important data: by label, by the operator's catalogue, by what it is made of; only towards zones that are outside."""

import pytest

from gateway.isolation.content import Important
from gateway.release import important
from gateway.release.manifest import File, Release, Rights, Source

ARCHIVE, OTHER = "isli:999999-100000000000001-4", "isli:999999-123456789012345-8"
RULES = Important(outside=("culture", "bigscreen"), labels=("important", "core"), identifiers=("isli:999999-10",))


def release(**told):
    fields = {
        "identifier": OTHER,
        "version": 1,
        "body": "library",
        "title": "刘三姐",
        "rights": Rights(zones=("bigscreen",)),
        "entry": "a.mp4",
        "files": {"a.mp4": File(sha256="0" * 64, size=1, type="video/mp4")},
    }
    return Release(**{**fields, **told})


MADE_OF = Source(release=ARCHIVE, body="museum", act="reconstruct", grant="{}")


@pytest.mark.parametrize(
    ("told", "zone", "refused"),
    [
        ({}, "culture", False),
        ({"labels": ("film",)}, "culture", False),
        ({"labels": ("film", "core")}, "culture", True),
        ({"labels": ("important",)}, "bigscreen", True),
        ({"labels": ("important",)}, "institution", False),
        ({"identifier": ARCHIVE}, "culture", True),
        ({"identifier": ARCHIVE}, "institution", False),
        ({"sources": (MADE_OF,)}, "culture", True),
        ({"sources": (MADE_OF,)}, "institution", False),
    ],
)
def test_what_is_important_stays_inside(told, zone, refused):
    """The label, the catalogue or a source makes it important; a zone that is not outside may have it."""
    assert bool(important.by_release(RULES, release(**told), zone)) == refused
    assert important.by_release(None, release(**told), zone) == ""


def test_the_catalogue_speaks_before_the_release_is_known():
    """A code in the catalogue is enough: nobody is asked for the release first."""
    assert "catalogue" in important.by_code(RULES, ARCHIVE, "culture")
    assert important.by_code(RULES, OTHER, "culture") == ""
    assert important.by_code(RULES, ARCHIVE, "institution") == ""
    assert important.by_code(None, ARCHIVE, "culture") == ""
