"""What a daemon loads as it starts: its own and nothing of another's, and no authorities that it does not trust."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from provisioning.run import DAEMONS

ROOT = Path(__file__).parents[3]

# Each takes tens of milliseconds of every start that loads it; those named need it.
HEAVY = {
    "ansible_runner": set(),
    "cwt": set(),  # tokens: where the policy asks for them
    "dd": set(),  # a signed audit runs in a process of its own
    "jinja2": {"resolver", "linking", "controller"},
    "joserfc": set(),  # as cwt
    "numpy": {"guard"},
    "opencc": {"linking"},
    "pikepdf": set(),  # a file is looked into by a worker of the inspection filter
    "PIL": set(),
    "pymarc": set(),
    "pyroute2": {"guard"},
    "rich": set(),  # of commands
    "scapy": set(),  # GPL, too: the probe is a process of its own
    "sqlalchemy": {"controller"},
    "z3": set(),
}
LOADED = """
import json, os, sys
from provisioning import loading, run
loading.daemon(run.DAEMONS[sys.argv[1]])
print(json.dumps([name for name in sys.argv[2:] if name in sys.modules]))
"""
TRUSTED = """
import gc, os, sys
from provisioning import loading
(loading.daemon if sys.argv[1] == "daemon" else loading.command)("gateway.fetch.client")
from aiohttp import connector
print(len(connector._SSL_CONTEXT_VERIFIED.get_ca_certs()), os.environ["SSL_CERT_FILE"], gc.isenabled(), gc.get_freeze_count() > 10_000)
"""


@pytest.mark.parametrize("daemon", DAEMONS)
def test_a_daemon_loads_nothing_heavy_of_another_s(daemon: str):
    """Told by the modules that are there once it is loaded: no clock is asked."""
    told = subprocess.run(
        [sys.executable, "-c", LOADED, daemon, *HEAVY], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert not [name for name in json.loads(told.stdout) if daemon not in HEAVY[name]]


@pytest.mark.parametrize(("kind", "authorities"), [("daemon", 0), ("command", 1)])
def test_only_a_command_reads_the_system_s_authorities(tmp_path: Path, kind: str, authorities: int):
    """A daemon trusts those that it names; the environment is what it was, and what was imported is never collected."""
    system = tmp_path / "system.crt"
    made = ["openssl", "req", "-x509", "-newkey", "ed25519", "-nodes", "-subj", "/CN=system", "-keyout", "/dev/null"]
    subprocess.run([*made, "-out", str(system)], check=True, capture_output=True)

    told = subprocess.run(
        [sys.executable, "-c", TRUSTED, kind],
        cwd=ROOT,
        env={**os.environ, "SSL_CERT_FILE": str(system)},
        capture_output=True,
        text=True,
        check=True,
    )

    assert told.stdout.split() == [str(authorities), str(system), "True", "True"]
