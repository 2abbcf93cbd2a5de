"""Reading what a manifest names out of anybody's folder: no link, no pipe, no climbing."""

import os

import pytest

from appliance.runtime.errors import Refused
from gateway.release.manifest import File, Release, Rights
from gateway.release.reading import Tree


def reason(tree, path):
    try:
        os.close(tree.open(path))
    except Refused as error:
        return error.reason
    return "opened"


@pytest.fixture
def tree(tmp_path):
    folder = tmp_path / "folder"
    (folder / "deep" / "er").mkdir(parents=True)
    (folder / "deep" / "er" / "a.ts").write_bytes(b"abc")
    (folder / "link").symlink_to("deep/er/a.ts")
    (folder / "linked").symlink_to("deep")
    (folder / "out").symlink_to("/etc")
    os.mkfifo(folder / "pipe")
    with Tree(folder) as opened:
        yield opened


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("deep/er/a.ts", "opened"),
        ("link", "no-plain-file"),
        ("linked/er/a.ts", "absent"),  # a link where a folder should be is none
        ("out/passwd", "absent"),
        ("pipe", "no-plain-file"),
        ("deep", "no-plain-file"),
        ("deep/er/a.ts/b", "absent"),
        ("nothing", "absent"),
        ("x" * 4000, "absent"),
    ],
)
def test_only_plain_files_are_opened(tree, path, expected):
    """A FIFO keeps nobody waiting, and a link is not followed wherever it stands."""
    assert reason(tree, path) == expected


def test_what_is_lacking_is_told_at_once(tree):
    """Every file that cannot be sent, with its reason."""
    files = {"deep/er/a.ts": 3, "link": 3, "nothing": 1, "pipe": 1}
    release = Release(
        identifier="isli:999999-100000000000001-4",
        version=1,
        body="library",
        title="t",
        rights=Rights(zones=("bigscreen",)),
        entry="deep/er/a.ts",
        files={path: File(sha256="0" * 64, size=size, type="video/mp4") for path, size in files.items()},
    )
    assert {path: error.reason for path, error in tree.lacks(release).items()} == {
        "link": "no-plain-file", "nothing": "absent", "pipe": "no-plain-file"
    }  # fmt: skip


def test_the_folder_itself_may_not_be_a_link(tmp_path):
    """Who puts a link into the inbox brings nothing in."""
    (tmp_path / "link").symlink_to("/etc")
    with pytest.raises(Refused):
        Tree(tmp_path / "link")
