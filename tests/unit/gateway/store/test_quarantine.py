"""The quarantine: refused content is kept with its reason, within bounds, for nobody but its owner."""

from __future__ import annotations

import json

from click.testing import CliRunner

from appliance.runtime import places
from gateway.store import quarantine as held
from gateway.store.cli_quarantine import quarantine as commands
from gateway.store.quarantine import Quarantine, items


def refuse(quarantine, tmp_path, data, reason="polyglot", *, live=False):
    path = tmp_path / "came"
    path.write_bytes(data)
    told = {"reason": reason, "sentence": "two files in one", "release": "1", "path": "a.jpg", "filter": "inspection"}
    return quarantine.take(path, told | ({"live": True} if live else {}), live=live)


def test_what_is_refused_is_kept_with_its_reason(tmp_path):
    """The bytes and why, readable by the owner alone; the same bytes are one item."""
    quarantine = Quarantine(tmp_path, 1000)
    quarantine.prepare()
    name = refuse(quarantine, tmp_path, b"bad")
    assert refuse(quarantine, tmp_path, b"bad") == name
    (item,) = items(quarantine.folder)
    assert (item["name"], item["reason"], item["size"], item["path"]) == (name, "polyglot", 3, "a.jpg")
    assert (quarantine.folder / f"{name}.bytes").read_bytes() == b"bad"
    assert [path.stat().st_mode & 0o077 for path in (quarantine.folder, *quarantine.folder.iterdir())] == [0, 0, 0]


def test_it_is_bounded(tmp_path):
    """The oldest goes first, also after a restart, and one item cannot take it all: the rest of it is cut off."""
    quarantine = Quarantine(tmp_path, 100_000)
    quarantine.prepare()
    names = [refuse(quarantine, tmp_path, bytes([number]) * 30_000) for number in range(6)]
    assert {item["name"] for item in items(quarantine.folder)} == set(names[-3:])
    assert {(item["size"], item["came"]) for item in items(quarantine.folder)} == {(25_000, 30_000)}
    again = Quarantine(tmp_path, 100_000)
    again.prepare()
    names.append(refuse(again, tmp_path, b"x" * 30_000))
    assert {item["name"] for item in items(quarantine.folder)} == set(names[-3:])


def test_a_retry_is_counted_and_fills_nothing(tmp_path):
    """The same refused bytes, again and again: one item, told as it was refused last, and the newest again."""
    quarantine = Quarantine(tmp_path, 100_000)
    quarantine.prepare()
    other = refuse(quarantine, tmp_path, b"other" * 4000)
    for number in range(20):
        name = refuse(quarantine, tmp_path, b"bad" * 8000, reason=f"reason-{number}")
    newest, _ = items(quarantine.folder)
    assert (newest["name"], newest["times"], newest["reason"]) == (name, 20, "reason-19")
    assert newest["first"] < newest["time"]
    refuse(quarantine, tmp_path, b"other" * 4000)
    for number in range(3):
        refuse(quarantine, tmp_path, bytes([number]) * 25_000)
    left = {item["name"] for item in items(quarantine.folder)}
    assert other in left
    assert name not in left


def test_many_small_items_and_live_files_are_bounded(tmp_path, monkeypatch):
    """However small: so many at most; and a channel that is refused for hours pushes nothing else out."""
    monkeypatch.setattr(held, "MOST_ITEMS", 8)
    quarantine = Quarantine(tmp_path, 100_000)
    quarantine.prepare()
    film = refuse(quarantine, tmp_path, b"film")
    for number in range(20):
        refuse(quarantine, tmp_path, b"%d" % number, live=True)
    kept = items(quarantine.folder)
    assert len(kept) == 1 + 2
    assert film in {item["name"] for item in kept}
    for number in range(20):
        refuse(quarantine, tmp_path, b"film %d" % number)
    assert len(items(quarantine.folder)) == 8


def test_what_a_crash_left_is_thrown_away(tmp_path):
    """Bytes without their reason, a half copy, and a file that is no JSON."""
    quarantine = Quarantine(tmp_path, 100_000)
    quarantine.prepare()
    name = refuse(quarantine, tmp_path, b"bad")
    (quarantine.folder / ".coming").write_bytes(b"half")
    (quarantine.folder / f"{'0' * 32}.bytes").write_bytes(b"no reason")
    (quarantine.folder / f"{name}.json").write_bytes(b"[not json")
    again = Quarantine(tmp_path, 100_000)
    again.prepare()
    assert items(again.folder) == []
    assert refuse(again, tmp_path, b"bad") == name
    assert {path.stem for path in again.folder.iterdir()} == {name}


def test_the_commands_list_show_and_drop(tmp_path, monkeypatch):
    """On the box, root looks at what was refused and removes it."""
    monkeypatch.setattr(places, "STATE", tmp_path)
    quarantine = Quarantine(tmp_path / "store", 1000)
    quarantine.prepare()
    name = refuse(quarantine, tmp_path, b"bad")

    def run(*words):
        return CliRunner().invoke(commands, words)

    assert json.loads(run("list", "--json").output)[0]["name"] == name
    assert "two files in one" in run("show", name).output
    assert run("drop", "../passed").exit_code == 1
    assert run("drop", name).exit_code == 0
    assert "nothing was refused" in run("list").output
    assert run("show", name).exit_code == 1
