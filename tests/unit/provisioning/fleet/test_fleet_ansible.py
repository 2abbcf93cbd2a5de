"""Real playbooks on this machine: what happened comes back as events and as an end for each host."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from appliance.runtime.errors import HeadgateError
from provisioning.fleet import ansible
from provisioning.fleet.ansible import Event
from provisioning.fleet.progress import Lines

PLAYBOOK = """\
- hosts: all
  gather_facts: false
  tasks:
    - name: Write a file
      ansible.builtin.copy: {content: "x", dest: "{{ file }}", mode: "0600"}
    - name: Refuse
      ansible.builtin.fail: {msg: "the port is not there"}
      when: inventory_hostname == 'edge'
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "play.yml").write_text(PLAYBOOK)
    hosts = "".join(
        f"    {name}: {{ansible_connection: local, file: {tmp_path / name}}}\n" for name in ("edge", "headend")
    )
    (tmp_path / "inventory.yaml").write_text(
        "all:\n  vars: {ansible_python_interpreter: '{{ ansible_playbook_python }}'}\n  hosts:\n" + hosts
    )
    (tmp_path / "ansible.cfg").write_text("[defaults]\ngathering = explicit\n")
    return tmp_path


@pytest.mark.server  # takes seconds
def test_a_run_tells_what_changed_and_what_failed(folder: Path):
    """The first run changes, a second one does not; a failure carries the module's words and stays with its host."""
    events: list[Event] = []
    lines: list[str] = []
    show = Lines(lines.append)
    first = ansible.play(
        folder / "play.yml",
        [folder / "inventory.yaml"],
        work=folder / "work",
        listener=lambda e: (events.append(e), show(e)),
    )
    show.flush()
    second = ansible.play(folder / "play.yml", [folder / "inventory.yaml"], work=folder / "work", limit=["headend"])

    assert (first.hosts["headend"].changed, first.hosts["headend"].failed) == (1, False)
    assert first.hosts["edge"].failed
    assert first.hosts["edge"].words == "'Refuse' failed: the port is not there"
    assert {(e.kind, e.host) for e in events if e.task == "Write a file" and e.host} == {
        ("changed", "edge"),
        ("changed", "headend"),
    }
    assert any(line.startswith("  Write a file") and "edge" in line and "headend" in line for line in lines)
    assert set(second.hosts) == {"headend"}
    assert (second.hosts["headend"].changed, second.tasks) == (0, ())


def test_a_playbook_that_cannot_begin_is_told(folder: Path):
    """Where Ansible does not even begin, its own words are passed on, and a signal ends us as before."""
    (folder / "play.yml").write_text("- hosts: all\n  tasks: 7\n")
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]

    with pytest.raises(HeadgateError, match="could not begin"):
        ansible.play(folder / "play.yml", [folder / "inventory.yaml"], work=folder / "work")
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_long_words_are_cut_in_the_middle():
    """A failure's beginning and end are kept, in bounds."""
    told = ansible.words_of({"msg": "begin " + "x" * 5000 + " end"})

    assert told.startswith("begin")
    assert told.endswith("end")
    assert len(told) < ansible.LONGEST_WORDS + 10
