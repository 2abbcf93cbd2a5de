"""The contributor's door, tried on a clone in which every program that it calls only writes down that it was called."""

import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FAKE = """#!/bin/sh
echo "$(basename "$0") $*" >>"{log}"
{does}
"""
INSTALLED = 'shift 3; for name; do echo "installed $name"; done'


class Clone:
    """A folder with the door in it, an environment that is up to date, and programs that do as a test says."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.log, self.programs = folder / "clone", folder / "log", folder / "programs"
        self.programs.mkdir()
        (self.folder / ".venv/bin").mkdir(parents=True)
        (self.folder / "requirements").mkdir()
        shutil.copy(ROOT / "dev", self.folder)
        parts = [self.folder / "requirements/dev.txt", self.folder / "pyproject.toml"]
        for part in parts:
            shutil.copy(ROOT / part.relative_to(self.folder), part)
        digest = hashlib.sha256(b"".join(part.read_bytes() for part in parts)).hexdigest()
        (self.folder / ".venv/stamp").write_text(f"{digest}  -")
        self.program("id", "echo 0")
        self.program("dpkg-query", INSTALLED)
        self.program("apt-get", "exit 1")
        for name in ("npm", "python", "headgate", "pytest"):
            self.program(name)

    def program(self, name: str, does: str = ":") -> None:
        ours = name in ("python", "headgate", "pytest")
        path = (self.folder / ".venv/bin" if ours else self.programs) / name
        path.write_text(FAKE.format(log=self.log, does=does))
        path.chmod(0o755)

    def start(self, *words: str) -> subprocess.Popen[str]:
        env = {"PATH": f"{self.programs}:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(self.folder)}
        env["POLICY_RC_D"] = str(self.folder / "policy-rc.d")
        return subprocess.Popen(
            [self.folder / "dev", *words], env=env, cwd="/", text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    def call(self, *words: str) -> tuple[int, str]:
        process = self.start(*words)
        out, err = process.communicate(timeout=30)
        return process.returncode, out + err

    def called(self) -> list[str]:
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [line for line in lines if line.startswith(("headgate", "pytest", "apt-get"))]


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    return Clone(tmp_path)


@pytest.mark.parametrize(
    ("words", "does", "status", "called"),
    [
        ([], ":", 0, ["up", "tour", "status"]),
        (["--once"], ":", 0, ["up", "tour", "down"]),
        (["--once"], '[ "$2" != tour ] || exit 3', 3, ["up", "tour", "down"]),
        (["--once"], '[ "$2" != up ] || exit 1', 1, ["up", "down"]),
        (["--once"], '[ "$2" != down ] || exit 1', 1, ["up", "tour", "down"]),
        ([], '[ "$2" != up ] || exit 1', 1, ["up"]),
    ],
)
def test_a_lab_raised_once_is_always_taken_down(
    clone: Clone, words: list[str], does: str, status: int, called: list[str]
):
    """Whatever fails, `--once` leaves no lab; without it the lab stays, to look at what failed."""
    clone.program("headgate", does)

    assert clone.call("lab", *words)[0] == status
    assert clone.called() == [f"headgate lab {verb} --name lab" for verb in called]


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_lab_is_taken_down(clone: Clone, number: signal.Signals, status: int):
    """Ctrl-C or a killed job ends what is being done and takes the lab down."""
    clone.program("headgate", '[ "$2" != up ] || { echo begun; exec sleep 60; }')
    process = clone.start("lab", "--once", "--name", "two")
    assert process.stdout
    assert process.stdout.readline() == "begun\n"
    process.send_signal(number)
    process.communicate(timeout=30)

    assert process.returncode == status
    assert clone.called() == ["headgate lab up --name two", "headgate lab down --name two"]


def test_a_blank_lab_takes_no_tour(clone: Clone):
    """Words for `headgate lab up` reach it, and blank boxes have nothing to show."""
    assert clone.call("lab", "--blank", "--name=two")[0] == 0
    assert clone.called() == ["headgate lab up --name two --blank", "headgate lab status --name two"]


def test_only_what_is_missing_is_installed(clone: Clone):
    """Packages that are there are left alone, and lists are fetched only where those on the disk do not do."""
    clone.program("dpkg-query", f"{INSTALLED} | grep -v ffmpeg")
    clone.program("apt-get", f'[ -x "{clone.folder}/policy-rc.d" ] || exit 1  # no server starts')
    assert clone.call("lab")[0] == 0
    assert not (clone.folder / "policy-rc.d").exists()
    assert clone.called()[0] == "apt-get install -y -qq --no-install-recommends ffmpeg"
    assert not [line for line in clone.called() if "update" in line]


def test_a_package_that_cannot_be_had_is_named(clone: Clone):
    """After fresh lists the door gives up, and says which package it was."""
    clone.program("dpkg-query", f"{INSTALLED} | grep -v zstd")
    status, told = clone.call("lab")

    assert status == 2
    assert "apt-get could not install: zstd" in told
    assert [line.split()[1] for line in clone.called()] == ["install", "update", "install"]


def test_without_root_it_says_what_to_do(clone: Clone):
    """Who is not root gets no lab, and the line to type where a package is missing."""
    clone.program("id", "echo 1000")
    assert "run it as root" in clone.call("lab")[1]
    clone.program("dpkg-query", f"{INSTALLED} | grep -v openssl")
    status, told = clone.call("check")

    assert status == 2
    assert "apt-get install --no-install-recommends openssl" in told
    assert not clone.called()


def test_words_for_pytest_run_those_tests_alone(clone: Clone):
    """`./dev test tests/flows` is for writing a test: nothing else stands before it."""
    assert clone.call("test", "tests/flows", "-k", "film")[0] == 0
    assert clone.called() == ["pytest -q tests/flows -k film"]


def test_every_part_is_run_though_one_fails(clone: Clone):
    """The servers' tests fail: those of kernel and flows are run all the same, the end tells which part it was, and so does the status."""
    (clone.folder / "playbooks").mkdir()
    for name in ("ruff", "mypy", "lint-imports", "yamllint", "ansible-lint", "shellcheck"):
        clone.program(name)
    clone.program("pytest", 'case "$*" in *"-m server"*) exit 1 ;; esac')
    status, told = clone.call("test")

    assert status == 1
    assert told.splitlines()[-1] == "==> FAILED: servers"
    assert [line.partition(" -m ")[2] for line in clone.called()] == [
        "not kernel and not server and not player and not flow",
        "server",
        "player or kernel or flow",
    ]


