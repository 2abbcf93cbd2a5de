"""The table on disk: whole or not there, in levels of which the newest counts."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from appliance.runtime.errors import Corrupt
from gateway.resolver import level
from gateway.resolver.codes import check_digit
from gateway.resolver.levels import Head
from gateway.resolver.records import Record
from gateway.resolver.table import Edge, Table
from gateway.resolver.walks import Asked, walk
from gateway.resolver.writing import Writer
from tests.registries import put

MADE = datetime(2026, 1, 1, tzinfo=UTC)


def code(number: int) -> str:
    payload = f"999999{number:015}"
    return f"isli:999999-{number:015}-{check_digit(payload)}"


def install(folder: Path, serial: int, count: int = 3, title: str = "film") -> None:
    """Make a table of its own the current one."""
    records = [Record(code=code(n), title=f"{title} {n} of {serial}", body="library") for n in range(count)]
    put(folder, serial, records, MADE)


def head(size: int) -> Head:
    return Head("centre", size, f"{size:064x}", MADE)


def item(number: int, title: str, *links: tuple[str, int]) -> tuple[bytes, bytes]:
    told = {"code": code(number), "title": title, "body": "library"}
    if links:
        told["links"] = [{"target": code(target), "type": kind} for kind, target in links]
    return code(number).encode(), json.dumps(told, sort_keys=True, separators=(",", ":")).encode()


def title_of(table: Table, number: int) -> str:
    found = table.raw(code(number))
    assert found is not None
    return str(json.loads(found)["title"])


def sources(table: Table, number: int) -> list[tuple[str, str]]:
    return [(edge.type, edge.source) for edge in table.backward(code(number)).edges]


@pytest.fixture
def writer(tmp_path: Path) -> Writer:
    made = Writer(tmp_path)
    made.prepare()
    return made


def test_an_installed_table_answers(tmp_path: Path) -> None:
    """What was installed is found by its code, and the table says what it is."""
    install(tmp_path, 7)
    table = Table.open(tmp_path)
    found = table.get(code(2))
    assert found is not None
    assert found.title == "film 2 of 7"
    assert table.get(code(3)) is None
    info = table.info()
    assert info is not None
    assert (info.registry, info.serial, info.made, info.count) == ("centre", 7, MADE, 3)


def test_no_table_yet_is_no_error(tmp_path: Path) -> None:
    """A folder without a table answers nothing, and notices the first one."""
    table = Table.open(tmp_path)
    assert table.info() is None
    assert table.get(code(1)) is None
    assert table.many([code(1).encode()]) == [None]
    install(tmp_path, 1)
    assert table.refresh()
    assert table.get(code(1)) is not None


def test_a_reader_notices_a_new_table_and_keeps_reading(tmp_path: Path) -> None:
    """An open reader answers from the old table until it looks, then from the new; two installations do not hurt it."""
    install(tmp_path, 1)
    table = Table.open(tmp_path)
    for serial in (2, 3, 4):
        install(tmp_path, serial)
        assert table.get(code(0)).title == "film 0 of 1"  # type: ignore[union-attr]
    assert table.refresh()
    assert not table.refresh()
    assert table.get(code(0)).title == "film 0 of 4"  # type: ignore[union-attr]


@pytest.mark.parametrize("size", [100, None])
def test_damage_is_told(tmp_path: Path, size: int | None) -> None:
    """A level that was cut off, or holds something else, is Corrupt; the open table stays, and a newer one heals it."""
    install(tmp_path, 1)
    table = Table.open(tmp_path)
    install(tmp_path, 2)
    path = next((tmp_path / "levels").glob("2-*")) / "data.mdb"
    path.write_bytes(b"\xa5" * (size or path.stat().st_size))
    with pytest.raises(Corrupt, match="cannot be read"):
        table.refresh()
    assert table.get(code(1)).title == "film 1 of 1"  # type: ignore[union-attr]
    install(tmp_path, 3)
    assert table.refresh()
    assert table.get(code(1)).title == "film 1 of 3"  # type: ignore[union-attr]


def test_what_an_older_version_left_is_begun_anew(tmp_path: Path) -> None:
    """A link to a whole table in the place of ``current`` stops neither the writer nor a reader."""
    (tmp_path / "tables/7-ab").mkdir(parents=True)
    (tmp_path / "current").symlink_to("tables/7-ab")
    with pytest.raises(Corrupt):
        Table.open(tmp_path)
    install(tmp_path, 1)
    assert Table.open(tmp_path).get(code(1)) is not None


def test_a_newer_level_stands_before_older_ones(tmp_path: Path, writer: Writer) -> None:
    """Of each code the last change counts, for records, batches and links backward, and the number of codes is exact."""
    writer.replace(head(10), [item(n, "old", ("part", n + 100)) for n in range(40)])
    writer.add(head(12), [item(5, "between"), item(5, "new", ("part", 7)), item(50, "more", ("part", 107))], 1)
    table = Table.open(tmp_path)
    info = table.info()
    assert info is not None
    assert (info.size, info.count, len(info.levels)) == (12, 41, 2)
    assert [title_of(table, n) for n in (4, 5, 50)] == ["old", "new", "more"]
    asked = [code(n).encode() for n in (50, 99, 5, 4, 5)]
    assert table.many(asked) == [None if n == 99 else table.raw(code(n)) for n in (50, 99, 5, 4, 5)]
    for one in table.levels():
        assert one._filter is not None
        one._filter = None  # as one of an older version, or a large one
    assert table.many(asked) == [None if n == 99 else table.raw(code(n)) for n in (50, 99, 5, 4, 5)]
    assert sources(table, 105) == []  # it was, before the change
    assert sources(table, 107) == [("part", code(7)), ("part", code(50))]
    assert sources(table, 7) == [("part", code(5))]
    assert table.forward(code(5)) == [Edge(code(5), "part", code(7))]
    walked = walk(code(107), table.links_of, Asked(2, direction="both"))
    assert {node.code: node.depth for node in walked.nodes} == {code(107): 0, code(7): 1, code(50): 1, code(5): 2}


def test_levels_are_merged_and_say_the_same(tmp_path: Path, writer: Writer) -> None:
    """However changes are cut into levels, the table answers as a plain dict would; there are never many levels."""
    choose = random.Random(3)
    writer.replace(head(0), [item(n, "0", ("part", 1000)) for n in range(60)])
    known = dict.fromkeys(range(60), ("0", 1000))
    table = Table.open(tmp_path)
    for size in range(1, 40):
        changes = [(choose.randrange(90), choose.choice((1000, 1001))) for _ in range(choose.randrange(1, 6))]
        fresh = len({n for n, _ in changes} - set(known))
        writer.add(head(size), [item(n, str(size), ("part", target)) for n, target in changes], fresh)
        known.update({n: (str(size), target) for n, target in changes})
        table.refresh()
        assert {n: title_of(table, n) for n in known} == {n: title for n, (title, _) in known.items()}
        for target in (1000, 1001):
            assert sources(table, target) == [("part", code(n)) for n in sorted(known) if known[n][1] == target]
    info = table.info()
    assert info is not None
    assert info.count == len(known)
    assert len(info.levels) <= 4
    assert len(list((tmp_path / "levels").iterdir())) <= 2 * 5


def test_links_backward_come_page_by_page(tmp_path: Path, writer: Writer) -> None:
    """Pages of links to one code, over two levels, of all types or one, together are all of them in order."""
    writer.replace(head(1), [item(n, "x", ("part" if n % 2 else "film", 999)) for n in range(40)])
    writer.add(head(2), [item(n, "y", ("part", 999)) for n in (3, 4, 50)], 1)
    table = Table.open(tmp_path)
    for types in ((), ("part",)):
        seen, after = list[Edge](), ""
        while True:
            page = table.backward(code(999), after, 7, types)
            assert len(page.edges) <= 7
            seen += page.edges
            if not (after := page.after):
                break
        assert seen == list(table.backward(code(999), most=100, types=types).edges)
        assert seen == sorted(seen, key=lambda edge: (edge.type, edge.source))
        assert len(seen) == (41 if not types else 22)


def test_links_that_do_not_fit_in_memory_are_sorted_from_files(
    tmp_path: Path, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More links than are sorted in memory are found all the same, and no file stays behind."""
    monkeypatch.setattr(level, "IN_MEMORY", 7)
    info = writer.replace(head(1), [item(n, "x", ("part", 900 + n % 3), ("film", n + 1)) for n in range(30)])
    table = Table.open(tmp_path)
    assert info.links == 60
    assert [len(sources(table, 900 + n)) for n in range(3)] == [10, 10, 10]
    assert sources(table, 8) == [("film", code(7))]
    assert [path.name for path in (tmp_path / "levels").glob("*/*")] == ["data.mdb"]


