"""``headgate policy``: check a site's policy, ask it questions, compare two."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from appliance.identity.keys import PrivateKey
from appliance.runtime.config import Problem
from appliance.runtime.errors import ConfigError, Fault, HeadgateError, Refused
from appliance.runtime.files import write_atomic
from gateway.isolation import approval, changes, policy, question, remarks, verdict
from gateway.isolation.policy import Policy
from gateway.isolation.question import End, Question
from gateway.isolation.shelf import signatures_beside, signatures_of

FILE = click.Path(path_type=Path)
AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print the result for a program.")


def _console() -> Console:
    return Console(highlight=False, soft_wrap=True)


@click.group()
def commands() -> None:
    """Check, question, compare and show a site's policy; nothing here needs a box or changes one.

    Example: headgate policy check sites/headend/policy.yaml
    """


@commands.command()
@click.argument("file", type=FILE)
@click.option("--strict", is_flag=True, help="Take what is idle, shadowed or repeated for a fault.")
@click.option("--in-force", type=FILE, help="Say also whether FILE may follow this policy: its serial, its signatures.")
@AS_JSON
def check(file: Path, in_force: Path | None, *, strict: bool, as_json: bool) -> None:
    """Find every fault in FILE, by the code that the box itself runs; and what in it is idle, shadowed or repeated.

    Example: headgate policy check sites/headend/policy.yaml --in-force .applied/headend.yaml
    """
    try:
        read, warnings = _checked(file, strict=strict)
        refused = _refusal(in_force, read, file) if in_force else None
    except ConfigError as error:
        if not as_json:
            raise
        faults = [_fault(fault) for fault in error.faults]
        click.echo(json.dumps({"ok": False, "faults": faults}, ensure_ascii=False))
        raise click.exceptions.Exit(2) from error
    told = {
        "ok": refused is None,
        "site": read.site,
        "digest": read.digest,
        "serial": read.serial,
        "zones": list(read.zones),
        "services": len(read.services),
        "lanes": len(read.lanes),
        "cases": len(read.expect),
        "faults": [],
        "warnings": [_fault(warning) for warning in warnings],
        "refused": {"reason": refused.reason, "error": str(refused)} if refused else None,
    }
    if as_json:
        click.echo(json.dumps(told, ensure_ascii=False))
        raise click.exceptions.Exit(1 if refused else 0)
    for warning in warnings:
        _console().print(f"[yellow]warning[/yellow] {escape(warning.render())}")
    if refused is not None:
        raise refused
    _console().print(
        f"[green]ok[/green] {escape(str(file))}: site {read.site}, zones {', '.join(read.zones)}; {len(read.services)} services, "
        f"{len(read.lanes)} lanes, {len(read.expect)} cases hold\ndigest {read.digest}"
    )


def _checked(file: Path, *, strict: bool) -> tuple[Policy, list[Fault]]:
    read = policy.load(file)
    warnings = remarks.remarks(read)
    if strict and warnings:
        raise ConfigError(warnings)
    return read, warnings


def _refusal(in_force: Path, read: Policy, file: Path) -> Refused | None:
    return approval.refusal(policy.load(in_force), read, signatures_of(file))


@commands.command()
@click.argument("file", type=FILE)
@click.option("-o", "--output", type=FILE, help="Write it there instead of printing it.")
def whole(file: Path, output: Path | None) -> None:
    """Write the one whole policy that FILE and what it includes make: what boxes get, and what digests and signatures are over.

    Example: headgate policy whole sites/headend/policy.yaml -o headend.yaml
    """
    read = policy.load(file)
    if output is None:
        click.echo(read.data, nl=False)
        return
    try:
        write_atomic(output, read.data)
    except OSError as error:
        raise HeadgateError(f"{output} cannot be written: {error.strerror}") from error


@commands.command()
@click.argument("file", type=FILE)
@click.option("--key", "key_file", type=FILE, required=True, help="Your private key, as 'headgate key new' made it.")
@click.option("--as", "name", help="Your name, for people. Without it: the name that FILE's approval gives this key.")
@AS_JSON
def sign(file: Path, key_file: Path, name: str | None, *, as_json: bool) -> None:
    """Approve FILE as it stands: put a signature over the whole policy into FILE.signatures, beside those of others.

    Example: headgate policy sign sites/headend/policy.yaml --key li-wei.key
    """
    read = policy.load(file)
    try:
        key = PrivateKey.load(key_file)
        known = {str(public): named for named, public in read.approval.keys.items()} if read.approval else {}
        named = name or known.get(str(key.public), key.public.key_id)
        made = approval.sign(read, named, key, signatures_of(file))
        write_atomic(signatures_beside(file), made)
    except OSError as error:
        raise HeadgateError(f"{error.filename or key_file}: {error.strerror}") from error
    names = [one["name"] for one in json.loads(made)["signatures"]]
    if as_json:
        click.echo(json.dumps({"digest": read.digest, "signatures": names}, ensure_ascii=False))
    else:
        click.echo(f"signed by {', '.join(names)}: {read.digest}")


def _fault(fault: Fault) -> dict[str, object]:
    told = asdict(fault)
    return {key: told[key] for key in ("file", "line", "column", "path", "message", "hint")}


@commands.command()
@click.argument("file", type=FILE)
@click.option("--from", "source", required=True, help="box, ZONE or ZONE/ADDRESS.")
@click.option("--to", "target", required=True, help="box, ZONE or ZONE/ADDRESS.")
@click.option("--proto", type=click.Choice(question.PROTOCOLS), help="Without it: anything at all.")
@click.option("--port", type=click.IntRange(1, 65535), help="The port that is asked for.")
@click.option("--lane", type=click.Choice(question.KINDS), help="Ask for objects of this kind instead of packets.")
@click.option("--live", is_flag=True, help="Ask the running kernel the same (as root, on the box).")
@AS_JSON
def explain(
    file: Path,
    source: str,
    target: str,
    proto: str | None,
    port: int | None,
    lane: str | None,
    *,
    live: bool,
    as_json: bool,
) -> None:
    """Say whether A reaches B, why, and which line of FILE decides; exit 1 if it does not.

    With --live also say what the running kernel does with it, and which of its rules decides; exit 1 if that is not what FILE says.

    Example: headgate policy explain site.yaml --from bigscreen/10.20.0.50 --to box --proto tcp --port 80
    """
    read = policy.load(file)
    asked = Question(_end(source, "--from"), _end(target, "--to"), proto, port, lane)  # type: ignore[arg-type]
    for key, sentence in question.faults_of(asked):
        raise click.BadParameter(sentence, param_hint=f"--{key}")
    if live and lane:
        raise click.BadParameter("the kernel knows packets, not objects", param_hint="--lane")
    answer = verdict.decide(read, asked)
    kernel = _live(file, asked, allowed=answer.allowed) if live else None
    where, line = read.place_of(answer.path)
    if as_json:
        told = {
            "allowed": answer.allowed,
            "why": answer.why,
            "path": list(answer.path),
            "file": where,
            "line": line,
        }
        if kernel:
            told["live"] = kernel
        click.echo(json.dumps(told, ensure_ascii=False))
    else:
        word = "[bold green]yes[/bold green]" if answer.allowed else "[bold red]no[/bold red]"
        _console().print(f"{word}: {escape(str(asked))}: {escape(answer.why)}\n     {escape(where)}:{line}")
        if kernel:
            _console().print(kernel["said"], style="green" if kernel["agrees"] else "red", markup=False)
    if kernel and not kernel["agrees"]:
        raise Refused("live-differs", "the running kernel does not do what the policy says")
    if not answer.allowed:
        raise click.exceptions.Exit(1)


def _live(file: Path, asked: Question, *, allowed: bool) -> dict[str, Any]:
    from gateway.isolation import cli_errand  # needed on a box alone

    ends = {"from": str(asked.source), "to": str(asked.target)}
    return cli_errand.run(
        {
            "kind": "explain",
            "policy": str(file.absolute()),
            **ends,
            "proto": asked.protocol,
            "port": asked.port,
            "allowed": allowed,
        }
    )


def _end(text: str, option: str) -> End:
    try:
        return End.parse(text)
    except Problem as error:
        raise click.BadParameter(f"{error} {error.hint}".rstrip(), param_hint=option) from error


@commands.command()
@click.argument("old", type=FILE)
@click.argument("new", type=FILE)
@AS_JSON
def diff(old: Path, new: Path, *, as_json: bool) -> None:
    """Say in words who gains and who loses what when OLD becomes NEW, held against a proof over all packets.

    Example: headgate policy diff enforced.yaml wanted.yaml
    """
    from gateway.isolation.agreement import proven  # numpy with it, which no other command here needs

    before, after = policy.load(old), policy.load(new)
    found = changes.changes(before, after)
    agreed, kinds = proven(before, after)
    if as_json:
        listed = [asdict(change) for change in found]
        told = {"old": before.digest, "new": after.digest, "changes": listed, "proven": agreed}
        click.echo(json.dumps(told, ensure_ascii=False))
        raise click.exceptions.Exit(0 if agreed else 1)
    for change in found:
        sign, style = ("+", "green") if change.verb == "gains" else ("-", "red")
        _console().print(f"{sign} {change}", style=style, markup=False)
    if not found:
        same = before.digest == after.digest
        click.echo("the same file" if same else "no difference in what is allowed (the files differ)")
    if not agreed:
        raise HeadgateError(
            "the proof over all packets finds other differences than these: do not apply, and tell the makers"
        )
    click.echo(
        f"proven over all packets: {kinds or 'no'} {'kind' if kinds == 1 else 'kinds'} of opening differ, each told above"
    )


@commands.command()
@click.argument("file", type=FILE)
@AS_JSON
def show(file: Path, *, as_json: bool) -> None:
    """Show what FILE allows, as tables.

    Example: headgate policy show /run/headgate/policy/policy.yaml
    """
    read = policy.load(file)
    if as_json:
        click.echo(
            json.dumps(read.model_dump(mode="json", by_alias=True) | {"digest": read.digest}, ensure_ascii=False)
        )
        return
    for table in _tables(read):
        _console().print(table)


def _tables(read: Policy) -> list[Table]:
    zones = Table("zone", "port", "addresses", "routes", title=f"site {read.site}", title_justify="left")
    for name, zone in read.zones.items():
        routes = ", ".join(f"{r.to} via {r.via}" for r in zone.routes)
        zones.add_row(name, str(zone.port), ", ".join(map(str, zone.addresses)), routes)
    allowed = Table(
        "from", "to", "what", "by", "line", title="what is allowed; all else is dropped", title_justify="left"
    )
    for name, service in read.services.items():
        line = str(read.line_of(("services", name)))
        allowed.add_row(
            f"{service.zone}: {service.sources}", "box", f"{service.listen} ({service.run})", f"service {name}", line
        )
    for name, reach in read.reach.items():
        line = str(read.line_of(("reach", name)))
        allowed.add_row("box", f"{reach.zone}: {reach.to}", f"{reach.port} ({reach.run})", f"reach {name}", line)
    for name, lane in read.lanes.items():
        line = str(read.line_of(("lanes", name)))
        allowed.add_row(
            lane.source,
            lane.target,
            f"{question.MANY[lane.kind]}, each up to {lane.largest} bytes"
            + (f", at most {lane.rate}" if lane.rate else ""),
            f"lane {name}",
            line,
        )
    groups = Table("group", "addresses", "networks", "line", title="groups", title_justify="left")
    named = {**read.groups, **{name: body.addresses for name, body in read.bodies.items() if body.addresses}}
    for name, group in named.items():
        line = str(read.line_of(("groups" if name in read.groups else "bodies", name)))
        groups.add_row(f"@{name}", str(len(group) - len(group.ranges)), str(len(group.ranges)), line)
    return [zones, *([groups] if named else []), allowed]