@pytest.mark.parametrize(
    ("failed", "again", "status", "runs"),
    [(3, "exit 0", 0, 2), (3, "exit 1", 1, 2), (4, "exit 0", 1, 1), (0, "exit 0", 1, 1)],
)
def test_a_few_failed_servers_run_once_more(clone: Clone, failed: int, again: str, status: int, runs: int):
    """What fails twice has failed, and so has what fails in many places; what is good the second time is told of."""
    (clone.folder / "playbooks").mkdir()
    for name in ("ruff", "mypy", "lint-imports", "yamllint", "ansible-lint", "shellcheck"):
        clone.program(name)
    kept = clone.folder / ".cache/pytest/v/cache"
    lines = "".join(f'  "tests/test_a.py::test_{n}": true,\\n' for n in range(failed))
    clone.program(
        "pytest",
        f"""case "$*" in
        *"--last-failed "*) {again} ;;
        *"-m server"*) mkdir -p {kept}; printf '{{\n{lines}}}' >{kept}/lastfailed; exit 1 ;;
        esac""",
    )
    got, told = clone.call("test")

    assert got == status
    assert len([line for line in clone.called() if line.endswith("-m server")]) == runs
    assert ("servers: good the second time" in told) == (status == 0)


def test_help_tells_every_command(clone: Clone):
    """Help names all that there is; a wrong word gets it too, and exit status 2."""
    status, told = clone.call("help")
    assert status == 0
    assert all(f"./dev {word}" in told for word in ("lab", "test", "check", "bench", "conformance", "lock", "run"))
    status, told = clone.call("tset")

    assert status == 2
    assert "no such command 'tset'" in told
    assert "./dev test" in told


@pytest.mark.parametrize("command", ["lab", "test", "check"])
def test_who_asks_for_help_starts_nothing(clone: Clone, command: str):
    status, told = clone.call(command, "--help")

    assert (status, clone.called()) == (0, [])
    assert f"./dev {command}" in told


def test_help_tells_every_benchmark():
    """`./dev bench --help` names each with what it measures, and runs none."""
    told = subprocess.run(
        [sys.executable, "-m", "tests.bench", "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout

    names = [path.stem for path in (ROOT / "tests/bench").glob("*.py") if not path.stem.startswith("_")]
    assert names
    assert all(re.search(rf"^  {name} +\S", told, re.MULTILINE) for name in names)


def test_it_is_quick_where_nothing_is_to_be_done(clone: Clone):
    """A door that takes long is gone around: five calls take less than two seconds on the busiest machine."""
    began = os.times().elapsed
    for _ in range(5):
        assert clone.call("run", "true")[0] == 0

    assert os.times().elapsed - began < 2