def test_what_not_everybody_may_see_is_noted(tmp_path: Path, writer: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    """In every level, however many they are; a code that is not there is no hindrance, and a level that noted nothing is one."""
    monkeypatch.setattr(level, "IN_MEMORY", 7)

    def records(*numbers: int, **more: object) -> list[tuple[bytes, bytes]]:
        told = [Record.model_validate({"code": code(n), "title": "x", "body": "b", **more}) for n in numbers]
        return [(record.code.encode(), record.dump()) for record in told]

    writer.replace(head(1), records(*range(30)))
    table = Table.open(tmp_path)
    assert table.plain([code(n).encode() for n in range(40)])
    writer.add(head(2), records(3, status="reserved") + records(5, rights={"zones": ["culture"]}))
    assert table.refresh()
    assert [n for n in range(40) if not table.plain([code(n).encode()])] == [3, 5]
    writer.replace(head(3), records(*range(30), status="reserved"))
    assert table.refresh()
    assert [n for n in range(40) if not table.plain([code(n).encode()])] == list(range(30))
    for one in table.levels():
        one._limited = None  # as one of an older version
    assert not table.plain([code(35).encode()])


@pytest.mark.parametrize("records", [[item(2, "x"), item(1, "x")], [item(1, "x"), item(1, "y")], [(b"", b"{}")]])
def test_records_out_of_order_make_no_table(tmp_path: Path, writer: Writer, records: list[tuple[bytes, bytes]]) -> None:
    """What does not come in the order of its codes, each once, is refused, and what is there stays."""
    writer.replace(head(1), [item(1, "good")])
    with pytest.raises(Corrupt):
        writer.replace(head(2), records)
    assert title_of(Table.open(tmp_path), 1) == "good"
    assert len(list((tmp_path / "levels").iterdir())) == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become another user")
def test_another_user_reads_it(tmp_path: Path) -> None:
    """A user who may only read opens the table, whatever the installer's umask was."""
    for parent in (tmp_path, *tmp_path.parents[:-2]):
        parent.chmod(0o755)
    old = os.umask(0o077)
    try:
        install(tmp_path, 1)
    finally:
        os.umask(old)
    script = (
        "import os, sys; from pathlib import Path; from gateway.resolver.table import Table; "
        "path = Path(sys.argv[1]); Table.open(path).close(); "  # loads all it needs: the clone may lie where only its owner reads
        "os.setgroups([]); os.setgid(65534); os.setuid(65534); "
        f"print(Table.open(path).get('{code(1)}').title)"
    )
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.stdout == "film 1 of 1\n", done.stderr


def test_kill_9_at_any_instant_leaves_a_whole_table(tmp_path: Path, writer: Writer) -> None:
    """However the writer is killed, while it adds, merges or replaces, a whole table is current, and the next one cleans up."""
    numbers = range(300)
    writer.replace(head(1), [item(n, "1", ("part", 999)) for n in numbers])
    script = (
        "import sys; sys.path.insert(0, sys.argv[2]); from pathlib import Path; import test_table as t\n"
        "writer = t.Writer(Path(sys.argv[1])); writer.prepare(); size = writer.info().size\n"
        "print('go', flush=True)\n"
        "for n in range(size + 1, size + 5000):\n"
        "    items = [t.item(m, str(n), ('part', 999)) for m in range(300)]\n"
        "    writer.replace(t.head(n), items) if n % 3 == 0 else writer.add(t.head(n), items, 0)\n"
        "    print(n, flush=True)\n"
    )
    wait, last, seen = random.Random(7), 1, set()
    for written in range(3):
        process = subprocess.Popen(
            [sys.executable, "-c", script, str(tmp_path), str(Path(__file__).parent)], stdout=subprocess.PIPE
        )
        assert process.stdout is not None
        assert process.stdout.readline() == b"go\n"
        assert all(process.stdout.readline() for _ in range(written))
        time.sleep(wait.uniform(0.01, 0.12))  # not a synchronisation: any instant must be survivable
        process.send_signal(signal.SIGKILL)
        process.wait(10)
        process.stdout.close()
        table = Table.open(tmp_path)
        info = table.info()
        assert info is not None
        assert info.size >= last
        assert {title_of(table, n) for n in numbers} == {str(info.size)}
        assert len(table.backward(code(999), most=1000).edges) == 300
        last = info.size
        seen.add(last)
    assert len(seen) > 1  # all but the first were killed after they had written something
    writer = Writer(tmp_path)
    writer.prepare()
    info = writer.info()
    assert info is not None
    assert {path.name for path in (tmp_path / "levels").iterdir()} == {one.name for one in info.levels}
