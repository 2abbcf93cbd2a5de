"""The signed table that other boxes get."""

from gateway.store.registry import SignedTable


def test_what_was_put_last_is_read(tmp_path):
    """Nothing at first; then the newest, and no leftovers of a writer that was killed."""
    table = SignedTable(tmp_path)
    table.prepare()
    assert table.open() is None
    (tmp_path / "registry" / ".identifiers.json.half").write_bytes(b"x")
    for data in (b"one", b"two"):
        table.put(data)
        with table.open() as file:
            assert file.read() == data
    table.prepare()
    assert [path.name for path in (tmp_path / "registry").iterdir()] == ["identifiers.json"]


def test_a_disk_that_takes_it_not_stops_nothing(tmp_path, caplog):
    """The box's own table is in use already."""
    SignedTable(tmp_path / "none").put(b"one")
    assert "older table of identifiers" in caplog.text
