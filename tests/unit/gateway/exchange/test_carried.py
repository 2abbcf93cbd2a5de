"""The disk as an origin: content from it first, what may be newer elsewhere from it last, and never a way out of its folder."""

import contextlib
import os

import pytest

from appliance.runtime.errors import Refused, Unreachable
from gateway.exchange.carried import NAME, Carried, OriginsAndDisk
from gateway.exchange.origin import Origins

CODE = "999999-100000000000001-4"
MANIFEST = f"/releases/{CODE}/release.json"


@pytest.fixture
def carried(tmp_path):
    folder = tmp_path / "carried" / "releases" / CODE
    folder.mkdir(parents=True)
    (folder / "a.bin").write_bytes(b"from the disk")
    (folder / "release.json").write_bytes(b"{}")
    return Carried(tmp_path / "carried")


@pytest.fixture
def line(monkeypatch):
    """What the line answers: an error, or its name."""
    state = {"error": None, "asked": []}

    class Line:
        origin = "centre"

    @contextlib.asynccontextmanager
    async def answers(_, *told, **more):
        state["asked"].append((told, more))
        if state["error"]:
            raise state["error"]
        yield Line()

    monkeypatch.setattr(Origins, "any", answers)
    monkeypatch.setattr(Origins, "ask", answers)
    return state


async def who(origins, path, **told):
    async with origins.any(path, 1000, **told) as answer:
        return answer.origin


async def test_content_comes_from_the_disk_first(carried, line, tmp_path):
    """Its bytes are the same wherever they are from; from the byte asked for; where they were wrong, the line is asked."""
    origins = OriginsAndDisk(tmp_path / "no.sock", carried)
    async with origins.any(f"/releases/{CODE}/a.bin", 1000, first=5) as answer:
        assert (answer.origin, await answer.read(1000)) == (NAME, b"the disk")
    assert await who(origins, f"/releases/{CODE}/b.bin") == "centre"
    assert await who(origins, f"/releases/{CODE}/a.bin", wrong=[NAME, "parent"]) == "centre"
    assert line["asked"][-1][1]["wrong"] == ["parent"]  # fetch knows no disk


@pytest.mark.parametrize("error", [Unreachable("away"), Refused("unknown-path", "", 404)])
async def test_manifest_comes_from_the_line_while_there_is_one(carried, line, tmp_path, error):
    """A disk is old by nature: only where nobody else has the release does its manifest count."""
    origins = OriginsAndDisk(tmp_path / "no.sock", carried)
    assert await who(origins, MANIFEST) == "centre"
    line["error"] = error
    assert await who(origins, MANIFEST) == NAME
    with pytest.raises(type(error)):
        await who(origins, "/releases/999999-100000000000002-3/release.json")


async def test_other_refusals_of_the_line_stand(carried, line, tmp_path):
    """That fetch may not ask is no reason to take what a disk has."""
    line["error"] = Refused("bad-request", "", 400)
    with pytest.raises(Refused, match="bad-request"):
        await who(OriginsAndDisk(tmp_path / "no.sock", carried), MANIFEST)


def test_only_files_of_their_size_are_read(carried, tmp_path):
    """A link is not followed, a folder is no file, and what is too long is refused before it is read."""
    folder = tmp_path / "carried" / "releases" / CODE
    (folder / "link.bin").symlink_to("/etc/passwd")
    with pytest.raises(Unreachable):
        carried.open(f"/releases/{CODE}/link.bin", 0, 1000)
    with pytest.raises(Refused, match="more than 3 bytes") as error:
        carried.open(f"/releases/{CODE}/a.bin", 0, 3)
    assert error.value.reason == "too-large"
    assert carried.open(f"/releases/{CODE}/a.bin/x", 0, 9) is None


def test_only_releases_that_are_whole_and_named_by_their_code_are_taken(carried, tmp_path):
    """What is being copied has another name, and other names are nobody's."""
    (tmp_path / "carried" / f"coming-{CODE}").mkdir()
    (tmp_path / "carried" / "releases" / "no code").mkdir()
    assert carried.codes() == [CODE]
    carried.done(CODE, {"release": CODE})
    assert carried.codes() == []
    assert os.listdir(tmp_path / "carried" / "results") == [f"{CODE}.json"]  # noqa: PTH208 (names are what is meant)
    assert Carried(tmp_path / "nowhere").codes() == []
