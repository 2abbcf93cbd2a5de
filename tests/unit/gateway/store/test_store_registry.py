"""What other boxes get of the registry."""

from datetime import UTC, datetime
from pathlib import Path

from appliance.identity.keys import PrivateKey
from gateway.resolver import published
from gateway.resolver.published import Chunk, Snapshot
from gateway.store.registry import Mirror


def files(root: Path) -> set[str]:
    return {str(path.relative_to(root / "registry")) for path in root.rglob("*") if path.is_file()}


def test_what_was_put_last_is_read(tmp_path):
    """Nothing at first; then the newest, no leftovers of a writer that was killed, and nothing but a registry's files."""
    mirror = Mirror(tmp_path)
    mirror.prepare()
    assert mirror.open("head.json") is None
    (tmp_path / "registry" / ".head.json.half").write_bytes(b"x")
    for data in (b"one", b"two"):
        mirror.put("head.json", data)
        with mirror.open("head.json") as file:
            assert file.read() == data
    mirror.prepare()
    assert files(tmp_path) == {"head.json"}
    (tmp_path / "secret").write_bytes(b"x")
    for path in ("../secret", "tile", "tile/0/000", "", "head.json/x"):
        assert mirror.open(path) is None


def test_what_is_superseded_goes(tmp_path):
    """A wider tile takes the place of narrower ones, a snapshot those of the chunks that it does not name."""
    mirror = Mirror(tmp_path)
    mirror.prepare()
    for path in ("tile/0/000.p/3", "tile/0/000.p/7", "tile/entries/x001/234.p/9", "tile/entries/x001/234"):
        mirror.put(path, b"x")
    assert files(tmp_path) == {"tile/0/000.p/7", "tile/entries/x001/234"}
    named, other = "a" * 64, "b" * 64
    for sha256 in (named, other):
        mirror.put(published.chunk_name(sha256), b"x")
    chunk = Chunk(name=published.chunk_name(named), sha256=named, bytes=1, records=1, first="a", last="a")
    told = Snapshot(registry="c", size=1, root=named, made=datetime.now(UTC), count=1, chunks=[chunk])
    mirror.put("snapshot.json", published.seal(told, PrivateKey.generate()))
    assert mirror.open(published.chunk_name(other)) is None
    assert published.chunk_name(named) in files(tmp_path)


def test_a_disk_that_takes_it_not_stops_nothing(tmp_path, caplog):
    """The box's own table is in use already."""
    (tmp_path / "registry").write_bytes(b"in the way")
    Mirror(tmp_path).put("head.json", b"one")
    assert "older identifiers" in caplog.text
