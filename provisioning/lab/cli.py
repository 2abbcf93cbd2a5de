"""``headgate lab``: a whole operator on this machine."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import time

import click
from rich.console import Console
from rich.table import Table

from appliance.runtime.errors import Refused
from provisioning.lab import lab as machines
from provisioning.lab.lab import OPERATOR, Lab
from provisioning.lab.progress import Progress, Shown

name_option = click.option(
    "--name", default="lab", show_default=True, help="Which lab; several may be up side by side."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print what a program may read.")


@click.group(name="lab")
def commands() -> None:
    """Raise a whole operator on this machine: a centre, boxes of each role, screens and attackers. Needs root.

    Example: headgate lab up
    """


@commands.command()
@name_option
@click.option("--blank", is_flag=True, help="Boot the machines and leave them blank, without provisioning.")
def up(name: str, *, blank: bool) -> None:
    """Boot blank boxes and provision them by Ansible over SSH; goes on where an earlier one stopped.

    Example: headgate lab up --name rehearsal
    """
    lab = _lab(name)
    missing = machines.programs_missing()
    if missing:
        raise Refused("programs-missing", f"install these first: {', '.join(missing)} (./dev lab does it)")
    began = time.monotonic()
    progress = Shown()
    with lab.state.changing():  # so that a `down` from elsewhere does not pull it away underneath
        lab.up_machines(progress)
        if not blank:
            from provisioning.lab import operator

            with progress.step("provisioning from blank"):
                operator.provision(lab, progress)
    click.echo(
        f"The lab '{name}' is up after {time.monotonic() - began:.0f} s. Next: headgate lab tour, status, shell BOX, down."
    )


@commands.command()
@name_option
@json_option
def status(name: str, *, as_json: bool) -> None:
    """Show each machine, its addresses and its cables; exit 1 where one of them is not running.

    Example: headgate lab status --json
    """
    seen = Lab(name).status()
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(machine) for machine in seen], indent=2))
    else:
        table = Table("machine", "state", "image", "ports", "unplugged", title=f"lab '{name}'")
        for machine in seen:
            colour = {"running": "green", "off": "yellow"}.get(machine.state, "red")
            state = f"[{colour}]{machine.state}[/]"
            table.add_row(
                machine.machine, state, machine.image, "\n".join(machine.addresses), "\n".join(machine.unplugged)
            )
        Console(highlight=False).print(table)
    sys.exit(0 if all(machine.state == "running" for machine in seen) else 1)


@commands.command()
@name_option
@click.argument("box")
def shell(name: str, box: str) -> None:
    """Open a shell inside BOX, or at the operator's workstation (BOX is 'operator').

    Example: headgate lab shell headend
    """
    lab = _lab(name)
    if box == OPERATOR:
        argv = lab.operator_argv([os.environ.get("SHELL", "/bin/bash")])
    else:
        terminal = f"TERM={os.environ.get('TERM', 'dumb')}"
        argv = lab.argv(box, ["env", terminal, "bash", "-l"])
    sys.exit(subprocess.run(argv, check=False).returncode)


@commands.command()
@name_option
@json_option
@click.argument("flows", nargs=-1)
def tour(name: str, flows: tuple[str, ...], *, as_json: bool) -> None:
    """Walk the five flows (or those named) with real clients and say what was seen; exit 1 if a claim does not hold.

    Example: headgate lab tour film identifier --json
    """
    from provisioning.lab import tour as guide

    for unknown in [flow for flow in flows if flow not in guide.FLOWS]:
        raise click.BadParameter(f"no flow '{unknown}'; there are {', '.join(guide.FLOWS)}")
    sys.exit(0 if guide.run(_lab(name), as_json=as_json, flows=flows) else 1)


@commands.command()
@name_option
@json_option
def down(name: str, *, as_json: bool) -> None:
    """Remove everything that this lab made, also after a crash, and nothing else.

    Example: headgate lab down
    """
    lab = _lab(name)
    progress = Progress() if as_json else Shown()
    with progress.step(f"taking the lab '{name}' down"):
        removed = lab.down()
    click.echo(
        json.dumps({"removed": removed})
        if as_json
        else f"{len(removed)} things removed"
        if removed
        else "nothing was there"
    )


def _lab(name: str) -> Lab:
    if os.geteuid():
        raise Refused("not-root", "a lab makes network namespaces and boots boxes: run it as root")
    return Lab(name)
