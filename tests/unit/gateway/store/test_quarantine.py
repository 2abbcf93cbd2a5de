"""The quarantine: refused content is kept with its reason, within bounds, for nobody but its owner."""

from __future__ import annotations

import json
import os

from click.testing import CliRunner

from appliance.runtime import places
from gateway.store.cli_quarantine import quarantine as commands
from gateway.store.quarantine import Quarantine, items


def refuse(quarantine, tmp_path, data, reason="polyglot"):
    path = tmp_path / "came"
    path.write_bytes(data)
    return quarantine.take(path, {"reason": reason, "sentence": "two files in one", "release": "1", "path": "a.jpg"})


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
    """The oldest goes first, and one item cannot take it all."""
    quarantine = Quarantine(tmp_path, 1000)
    quarantine.prepare()
    names = []
    for number in range(8):
        names.append(refuse(quarantine, tmp_path, bytes([number]) * 5000))
        os.utime(quarantine.folder / f"{names[-1]}.bytes", (number, number))
    kept = {item["name"] for item in items(quarantine.folder)}
    assert kept == set(names[-4:])
    assert {(item["size"], item["came"]) for item in items(quarantine.folder)} == {(250, 5000)}


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
