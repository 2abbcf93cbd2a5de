"""An engine's process: what it may not do, and that whatever goes wrong in it is no answer."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.isolation.proof import aside


def confined(code: str) -> subprocess.CompletedProcess[str]:
    """Return how a process ends that confines itself and then runs ``code``."""
    text = f"import os, socket\nfrom gateway.isolation.proof import aside\naside.confine(10, 1024)\n{code}"
    return subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("open('{file}', 'w').write('x')", "Error"),
        ("bytearray(2 << 30)", "MemoryError"),
        ("os.setuid(0); os.setgid(0); print(os.listdir('/proc/1/fd'))", "PermissionError"),
        ("socket.socket(socket.AF_PACKET, socket.SOCK_RAW)", "PermissionError"),
        ("os.kill(1, 0)", "PermissionError"),
    ],
)
def test_what_an_engine_may_not_do(code: str, error: str, tmp_path: Path) -> None:
    """No file is written, no other process or network is reached, and memory has an end."""
    (tmp_path / "file").write_text("")
    done = confined(code.format(file=tmp_path / "file"))
    assert done.returncode == 1, done.stdout
    assert error in done.stderr.splitlines()[-1]
    assert (tmp_path / "file").read_text() == ""


def test_nobody_is_left_of_root() -> None:
    """Whoever starts it, it runs as somebody who may nothing."""
    done = confined("print(os.geteuid(), open('/proc/self/status').read())")
    assert done.returncode == 0, done.stderr
    assert "CapEff:\t0000000000000000" in done.stdout
    assert "NoNewPrivs:\t1" in done.stdout
    assert done.stdout.startswith("65534 " if os.geteuid() == 0 else f"{os.geteuid()} ")


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("raise ValueError('no such thing')", "ended with status 1: ValueError: no such thing"),
        ("import os; os.abort()", "ended with status -6"),
        ("print('no JSON')", "answered what is no JSON"),
        ("print('[]')", "answered what is no JSON object"),
        ("print('[' * 5_000_000)", "ended with status 0"),
        ("import time; time.sleep(60)", "no answer within 0.5 s"),
    ],
)
def test_whatever_goes_wrong_is_no_answer(
    body: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An engine that fails, dies, babbles or sleeps is told as that."""
    (tmp_path / "engine.py").write_text(body)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    with pytest.raises(aside.Failed) as failed:
        aside.ask("engine", {}, seconds=0.5 if "no answer" in told else 20, mib=512)
    assert told in str(failed.value)
