"""``headgate fleet``: what the operator's folder asks, and how it reaches the boxes."""

from __future__ import annotations

import datetime as dt
import json
import sys
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from appliance.runtime.errors import HeadgateError, Refused
from provisioning.fleet.new import new

COLOURS = {"new": "cyan", "change": "yellow", "same": "green", "drift": "red", "unknown": "magenta",
           "waiting": "dim", "playing": "yellow", "reporting": "yellow", "enforced": "green", "failed": "red"}  # fmt: skip
folder_option = click.option(
    "--folder",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    default=".",
    help="The operator's folder (inventory.yaml, sites/, pki/, keys/); default: the current one.",
)
controller_option = click.option(
    "--controller", "url", help="Where the controller answers; default: the inventory's centre."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def _console() -> Console:
    return Console(highlight=False, soft_wrap=True)


def _show_json(value: Any) -> None:
    click.echo(json.dumps(value, ensure_ascii=False, indent=1))


def _listener(*, as_json: bool, verbose: bool) -> Any:
    from provisioning.fleet.progress import Json, Lines

    return Json(click.echo) if as_json else Lines(click.echo, everything=verbose)


@click.group(name="fleet")
def commands() -> None:
    """List, enrol, plan and roll out to the boxes of an inventory.

    Example: headgate fleet plan --folder operator/
    """


commands.add_command(new)


@commands.command("list")
@folder_option
@controller_option
@json_option
def list_sites(folder: Path, url: str | None, *, as_json: bool) -> None:
    """Show every site: its ring, address, wanted policy, and what the controller knows of it.

    Example: headgate fleet list --folder operator/
    """
    from appliance.runtime.errors import Unreachable
    from provisioning.fleet import controller, inventory
    from provisioning.fleet.run import controller_url

    fleet = inventory.read(folder.resolve())
    try:
        reports, missing = controller.boxes(controller_url(fleet, url)), ""
    except (Unreachable, Refused) as error:
        reports, missing = {}, str(error)
    rows: list[dict[str, Any]] = []
    for site in sorted(fleet.sites.values(), key=lambda s: (s.ring, s.name)):
        report = reports.get(site.name)
        rows.append({
            "site": site.name, "ring": site.ring, "address": site.address, "centre": site.centre, "wanted": site.policy.digest,
            "enforced": report.enforced if report else None, "state": report.state if report else "unknown",
            "online": report.online if report else None,
        })  # fmt: skip
    if as_json:
        _show_json({"sites": rows, "controller": missing or "answers"})
        return
    table = Table("site", "ring", "address", "wanted", "enforced", "state")
    for row in rows:
        table.add_row(
            row["site"],
            str(row["ring"]),
            row["address"],
            row["wanted"][:12],
            (row["enforced"] or "-")[:12],
            row["state"],
        )
    _console().print(table)
    if missing:
        _console().print(missing, style="yellow")


@commands.command()
@folder_option
@controller_option
@json_option
def plan(folder: Path, url: str | None, *, as_json: bool) -> None:
    """Show per box the difference between what it enforces and what the folder asks, ring by ring. Changes nothing.

    Example: headgate fleet plan --folder operator/
    """
    from dataclasses import asdict

    from provisioning.fleet import inventory
    from provisioning.fleet.run import controller_url, make_plan

    fleet = inventory.read(folder.resolve())
    made, missing = make_plan(fleet, controller_url(fleet, url))
    if as_json:
        _show_json({"changes": [asdict(change) for change in made.changes], "controller": missing or "answers"})
        return
    console = _console()
    for ring, changes in made.rings:
        console.print(f"ring {ring}", style="bold")
        for change in changes:
            console.print(f"  {change.site:<20} [{COLOURS[change.kind]}]{change.kind}[/]  -> {change.wanted[:12]}")
            for line in change.lines:
                console.print(f"      {line}", markup=False)
            if change.refused:
                console.print(f"      the box will refuse it: {change.refused}", style="red", markup=False)
    console.print(
        f"{len(made.open)} of {len(made.changes)} boxes differ" if made.open else "every box enforces what is asked"
    )
    if missing:
        console.print(missing, style="yellow")


@commands.command("bundle")
@folder_option
def make_bundles(folder: Path) -> None:
    """Make the software that boxes are given, so that a rollout needs no network of package registries.

    Example: headgate fleet bundle --folder operator/
    """
    from provisioning.fleet import inventory
    from provisioning.fleet.run import bundles

    fleet = inventory.read(folder.resolve())
    made = bundles(fleet, click.echo).values()
    for path in sorted({archive.path for each in made for archive in (each.libraries, each.software)}):
        click.echo(f"{path} ({path.stat().st_size / 1e6:.1f} MB)")


@commands.group()
def rollout() -> None:
    """Bring the boxes, ring by ring, to what the folder asks.

    Example: headgate fleet rollout start --yes
    """


@rollout.command()
@folder_option
@controller_option
@json_option
@click.option("--ring", type=click.IntRange(0, 99), help="Only this ring.")
@click.option(
    "--limit", type=click.IntRange(5, 3600), default=120, show_default=True, help="Seconds a box has to report."
)
@click.option(
    "--only-policy", is_flag=True, help="Leave software, certificates and settings as they are: some seconds a ring."
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--verbose", is_flag=True, help="Show also the tasks that changed nothing.")
def start(
    folder: Path,
    url: str | None,
    ring: int | None,
    limit: int,
    *,
    only_policy: bool,
    yes: bool,
    verbose: bool,
    as_json: bool,
) -> None:
    """Roll out, ring by ring; halt where a box fails or does not report what it was given.

    Example: headgate fleet rollout start --folder operator/ --ring 1 --yes
    """
    from provisioning.fleet import inventory, run

    folder = folder.resolve()
    fleet = inventory.read(folder)
    if not yes:
        where = ", ".join(s.name for s in fleet.sites.values() if ring in (None, s.ring))
        click.confirm(f"Roll out to {where}?", abort=True)
    listener = _listener(as_json=as_json, verbose=verbose)
    try:
        outcome = run.start(folder, ring=ring, url=url, limit=limit, only_policy=only_policy, listener=listener)
    finally:
        listener.flush()
    if as_json:
        click.echo(
            json.dumps(
                {
                    "kind": "done",
                    "changed": dict(outcome.changed),
                    "changes": outcome.changes,
                    "seconds": outcome.seconds,
                }
            )
        )
        return
    for site, count in outcome.changed.items():
        click.echo(f"{site}: changed={count}")
    click.echo(f"every box reports what is wanted ({outcome.seconds:.0f} s)")


@rollout.command()
@folder_option
@json_option
def status(folder: Path, *, as_json: bool) -> None:
    """Show where the last rollout of this folder is, or how it ended.

    Example: headgate fleet rollout status --json
    """
    from provisioning.fleet.work import Work

    told = Work(folder.resolve()).last_rollout()
    if told is None:
        raise Refused("no-rollout", f"nothing was rolled out from {folder} yet")
    if as_json:
        _show_json(told)
        return
    table = Table("ring", "site", "state", "")
    for box in told["boxes"]:
        table.add_row(str(box["ring"]), box["site"], f"[{COLOURS[box['state']]}]{box['state']}[/]", box["told"])
    _console().print(table)
    _console().print(f"{told['end'] or 'under way'}, {told['time']}")


@commands.command()
@folder_option
@click.argument("site")
def enrol(folder: Path, site: str) -> None:
    """Give a box its software and its certificate, and nothing else: it stays as it is.

    Example: headgate fleet enrol headend --folder operator/
    """
    _play(folder, "enrol.yml", site)


def _play(folder: Path, playbook: str, site: str, variables: dict[str, Any] | None = None) -> None:
    from provisioning.fleet import ansible, bundle, inventory, run
    from provisioning.fleet.pki import Authority
    from provisioning.fleet.work import Work

    fleet = inventory.read(folder.resolve())
    if site not in fleet.sites:
        raise Refused("no-such-site", f"there is no site '{site}'; sites here: {', '.join(sorted(fleet.sites))}")
    work = Work(fleet.folder)
    listener = _listener(as_json=False, verbose=False)
    with work.alone():
        Authority.at(fleet.folder / "pki", dt.datetime.now(dt.UTC))
        inventories = [fleet.inventory, work.note_variables(fleet, run.bundles(fleet, click.echo))]
        path = bundle.source().playbooks / playbook
        done = ansible.play(path, inventories, work=work.ansible, limit=[site], variables=variables, listener=listener)
    listener.flush()
    for name, host in done.hosts.items():
        click.echo(f"{name}: {host.words}" if host.failed else f"{name}: changed={host.changed}")
    if any(host.failed for host in done.hosts.values()) or site not in done.hosts:
        raise HeadgateError(f"{playbook} failed at {site}")


@commands.command()
@folder_option
@click.argument("release", type=click.Path(path_type=Path, exists=True, file_okay=False))
def publish(folder: Path, release: Path) -> None:
    """Copy a signed release to the origin at the centre: its files first, its manifest last.

    Example: headgate fleet publish film/ --folder operator/
    """
    import tarfile
    import tempfile

    from provisioning.fleet import inventory

    centre = inventory.read(folder.resolve()).centre
    if centre is None:
        raise Refused("no-centre", "the inventory has no centre, so there is no origin to publish at")
    if not (release / "release.json").is_file():
        raise Refused("not-signed", f"{release} holds no release.json: run 'headgate release make' first")
    with tempfile.TemporaryDirectory(prefix="headgate-publish-") as scratch:
        archive = Path(scratch) / "release.tar"
        with tarfile.open(archive, "w") as tar:
            tar.add(release, arcname=".")
        _play(folder, "publish.yml", centre.name, {"publish_archive": str(archive)})


@commands.command(hidden=True)
@click.option("--folder", type=click.Path(path_type=Path), required=True, help="Where key and certificate lie.")
@click.option("--file", "stem", required=True, help="Their file names, without .key and .crt.")
@click.option("--name", required=True, help="Who asks.")
@click.option("--address", "addresses", multiple=True, help="An address that the certificate must speak for.")
@click.option("--group", help="The group that may read the key.")
@click.option("--authority", required=True, help="SHA-256 of the operator's ca.crt, in hex.")
def request(folder: Path, stem: str, name: str, addresses: tuple[str, ...], group: str | None, authority: str) -> None:
    """On the box: print a certificate request, or nothing where the certificate still serves; the key is made if there is none.

    Example: headgate fleet request --folder /etc/headgate/tls --file box --name headend --address 10.40.0.11 --authority 3af1...
    """
    from provisioning.fleet import pki

    private, _ = pki.make_key(folder / f"{stem}.key", group)
    asked = pki.request(private, name)
    known = Path("/etc/headgate/tls/ca.crt")
    found = pki.standing(asked, folder / f"{stem}.crt", known, authority, name, addresses, dt.datetime.now(dt.UTC))
    if isinstance(found, pki.Issue):
        click.echo(asked.decode(), nl=False)
        click.echo(found.why, err=True)


@commands.command(hidden=True)
@folder_option
@click.option("--name", required=True, help="The name that the certificate gets.")
@click.option("--address", "addresses", multiple=True, help="An address that it speaks for.")
def sign(folder: Path, name: str, addresses: tuple[str, ...]) -> None:
    """At the operator: answer the request on standard input with a certificate.

    Example: headgate fleet sign --name headend --address 10.40.0.11 < headend.csr
    """
    from provisioning.fleet import pki

    authority = pki.Authority(folder / "pki")
    asked = sys.stdin.buffer.read(pki.LARGEST + 1)
    answer, decision = authority.answer(asked, name, addresses, dt.datetime.now(dt.UTC))
    click.echo(answer.decode(), nl=False)
    click.echo("kept" if isinstance(decision, pki.Keep) else f"issued: {decision.why}", err=True)
