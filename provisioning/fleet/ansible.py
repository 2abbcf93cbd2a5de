"""The one way to a box: a playbook, run by ansible-runner, with its progress as events."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from appliance.runtime.errors import HeadgateError

FORKS = 20
KEPT_RUNS = 5  # of which the events stay in the folder
LONGEST_WORDS = 1200  # characters of a failure that are shown; the rest is in the run's folder


@dataclass(frozen=True)
class Event:
    """One thing that happened: a task began (``host`` empty), or ended on a host as ``ok``, ``changed``, ``failed``, ``unreachable``."""

    kind: str
    task: str
    host: str = ""
    words: str = ""


@dataclass(frozen=True)
class Host:
    """How the playbook ended on one host."""

    ok: int
    changed: int
    failed: bool
    words: str = ""  # of the first failure


@dataclass(frozen=True)
class Run:
    """How a playbook ended."""

    hosts: Mapping[str, Host]
    seconds: float
    tasks: tuple[str, ...] = ()  # those that changed something, as "host: task"


@dataclass
class _Gathered:
    """What the events told so far."""

    task: str = ""
    failures: dict[str, str] = field(default_factory=dict)
    changed: list[str] = field(default_factory=list)
    stats: dict[str, Any] = field(default_factory=dict)


Listener = Callable[[Event], None]


def play(
    playbook: Path,
    inventories: Sequence[Path],
    *,
    work: Path,
    limit: Sequence[str] = (),
    variables: Mapping[str, Any] | None = None,
    check: bool = False,
    listener: Listener = lambda _: None,
) -> Run:
    """Run ``playbook`` and return how it ended on each host; Ansible keeps its own files in ``work``.

    Raises:
        HeadgateError: Ansible is not installed, or could not even begin.
    """
    try:
        import ansible_runner
    except ImportError as error:
        raise HeadgateError(
            "ansible-runner is not installed here: it belongs to the operator's workstation (pip install headgate[operator])"
        ) from error
    work.mkdir(parents=True, exist_ok=True)
    gathered = _Gathered()

    def handle(raw: dict[str, Any]) -> bool:
        for event in _events(raw, gathered):
            listener(event)
        return False  # ansible-runner need not keep a file for each event

    with _signals_kept():
        runner = ansible_runner.run(
            private_data_dir=str(work),
            playbook=str(playbook),
            inventory=[str(path) for path in inventories],
            limit=",".join(limit) or None,
            extravars=dict(variables or {}),
            cmdline="--check --diff" if check else None,
            event_handler=handle,
            quiet=True,
            suppress_env_files=True,
            rotate_artifacts=KEPT_RUNS,
            envvars=_environment(playbook.parent, work),
            settings={"idle_timeout": 900, "pexpect_use_poll": True},
        )
    if not gathered.stats:
        with runner.stdout as kept:
            output = kept.read()[-LONGEST_WORDS:]
        raise HeadgateError(f"Ansible could not begin ({runner.status}): {output.strip() or 'no output'}")
    return Run(_hosts(gathered), float((runner.stats or {}).get("seconds", 0.0)), tuple(gathered.changed))


@contextmanager
def _signals_kept() -> Iterator[None]:
    """Put back what Ctrl-C and SIGTERM do: ansible-runner takes both for its run and gives neither back, so nothing would end us."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():  # elsewhere it takes none
            for number, handler in before.items():
                signal.signal(number, handler)


def _environment(playbooks: Path, work: Path) -> dict[str, str]:
    """Return Ansible's settings that depend on where we are; the others are in ``playbooks/ansible.cfg``."""
    # Control sockets lie in a short path: their names have at most 108 characters (unix(7)).
    sockets = Path(os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}")
    if not sockets.is_dir():
        sockets = Path("/tmp")  # noqa: S108 (ssh makes its socket there with mode 0600)
    return {
        "ANSIBLE_CONFIG": str(playbooks / "ansible.cfg"),
        "ANSIBLE_HOME": str(work / "home"),
        # One folder for each operator: two of them may manage different boxes of the same address, and must not share a connection.
        "ANSIBLE_SSH_CONTROL_PATH_DIR": str(
            sockets / f"headgate-{hashlib.sha256(str(work.resolve()).encode()).hexdigest()[:12]}"
        ),
        "ANSIBLE_FORKS": str(FORKS),
        "HEADGATE_PYTHON": sys.executable,
        "PYTHONPATH": str(Path(__file__).resolve().parents[2]),
        "PATH": f"{Path(sys.executable).parent}:{os.environ.get('PATH', os.defpath)}",
    }


def _events(raw: dict[str, Any], gathered: _Gathered) -> list[Event]:
    """Return our events for one of ansible-runner's, and note down what the end needs."""
    data = raw.get("event_data") or {}
    task, host = str(data.get("task") or ""), str(data.get("host") or "")
    told = data.get("res")
    result: dict[str, Any] = told if isinstance(told, dict) else {}
    match raw.get("event"):
        case "playbook_on_task_start" | "playbook_on_handler_task_start":
            return [Event("task", task)]
        case "runner_on_ok":
            kind = "changed" if result.get("changed") else "ok"
            if kind == "changed":
                gathered.changed.append(f"{host}: {task}")
            return [Event(kind, task, host)]
        case "runner_on_failed" if not data.get("ignore_errors"):
            words = words_of(result)
            gathered.failures.setdefault(host, f"'{task}' failed: {words}")
            return [Event("failed", task, host, words)]
        case "runner_on_unreachable":
            words = words_of(result)
            gathered.failures.setdefault(host, f"not reachable at '{task}': {words}")
            return [Event("unreachable", task, host, words)]
        case "playbook_on_stats":
            gathered.stats = data
    return []


def words_of(result: Mapping[str, Any]) -> str:
    """Return what a failed task's result says to a person."""
    parts = [str(result[key]).strip() for key in ("msg", "stderr", "stdout", "module_stderr") if result.get(key)]
    items = [item for item in result.get("results") or () if isinstance(item, dict)]
    parts += [words_of(item) for item in items if item.get("failed") or item.get("unreachable")]
    text = "\n".join(dict.fromkeys(parts)) or json.dumps(dict(result), default=str)
    return text if len(text) <= LONGEST_WORDS else text[: LONGEST_WORDS // 2] + "\n...\n" + text[-LONGEST_WORDS // 2 :]


def _hosts(gathered: _Gathered) -> dict[str, Host]:
    stats = gathered.stats
    names = set().union(*(stats.get(key) or {} for key in ("ok", "changed", "failures", "dark", "processed")))
    hosts = {}
    for name in sorted(names):
        failed = bool((stats.get("failures") or {}).get(name) or (stats.get("dark") or {}).get(name))
        hosts[name] = Host(
            (stats.get("ok") or {}).get(name, 0),
            (stats.get("changed") or {}).get(name, 0),
            failed,
            gathered.failures.get(name, ""),
        )
    return hosts


def forget(work: Path) -> None:
    """Remove what Ansible keeps in ``work``."""
    shutil.rmtree(work, ignore_errors=True)
