"""Records from the wire."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.runtime.errors import Corrupt
from gateway.resolver.codes import check_digit
from gateway.resolver.records import LONGEST_RECORD, Record, parse_record

CODE, OTHER = "isli:999999-100000000000001-4", "isli:999999-000000000000001-5"
GOOD: dict[str, Any] = {"code": CODE, "title": "刘三姐", "body": "guangxi-film"}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"code": "isli:999999-100000000000001-5"}, "should be 4"),
        ({"code": "ISLI 999999-100000000000001-4"}, "is written 'isli:999999-100000000000001-4'"),
        ({"title": ""}, "at least 1"),
        ({"title": "a\nb"}, "control characters"),
        ({"body": "Not A Name"}, "pattern"),
        ({"status": "gone"}, "registered"),
        ({"locations": [{}]}, "'release' and 'entry', or 'url'"),
        ({"locations": [{"release": CODE}]}, "'release' and 'entry', or 'url'"),
        ({"locations": [{"release": CODE, "entry": "../x"}]}, "no path of a file inside"),
        ({"locations": [{"release": CODE, "entry": "/etc/passwd"}]}, "no path of a file inside"),
        ({"locations": [{"release": "doi:10.1000/1", "entry": "x"}]}, "goes by its ISLI code"),
        ({"locations": [{"url": "javascript:alert(1)"}]}, "pattern"),
        ({"locations": [{"url": "http://a/\r\nSet-Cookie: x"}]}, "locations.0.url"),
        ({"links": [{"type": "Multi Media", "target": CODE}]}, "GB/T 38378"),
        ({"metadata": {"Key": "x"}}, "pattern"),
        ({"surprise": 1}, "surprise"),
        ({"links": [{"type": "same-as", "target": CODE}] * 257}, "at most 256"),
        ({"status": "superseded"}, "needs it"),
        ({"superseded_by": OTHER}, "belongs to the status"),
        ({"status": "superseded", "superseded_by": CODE}, "takes its own place"),
        ({"rights": {"screens": ["huge"]}}, "rights.screens"),
        ({"rights": {"since": "2026-01-02T00:00:00Z", "until": "2026-01-01T00:00:00Z"}}, "'until' is not after"),
        ({"rights": {"bodies": ["x"]}}, "rights.bodies"),
        ({"ttl": 0}, "ttl"),
    ],
)
def test_a_wrong_record_is_told_with_its_place(changes: dict[str, Any], words: str) -> None:
    """What the schema does not allow is Corrupt, with the place and the fault."""
    with pytest.raises(Corrupt) as corrupt:
        parse_record(json.dumps(GOOD | changes).encode())
    assert words in str(corrupt.value)


@pytest.mark.parametrize("payload", [b"", b"[" * 40_000, b"\xff"])
def test_what_is_no_json_is_corrupt(payload: bytes) -> None:
    """Neither nothing, nor depth, nor bytes that are no text do more harm."""
    with pytest.raises(Corrupt, match="JSON"):
        parse_record(payload)


def test_a_dump_is_canonical_and_says_nothing_twice() -> None:
    """A dump has sorted keys, no blanks, always a status, and nothing that has its default."""
    whole = GOOD | {
        "status": "superseded",
        "superseded_by": OTHER,
        "rights": {"zones": ["bigscreen"], "territories": ["45"], "until": "2027-01-01T00:00:00+08:00"},
        "ttl": 60,
    }
    told = parse_record(json.dumps(whole).encode()).dump()
    assert json.loads(told) == whole
    assert told == json.dumps(whole, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
    assert json.loads(parse_record(json.dumps(GOOD).encode()).dump()) == GOOD | {"status": "registered"}


def test_a_record_is_bounded() -> None:
    """What would not fit into an entry of the log is Corrupt before it is parsed."""
    with pytest.raises(Corrupt, match="at most"):
        parse_record(json.dumps(GOOD | {"title": "x" * LONGEST_RECORD}).encode())


CODES = st.integers(0, 10**21 - 1).map(
    lambda n: f"isli:{n:021}"[:11] + f"-{n:021}"[:1] + f"{n:021}"[6:] + f"-{check_digit(f'{n:021}')}"
)
TEXT = st.text(st.characters(categories=["L", "N", "P"]), min_size=1, max_size=20)
RECORDS = st.builds(
    lambda code, title, status, metadata: Record(code=code, title=title, status=status, body="b", metadata=metadata),
    CODES,
    TEXT,
    st.sampled_from(["registered", "withdrawn", "reserved"]),
    st.dictionaries(st.from_regex(r"[a-z][a-z0-9-]{0,9}", fullmatch=True), TEXT, max_size=3),
)


@settings(max_examples=60)
@given(RECORDS)
def test_what_is_written_reads_back_the_same(record: Record) -> None:
    """A record survives dump and parse."""
    assert parse_record(record.dump()) == record


@settings(max_examples=150)
@given(
    st.binary(max_size=200)
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(st.sampled_from(["code", "title", "body", "links", "status", "x"]), inner, max_size=5)
        ),
        max_leaves=12,
    ).map(lambda value: json.dumps(value).encode())
)
def test_any_bytes_are_a_record_or_corrupt(payload: bytes) -> None:
    """Any bytes give a Record or Corrupt, and nothing else."""
    with contextlib.suppress(Corrupt):
        assert isinstance(parse_record(payload), Record)
