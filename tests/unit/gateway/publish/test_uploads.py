"""What is wanted of a release on its way in, and what may be written next."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.runtime.errors import Refused
from gateway.publish.uploads import MOST_TOLD, Upload
from gateway.release.manifest import File, Release, Rights


def release(files):
    return Release(
        identifier="isli:999999-100000000000001-4",
        version=1,
        body="library",
        title="刘三姐",
        rights=Rights(zones=("bigscreen",)),
        entry=next(iter(files)),
        files={
            path: File(sha256=f"{digest:064x}", size=size, type="video/mp4") for path, (digest, size) in files.items()
        },
    )


def upload(files, offsets=None):
    made = Upload(release(files), b"", 0.0)
    made.want(list(files), {f"{digest:064x}": size for digest, size in (offsets or {}).items()})
    return made


def test_two_paths_of_one_digest_are_sent_once():
    """The bytes are named by their digest, whatever paths name them."""
    made = upload({"a": (1, 10), "b": (1, 10), "c": (2, 5)}, {1: 4})
    told = made.told()

    assert [(one["path"], one["offset"], one["size"]) for one in told["missing"]] == [("a", 4, 10), ("c", 0, 5)]
    assert (told["state"], told["wanted"], made.bytes_wanted) == ("incomplete", 2, 11)


def test_one_content_under_two_paths_is_taken_as_both():
    """The bytes are sent once, and taken in for each path: they may be served as two types."""
    made = upload({"a": (1, 10), "b": (1, 10)})
    part = next(iter(made.parts.values()))
    assert part.paths == ["a", "b"]
    part.stage = "stored"
    made.want(["b"], {})
    assert (part.paths, part.stage, part.offset) == (["b"], "wanted", 0)


def test_states_follow_the_parts():
    """Incomplete while bytes are wanted, checking while the exchange looks, then as it ended."""
    made = upload({"a": (1, 10), "b": (2, 5)}, {1: 10})
    one, two = made.parts.values()
    assert (one.stage, made.state, made.settled) == ("whole", "incomplete", False)
    assert two.take(5)
    assert made.state == "checking"
    one.stage = "stored"
    two.stage, two.refusal = "refused", Refused("digest-mismatch", "it is not the manifest's")
    assert (made.state, made.settled) == ("refused", True)
    assert [(fault["path"], fault["reason"]) for fault in made.told()["refused"]] == [("b", "digest-mismatch")]


def test_what_was_given_away_is_wanted_again():
    """A part that was stored and is missing again begins anew."""
    made = upload({"a": (1, 10)}, {1: 10})
    part = next(iter(made.parts.values()))
    part.stage = "stored"
    made.want(["a"], {})
    assert (part.stage, part.offset) == ("wanted", 0)


def test_an_empty_file_is_whole_at_once():
    """Nothing has to be sent of it."""
    made = upload({"a": (1, 0)})
    assert made.state == "checking"


def test_an_answer_names_a_bounded_number_of_files():
    """The others are named when these are in."""
    made = upload({f"f{number}": (number, 1) for number in range(MOST_TOLD + 5)})
    told = made.told()
    assert (len(told["missing"]), told["wanted"]) == (MOST_TOLD, MOST_TOLD + 5)


@given(st.integers(0, 100), st.integers(0, 1 << 63), st.none() | st.integers(0, 1 << 63))
def test_only_what_goes_on_is_appended(held, offset, length):
    """Any offset and length: allowed only at the end of what is here, and never beyond the manifest's size."""
    made = upload({"a": (1, 50)}, {1: min(held, 49)})
    part = next(iter(made.parts.values()))
    allowed = offset == part.offset and (length is None or offset + length <= 50)
    if allowed:
        part.judge(offset, length)
    else:
        with pytest.raises(Refused) as error:
            part.judge(offset, length)
        assert error.value.reason in ("offset-mismatch", "too-large")
