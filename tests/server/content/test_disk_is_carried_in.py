"""A disk that somebody carried in: its releases are judged like any other, and play where no line reaches."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

CODE = "999999-100000000000001-4"
Until = Callable[..., Any]


def fill(chain: Any, disk: Path) -> tuple[int, Any]:
    """Run the command as root of the box does."""
    argv = [str(Path(sys.executable).with_name("headgate")), "box", "fill", str(disk), "--json"]
    environment = {**os.environ, "HEADGATE_RUN": str(chain.run), "HEADGATE_STATE": str(chain.state)}
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, json.loads(done.stdout) if done.stdout else done.stderr


def carry(chain: Any, disk: Path) -> None:
    """Copy what the origin has onto a disk, and cut the line."""
    disk.mkdir()
    subprocess.run(["cp", "-r", str(chain.origin.folder / "releases"), str(disk)], check=True)
    chain.origin.stop()


def test_carried_release_plays_without_a_line(chain: Any, tmp_path: Path) -> None:
    """Never seen over the line, admitted from the disk, stored, in the journal as from 'disk'; nothing is left behind."""
    files = {f"{n}.bin": os.urandom(50_000) for n in range(5)}
    chain.publish(files)
    carry(chain, tmp_path / "usb")
    assert fill(chain, tmp_path / "usb") == (0, [{"release": CODE, "files": 5, "stored": 5, "refused": []}])
    assert all(chain.play(name).body == data for name, data in files.items())
    admitted = [record.body for record in chain.records("audit") if record.body["decision"] == "admit"]
    assert [body["origin"] for body in admitted] == ["disk"]
    assert not list((chain.state / "store" / "carried" / "releases").iterdir())
    assert fill(chain, tmp_path / "usb")[0] == 0  # again: all is here


def test_what_a_disk_spoiled_or_forged_is_refused(chain: Any, tmp_path: Path) -> None:
    """Bytes that are not the signed ones, and a release that nobody admitted signed, are refused; the rest is taken in."""
    chain.publish({"a.bin": b"a" * 1000, "b.bin": b"b" * 1000})
    chain.publish({"c.bin": b"c" * 1000}, code="999999-100000000000002-3", key=chain.stranger)
    carry(chain, tmp_path / "usb")
    (tmp_path / "usb" / "releases" / CODE / "b.bin").write_bytes(b"B" * 1000)
    code, told = fill(chain, tmp_path / "usb")
    assert code != 0
    by_code = {one["release"]: one for one in told}
    assert (by_code[CODE]["stored"], [one["path"] for one in by_code[CODE]["refused"]]) == (1, ["b.bin"])
    assert by_code["999999-100000000000002-3"]["stored"] == 0
    assert [one["reason"] for one in by_code["999999-100000000000002-3"]["refused"]] == ["not-signed"]
    assert chain.play("a.bin").status == 200


def test_links_of_a_disk_lead_nowhere(chain: Any, tmp_path: Path) -> None:
    """A link on the disk is no file, whatever it points at; a disk without releases is told as such."""
    chain.publish({"a.bin": b"a" * 1000, "b.bin": b"b" * 1000})
    carry(chain, tmp_path / "usb")
    (tmp_path / "usb" / "releases" / CODE / "b.bin").unlink()
    (tmp_path / "usb" / "releases" / CODE / "b.bin").symlink_to("/etc/passwd")
    assert fill(chain, tmp_path / "usb") == (0, [{"release": CODE, "files": 2, "stored": 1, "refused": []}])
    (tmp_path / "empty").mkdir()
    code, told = fill(chain, tmp_path / "empty")
    assert code != 0
    assert "holds no releases" in told
