"""What is told of a record without reading it whole is what reading it would tell."""

import json

import pytest

from gateway.resolver.answer.raw import one_copy, targets_of
from gateway.resolver.records import Link, Location, Record

ISLI = "isli:999999-100000000000001-4"


def record(*targets: str) -> bytes:
    links = [Link(type="related", target=target) for target in targets]
    return Record(
        code=ISLI, title='"links":[', body="library", links=links, locations=[Location(release=ISLI, entry="a.mp4")]
    ).dump()


@pytest.mark.parametrize(
    "targets",
    [
        (),
        ("doi:10.1000/182",),
        ("doi:10.1000/x],", "doi:10.1000/hidden"),
        ('doi:10.1000/x"}],', "doi:10.1000/hidden"),
        ('doi:10.1000/x"}],"locations":[{"entry":"a', "doi:10.1000/hidden"),
        ("doi:10.1000/x\\", 'doi:10.1000/"'),
        ("hdl:20.500/影片", "doi:10.1000/{}"),
    ],
)
def test_links_end_where_they_end_whatever_their_targets_look_like(targets: tuple[str, ...]) -> None:
    """No target is overlooked, since one may be hidden here; and what is left without them is the rest of the record."""
    dump = record(*targets)
    found = targets_of(dump)
    assert found is None or [one.decode() for one in found] == list(targets)
    assert (found is None) == any(c in target for target in targets for c in '"\\')
    expected = json.loads(dump)
    expected.pop("links", None)
    quick = one_copy(dump)
    assert quick is not None
    entry, release, before, behind = quick
    assert (release, entry, json.loads(before + behind)) == (b"999999-100000000000001-4", b"a.mp4", expected)
