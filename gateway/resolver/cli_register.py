"""``headgate id register``, ``withdraw``, ``block`` and ``service``: what a body or the operator signs and hands in at the registry."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import click
from pydantic import ValidationError

from appliance.runtime.errors import Refused
from gateway.resolver import codes, delegations
from gateway.resolver.cli_words import AT, JSON, KEY, private_key, show_faults
from gateway.resolver.delegations import AskedBlock, AskedService
from gateway.resolver.records import Record, told
from gateway.resolver.registry_client import Client, Faulty, segment, with_registry
from gateway.resolver.statement import Act, sign
from gateway.resolver.vocabulary import kind_of

Signed = TypeVar("Signed", Record, AskedBlock, AskedService)
STATUSES = ("registered", "reserved", "superseded")


@click.command()
@click.argument("code")
@click.option("--title", required=True, help="What people call it.")
@click.option("--body", required=True, help="The admitted organisation that answers for it.")
@click.option("--release", help="The release that holds it, for a thing that boxes play.")
@click.option("--entry", help="The file of the release that a player opens, such as master.m3u8.")
@click.option("--url", "urls", multiple=True, help="Another place where it is; may be given several times.")
@click.option("--link", "linked", multiple=True, metavar="TYPE=CODE", help="A link, such as multimedia=999999-...-5.")
@click.option("--metadata", "metadata", multiple=True, metavar="NAME=TEXT", help="More that is known of it.")
@click.option("--status", type=click.Choice(STATUSES), default="registered", show_default=True)
@click.option("--superseded-by", help="The code that took its place, with --status superseded.")
@click.option("--zones", help="Zones in which it may be told of, separated by commas; everywhere by default.")
@click.option("--ttl", type=int, help="Seconds for which an answer may be kept.")
@KEY
@AT
@JSON
def register(code: str, key: Path, at: str, *, as_json: bool, **given: Any) -> None:
    """Register CODE at the controller AT, or at the body's own box, signed with its key; the same again changes nothing.

    Example: headgate id register 999999-100000000000001-4 --title 刘三姐 --body guangxi-film --key keys/film.key
    --release 999999-100000000000001-4 --entry master.m3u8 --at http://10.40.0.20:8080
    """
    record = _record(code, given)
    done = _hand_in("register", record, key, at)
    if as_json:
        click.echo(json.dumps(done, ensure_ascii=False))
    elif done.get("pending"):
        click.echo(f"{record.code} is registered at this box; the centre hears of it as soon as the line is there")
    else:
        word = f"registered; it is change {done['first']} of the log" if done["changed"] else "was registered already"
        click.echo(f"{record.code} {word}")


@click.command()
@click.argument("code")
@click.option("--reason", required=True, help="Why; boxes tell it to who asks.")
@KEY
@AT
@JSON
def withdraw(code: str, reason: str, key: Path, at: str, *, as_json: bool) -> None:
    """Withdraw CODE at the controller AT, with its body's key or the operator's: boxes answer 410 from then on, for good.

    Example: headgate id withdraw 999999-100000000000001-4 --reason 版权到期 --key keys/film.key --at http://10.40.0.20:8080
    """
    found = codes.parse(code)
    known = with_registry(at, lambda registry: registry.get(f"/records/{segment(found)}"))
    kept = {name: value for name, value in known.items() if name not in ("number", "superseded_by", "status", "reason")}
    if known.get("status") == "withdrawn":
        raise Refused("withdrawn", f"{found} is withdrawn already: {known.get('reason')}", 409)
    done = _hand_in("withdraw", _checked(kept | {"status": "withdrawn", "reason": reason}), key, at)
    click.echo(json.dumps(done, ensure_ascii=False) if as_json else f"{found} is withdrawn")


@click.command()
@click.argument("part")
@click.option("--body", required=True, help="The body whose codes these are.")
@click.option("--box", required=True, help="Its box, which gives them out from now on, also while the line is down.")
@KEY
@AT
@JSON
def block(part: str, body: str, box: str, key: Path, at: str, *, as_json: bool) -> None:
    """Allot all codes that begin with PART to a BOX of the body, which alone registers them then.

    Example: headgate id block isli:999999-1000001 --body guangxi-library --box nanning --key keys/library.key --at http://10.40.0.20:8080
    """
    made = _valid(AskedBlock, part=part, body=body, box=box, time=datetime.now(UTC))
    data = delegations.seal(made, private_key(key))
    done = with_registry(at, lambda registry: registry.post("/blocks", data))
    click.echo(json.dumps(done) if as_json else f"{part} is {box}'s")


@click.command()
@click.argument("service")
@click.option("--link", type=int, required=True, help="Digits of its link codes.")
@click.option("--body", required=True, help="Who administers it.")
@click.option("--name", default="", help="What people call it.")
@KEY
@AT
@JSON
def service(service: str, link: int, body: str, name: str, key: Path, at: str, *, as_json: bool) -> None:
    """Record the ISLI SERVICE code with the length of its link codes, signed by the operator.

    Example: headgate id service 999999 --link 15 --body guangxi-library --key keys/regulator.key --at http://10.40.0.20:8080
    """
    made = _valid(AskedService, service=service, link=link, body=body, name=name, time=datetime.now(UTC))
    data = delegations.seal(made, private_key(key))
    done = with_registry(at, lambda registry: registry.post("/services", data))
    click.echo(json.dumps(done, ensure_ascii=False) if as_json else f"{service}: link codes of {link} digits, {body}")


@click.command(name="next")
@click.option("--body", required=True, help="The body whose blocks these are.")
@click.option("--count", type=click.IntRange(1, 1000), default=1, show_default=True)
@AT
@JSON
def next_(body: str, count: int, at: str, *, as_json: bool) -> None:
    """Print the next free codes of the blocks that are allotted to the box AT; none is printed twice.

    Example: headgate id next --body guangxi-library --count 10 --at http://10.50.0.13:8090
    """
    told = with_registry(at, lambda box: box.get("/next", {"body": body, "count": str(count)}))
    click.echo(json.dumps(told) if as_json else "\n".join(told["codes"]))


COMMANDS = (register, withdraw, block, service, next_)


def _hand_in(act: Act, record: Record, key: Path, at: str) -> dict[str, Any]:
    registration = sign(act, record.body, [record], private_key(key), datetime.now(UTC))

    async def work(registry: Client) -> dict[str, Any]:
        return await registry.register(registration)

    try:
        return with_registry(at, work)
    except Faulty as error:
        if len(error.faults) > 1:
            show_faults(error)
        raise


def _record(code: str, given: dict[str, Any]) -> Record:
    release, entry = given["release"], given["entry"]
    if (release is None) != (entry is None):
        raise click.UsageError("--release and --entry belong together")
    locations: list[dict[str, str]] = [{"url": url} for url in given["urls"]]
    if release is not None and entry is not None:
        locations.insert(0, {"release": codes.parse(release).canonical, "entry": entry})
    successor = given["superseded_by"]
    whole = {
        "code": codes.parse(code).canonical,
        "status": given["status"],
        "superseded_by": codes.parse(successor).canonical if successor else None,
        "title": given["title"],
        "body": given["body"],
        "locations": locations,
        "links": [_link(text) for text in given["linked"]],
        "metadata": dict(_named(text, "--metadata") for text in given["metadata"]),
        "rights": {"zones": given["zones"].split(",")} if given["zones"] else None,
    }
    return _checked(whole | ({"ttl": given["ttl"]} if given["ttl"] is not None else {}))


def _checked(whole: dict[str, Any]) -> Record:
    return _valid(Record, **whole)


def _valid(model: type[Signed], **whole: Any) -> Signed:
    try:
        return model.model_validate_json(json.dumps(whole, ensure_ascii=False, default=datetime.isoformat))
    except ValidationError as error:
        raise Refused("bad-request", told(error), 422) from error


def _link(text: str) -> dict[str, str]:
    kind, target = _named(text, "--link")
    return {"type": kind_of(kind).name, "target": codes.parse(target).canonical}


def _named(text: str, option: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise click.BadParameter(f"'{text}' lacks its =", param_hint=option)
    return name, value
