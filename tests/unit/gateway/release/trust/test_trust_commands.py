"""``headgate release trust``: the ceremony with files that are carried, bodies, rotation, and what is refused."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from appliance.identity.keys import PrivateKey
from appliance.runtime.errors import Refused
from gateway.release.cli import commands

CODE = "999999-100000000000001-4"


def call(*argv: object) -> Any:
    """Run a command for a program and return what it told; failures of ours come out as they are."""
    result = CliRunner().invoke(commands, [str(word) for word in argv])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout) if "--json" in argv else result.stdout


class Desk:
    """Keys by name in a folder, and the repository beside them."""

    def __init__(self, base: Path) -> None:
        self.base, self.folder = base, base / "trust"
        self.public: dict[str, str] = {}

    def key(self, name: str) -> Path:
        path = self.base / f"{name}.key"
        if name not in self.public:
            key = PrivateKey.generate()
            key.save(path)
            self.public[name] = str(key.public)
        return path

    def pub(self, name: str) -> str:
        self.key(name)
        return self.public[name]

    def trust(self, command: str, *argv: object) -> Any:
        return call("trust", command, *argv, "--json")

    def film(self, name: str = "film") -> Path:
        folder = self.base / name
        folder.mkdir(exist_ok=True)
        (folder / "film.mp4").write_bytes(b"\0\0\0\x0cftypfilm")
        call(
            "make", folder, "--id", CODE, "--body", "library", "--title", "刘三姐", "--entry", "film.mp4",
            "--zones", "bigscreen", "--key", self.key("library"),
        )  # fmt: skip
        return folder

    @property
    def pin(self) -> str:
        return hashlib.sha256((self.folder / "1.root.json").read_bytes()).hexdigest()


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """A repository in force, with a library."""
    desk = Desk(tmp_path)
    roots = [word for name in "abc" for word in ("--root", desk.pub(name))]
    desk.trust(
        "new", desk.folder, *roots, "--operator", desk.pub("operator"), "--online", desk.pub("online"),
        "--sign", desk.key("a"), "--sign", desk.key("b"), "--sign", desk.key("operator"),
    )  # fmt: skip
    desk.trust(
        "admit", desk.folder, "library", "--key", desk.pub("library"), "--identifiers", "isli:999999-1",
        "--sign", desk.key("operator"),
    )  # fmt: skip
    desk.trust("refresh", desk.folder, "--key", desk.key("online"))
    return desk


def test_holders_sign_copies_that_are_carried_to_them(tmp_path: Path) -> None:
    """Each holder signs a copy on an own machine; brought together, the copies are enough."""
    desk = Desk(tmp_path)
    roots = [word for name in "abc" for word in ("--root", desk.pub(name))]
    begun = desk.trust("new", desk.folder, *roots, "--operator", desk.pub("operator"), "--online", desk.pub("online"))
    assert [draft["in_force"] for draft in begun] == [False, False]
    copies = []
    for name in "ac":
        (tmp_path / name).mkdir()
        copies.append(Path(shutil.copy(desk.folder / "waiting" / "1.root.json", tmp_path / name)))
        (signed,) = desk.trust("sign", copies[-1], "--key", desk.key(name))
        assert "2 of" in signed["says"]
    assert [draft["in_force"] for draft in desk.trust("put", desk.folder, *copies)] == [False, True]
    desk.trust("sign", desk.folder / "waiting" / "1.targets.json", "--key", desk.key("operator"))
    assert [draft["in_force"] for draft in desk.trust("put", desk.folder)] == [True]
    assert desk.trust("show", desk.folder)["waiting"] == []


def test_a_copy_that_says_something_else_is_not_mixed_in(desk: Desk, tmp_path: Path) -> None:
    desk.trust("rotate", desk.folder, "--threshold", "3")
    carried = Path(shutil.copy(desk.folder / "waiting" / "2.root.json", tmp_path / "2.root.json"))
    desk.trust("rotate", desk.folder, "--threshold", "1")
    with pytest.raises(Refused) as refused:
        desk.trust("put", desk.folder, carried)
    assert refused.value.reason == "mixed-metadata"


def test_list_verify_unlist(desk: Desk) -> None:
    """What a body lists verifies from the pinned root on; listed no longer, it does not."""
    film = desk.film()
    argv = (desk.folder, film, "--key", desk.key("library"), "--online-key", desk.key("online"))
    assert len(desk.trust("list", *argv)["files"]) == 2
    assert desk.trust("list", *argv)["files"] == []
    (verified,) = desk.trust("verify", desk.folder, film, "--root", desk.pin)
    assert (verified["release"], verified["key"]) == (CODE, desk.pub("library"))
    assert desk.trust("show", desk.folder)["bodies"]["library"]["releases"] == 1
    desk.trust("unlist", desk.folder, "library", CODE, "--key", desk.key("library"), "--online-key", desk.key("online"))
    with pytest.raises(Refused) as refused:
        desk.trust("verify", desk.folder, film, "--root", desk.pin)
    assert refused.value.reason == "not-listed"


def test_verify_holds_the_bytes_against_the_listing(desk: Desk) -> None:
    film = desk.film()
    desk.trust("list", desk.folder, film, "--key", desk.key("library"), "--online-key", desk.key("online"))
    desk.film()  # made again: another version, of which nothing is listed
    with pytest.raises(Refused, match="other bytes"):
        desk.trust("verify", desk.folder, film, "--root", desk.pin)
    with pytest.raises(Refused) as refused:
        desk.trust("verify", desk.folder, film, "--root", "0" * 64)
    assert refused.value.reason == "wrong-key"


def test_a_key_in_use_is_not_removed_by_mistake(desk: Desk) -> None:
    """Add, renew, remove goes without a gap; removing at once is said, or refused."""
    desk.trust("list", desk.folder, desk.film(), "--key", desk.key("library"), "--online-key", desk.key("online"))
    change = ("keys", desk.folder, "library")
    swap = ("--add", desk.pub("new"), "--remove", desk.pub("library"), "--sign", desk.key("operator"))
    with pytest.raises(Refused) as refused:
        desk.trust(*change, *swap)
    assert refused.value.reason == "still-in-use"
    desk.trust(*change, "--add", desk.pub("new"), "--sign", desk.key("operator"))
    desk.trust("renew", desk.folder, "library", "--key", desk.key("new"))
    desk.trust(*change, "--remove", desk.pub("library"), "--sign", desk.key("operator"))
    assert desk.trust("refresh", desk.folder, "--key", desk.key("online"))["refused"] == {}
    assert desk.trust("verify", desk.folder, desk.base / "film", "--root", desk.pin)


@pytest.mark.parametrize(
    ("add", "remove", "new", "mend"),
    [
        ("--add-operator", "--remove-operator", "operator", ("reissue", "--sign")),
        ("--add-online", "--remove-online", "online", ("refresh", "--force", "--key")),
    ],
)
def test_the_operators_and_the_centres_keys_change_without_a_gap(
    desk: Desk, add: str, remove: str, new: str, mend: tuple[str, ...]
) -> None:
    film = desk.film()
    desk.trust("list", desk.folder, film, "--key", desk.key("library"), "--online-key", desk.key("online"))
    roots = ("--sign", desk.key("a"), "--sign", desk.key("b"))
    with pytest.raises(Refused) as refused:
        desk.trust("rotate", desk.folder, add, desk.pub("next"), remove, desk.pub(new), *roots)
    assert refused.value.reason == "still-in-use"
    desk.trust("rotate", desk.folder, add, desk.pub("next"), *roots)
    desk.trust(mend[0], desk.folder, *mend[1:], desk.key("next"))
    desk.trust("refresh", desk.folder, "--key", desk.key("next" if new == "online" else "online"))
    desk.trust("rotate", desk.folder, remove, desk.pub(new), *roots)
    assert desk.trust("verify", desk.folder, film, "--root", desk.pin)


def test_root_keys_rotate(desk: Desk) -> None:
    """A holder leaves, another comes: the old and the new holders sign, and the pin stays."""
    pin = desk.pin
    (draft,) = desk.trust(
        "rotate", desk.folder, "--add", desk.pub("d"), "--remove", desk.pub("a"), "--sign", desk.key("b")
    )
    assert not draft["in_force"]
    desk.trust("sign", desk.folder / "waiting" / "2.root.json", "--key", desk.key("c"))
    assert desk.trust("put", desk.folder)[0]["in_force"]
    told = desk.trust("show", desk.folder)
    assert (told["pin"], told["root"]["version"], told["root"]["keys"]) == (
        pin,
        2,
        [desk.pub("b"), desk.pub("c"), desk.pub("d")],
    )


def test_a_dismissed_body_is_gone(desk: Desk) -> None:
    desk.trust("dismiss", desk.folder, "library", "--sign", desk.key("operator"))
    with pytest.raises(Refused) as refused:
        desk.trust("list", desk.folder, desk.film(), "--key", desk.key("library"))
    assert refused.value.reason == "not-admitted"


def test_a_repository_is_not_begun_twice(desk: Desk) -> None:
    with pytest.raises(Refused) as refused:
        desk.trust(
            "new", desk.folder, "--root", desk.pub("x"), "--threshold", "1", "--operator", desk.pub("y"),
            "--online", desk.pub("z"),
        )  # fmt: skip
    assert refused.value.reason == "folder-not-empty"


def test_people_are_told_in_words(desk: Desk) -> None:
    """What a program gets as JSON, people get as lines."""
    said = call("trust", "show", desk.folder)
    assert "isli:999999-1; share; 0 releases" in said
    assert f"pin: {desk.pin}" in said
    assert "root 1 until" in said


def test_publishing_lists_the_release_too(desk: Desk, tmp_path: Path) -> None:
    """`publish --trust` copies and lists in one call; again it changes nothing; without the online key it says who is waited for."""
    (tmp_path / "origin").mkdir()
    words = ("publish", desk.film(), "--to", tmp_path / "origin", "--trust", desk.folder, "--key", desk.key("library"))
    told = call(*words, "--json")
    assert (told["copied"], told["visible"], bool(told["listed"])) == (1, False, True)
    again = call(*words, "--online-key", desk.key("online"), "--json")
    assert (again["copied"], again["visible"], again["listed"]) == (0, True, [])
    desk.trust("verify", desk.folder, tmp_path / "origin" / "releases" / CODE, "--root", desk.pin)
