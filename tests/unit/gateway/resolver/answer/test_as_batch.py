"""Batches: any bytes, any record."""

import json
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.resolver.answer.as_batch import MOST, lines, parse_batch
from gateway.resolver.answer.here import Here
from gateway.resolver.answer.outcome import Source
from gateway.resolver.records import Link, Location, Record, Rights

NOW = datetime(2026, 1, 2, tzinfo=UTC)
SOURCE = Source("centre", 7, NOW - timedelta(hours=1))
BOX = Here("headend", "bigscreen", "http://10.20.0.11")
FILM, OTHER = "isli:999999-100000000000001-4", "isli:999999-000000000000001-5"
PLAYS = "http://10.20.0.11/r/999999-100000000000001-4/"


def ask(records: Sequence[Record], *asked: str) -> tuple[list[dict[str, Any]], Counter[tuple[str, str]]]:
    table = {record.code.encode(): record.dump() for record in records}

    def many(keys: Sequence[bytes]) -> list[bytes | None]:
        assert all(0 < len(key) < 512 for key in keys)  # LMDB takes no others
        return [table.get(key) for key in keys]

    counted: Counter[tuple[str, str]] = Counter()
    found = lines([one.encode(errors="surrogatepass") for one in asked], many, SOURCE, BOX, NOW, counted)
    return [json.loads(line) for line in found.split(b"\n")[:-1]], counted


def film(code: str = FILM, entry: str = "a.m3u8", **more: Any) -> Record:
    links = [Link(type="source", target='doi:10.1000/a"]}b'), Link(type="source", target=OTHER)]
    where = [Location(release=FILM, entry=entry)]
    return Record(code=code, **{"title": "刘三姐", "body": "film", "locations": where, "links": links} | more)


def test_each_code_has_its_line() -> None:
    """Canonical or not, wrong, unknown, withdrawn or hidden: the order is that of the question, and every line is counted."""
    records = [
        film(),
        film(OTHER, status="withdrawn", reason="版权到期"),
        film("doi:10.1000/x", rights=Rights(zones=("culture",))),
    ]
    told, counted = ask(
        records,
        FILM,
        "ISLI 999999-100000000000001-4",
        "nonsense",
        "doi:10.1000/1",
        OTHER,
        "doi:10.1000/x",
        "\udcff",
        "",
        "x" * 600,
    )
    assert [one.get("reason", one.get("playable")) for one in told] == [
        PLAYS + "a.m3u8",
        PLAYS + "a.m3u8",
        "not-a-code",
        "unknown-code",
        "withdrawn",
        "unknown-code",
        "not-a-code",
        "not-a-code",
        "not-a-code",
    ]
    assert [one["asked"] for one in told][:3] == [FILM, "ISLI 999999-100000000000001-4", "nonsense"]
    assert told[1]["code"] == FILM
    assert counted["isli", "document"] == 2
    assert counted.total() == 9


def test_links_are_left_out_and_everything_else_is_told() -> None:
    """Whatever brackets and quotation marks stand in links, a record without them is what its body signed."""
    (one,), _ = ask([film()], FILM)
    assert one["record"] == {key: value for key, value in json.loads(film().dump()).items() if key != "links"}


@settings(max_examples=50)
@given(
    st.fixed_dictionaries(
        {
            "title": st.text('a"\\\\,:{电', min_size=1, max_size=9),
            "entry": st.sampled_from(["a.m3u8", "影片.m3u8", "a@(1)/c~2.mpd"]),
            "metadata": st.dictionaries(
                st.sampled_from(["status", "rights", "links", "locations", "note"]),
                st.sampled_from(["registered", "withdrawn", '"status":"registered"', ',"rights":', '"links":[]']),
            ),
            "status": st.sampled_from(["registered", "withdrawn", "reserved"]),
            "rights": st.sampled_from([None, Rights(), Rights(zones=("culture",)), Rights(zones=("bigscreen",))]),
        }
    )
)
def test_the_short_way_and_the_long_way_say_the_same(said: dict[str, Any]) -> None:
    """Whatever stands in titles and metadata, the table's own bytes are told only of what is registered and seen everywhere."""
    record = film(**said)
    (short,), _ = ask([record], FILM)
    (long,), _ = ask([record], f" {FILM}")
    assert {key: value for key, value in long.items() if key not in ("asked", "code")} == {
        key: value for key, value in short.items() if key != "asked"
    }
    assert ("record" in short) == (
        record.status == "registered" and record.rights in (None, Rights(), Rights(zones=("bigscreen",)))
    )


@given(st.binary(max_size=200), st.sampled_from(["application/json", "text/plain"]))
def test_any_body_is_a_list_of_codes_or_none(body: bytes, kind: str) -> None:
    """Any bytes are read as a list of texts, or refused."""
    try:
        listed = parse_batch(body, kind)
    except ValueError:
        return
    assert all(one.decode(errors="surrogatepass").encode(errors="surrogatepass") == one for one in listed)


@given(st.text(st.sampled_from("ab \n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029\u3000电"), max_size=30))
def test_lines_are_those_of_the_text(text: str) -> None:
    """Whatever ends a line in Unicode ends one here, and a line of blanks is none."""
    told = [line for line in text.splitlines() if line.strip()]
    assert [one.decode() for one in parse_batch(text.encode(), "text/plain")] == told


def test_a_batch_is_bounded() -> None:
    """Ten thousand codes are a batch; one more is none."""
    assert len(parse_batch(b"1\n" * MOST, "text/plain")) == MOST
    with pytest.raises(ValueError, match="at most 10000"):
        parse_batch(b"1\n" * (MOST + 1), "text/plain")
    assert parse_batch(b'{"codes": ["1"]}', "application/json") == [b"1"]
