"""What a registry publishes: signed heads, and where things lie."""

import contextlib
from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from appliance.identity import envelope
from appliance.identity.keys import PrivateKey
from appliance.runtime.errors import Corrupt, Refused
from gateway.fetch.decide import fault_in
from gateway.resolver import published
from gateway.resolver.codes import SCHEMES, WrongCode, parse
from gateway.resolver.published import HEAD_KIND, Chunk, Head, Snapshot

KEY = PrivateKey.generate()
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def chunk(first: str, last: str, records: int = 2) -> Chunk:
    sha256 = f"{hash((first, last)) & 0xFFFF:064x}"
    return Chunk(name=published.chunk_name(sha256), sha256=sha256, bytes=9, records=records, first=first, last=last)


def snapshot(*chunks: Chunk, count: int = 2) -> Snapshot:
    return Snapshot(registry="centre", size=9, root="ab" * 32, made=NOW, count=count, chunks=list(chunks))


@pytest.mark.parametrize(
    "value", [Head(registry="centre", size=3, root="ab" * 32, made=NOW), snapshot(chunk("a", "b"))]
)
def test_what_was_sealed_is_unsealed(value: Head | Snapshot) -> None:
    """unseal(seal(x)) == x, by the right key alone."""
    sealed = published.seal(value, KEY)
    assert published.unseal(type(value), sealed, [KEY.public]) == (value, KEY.public)
    with pytest.raises(Refused, match="none of the keys"):
        published.unseal(type(value), sealed, [PrivateKey.generate().public])


@given(st.binary(max_size=200) | st.from_regex(rb'\{"registry":"c","size":\d,"root":"[0-9a-f]{64}","made":.*\}'))
def test_any_signed_bytes_are_a_head_or_corrupt(payload: bytes) -> None:
    """Whatever the registry's key signed, it is understood or called damaged."""
    with contextlib.suppress(Corrupt):
        published.unseal(Head, envelope.seal(payload, HEAD_KIND, KEY), [KEY.public])


def test_a_snapshot_is_in_order_and_whole() -> None:
    """Chunks that overlap, or hold another number of records than is told, are no snapshot."""
    assert snapshot(chunk("a", "b"), chunk("c", "c", 1), count=3)
    for chunks, count in (
        ([chunk("a", "c"), chunk("c", "d")], 4),
        ([chunk("a", "b")], 3),
        ([chunk("c", "d"), chunk("a", "b")], 4),
    ):
        with pytest.raises(ValidationError):
            snapshot(*chunks, count=count)
    with pytest.raises(ValidationError):
        chunk("b", "a")


@pytest.mark.parametrize(
    ("level", "number", "size", "path"),
    [
        ("entries", 0, 5, "tile/entries/000.p/5"),
        ("entries", 0, 256, "tile/entries/000"),
        ("entries", 1234, 1234 * 256 + 7, "tile/entries/x001/234.p/7"),
        (0, 1, 300, "tile/0/001.p/44"),
        (1, 0, 300, "tile/1/000.p/1"),
    ],
)
def test_where_a_tile_lies(level: int | str, number: int, size: int, path: str) -> None:
    """A tile that is not full yet is named by its width (c2sp.org/tlog-tiles), and may be asked for."""
    assert published.tile(level, number, size) == path
    assert published.is_path(path)


@pytest.mark.parametrize(
    "path", ["", "../head.json", "head.json/x", "tile/0/1", "tile/9/000", "snapshot/x", "lookup/x", "tile/0/000\n"]
)
def test_nothing_else_is_asked_for(path: str) -> None:
    """What the replica names beyond that is not fetched."""
    assert not published.is_path(path)


@given(
    st.text(max_size=60).map(lambda text: f"hdl:20.500/{text}") | st.sampled_from([s.example for s in SCHEMES.values()])
)
@example("hdl:20.500/a?b#c%2F~3F\\d/.e")
@example("doi:10.1000/~7e")
def test_every_code_can_be_asked_for(written: str) -> None:
    """Whatever a code holds, fetch takes the path that asks for it, and the registry reads the same code in it."""
    with contextlib.suppress(WrongCode):
        code = parse(written).canonical
        path = published.lookup_path(code)
        assert fault_in(f"/registry/{path}") == ""
        assert published.looked_up(path.removeprefix(published.LOOKUP)) == code
