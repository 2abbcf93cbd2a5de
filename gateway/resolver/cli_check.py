"""``headgate id check`` and ``schemes``: what can be told of a code without asking anybody."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from gateway.resolver import codes
from gateway.resolver.codes.code import LONGEST_WRITTEN

LONGEST_SHOWN = 80  # characters of a line that is far too long for a code
JSON = click.option("--json", "as_json", is_flag=True, help="For a program: one JSON object a line.")


def _lengths(_context: click.Context, _option: click.Parameter, given: tuple[str, ...]) -> dict[str, int]:
    found = {}
    for text in given:
        service, _, digits = text.partition("=")
        if not (len(service) == 6 and service.isdigit() and digits.isdigit()):
            raise click.BadParameter(f"'{text}' is not SERVICE=DIGITS, such as 999999=15")
        found[service] = int(digits)
    return found


@click.command()
@click.argument("written", metavar="CODE...", nargs=-1, required=True)
@click.option(
    "--length",
    "lengths",
    multiple=True,
    metavar="SERVICE=DIGITS",
    callback=_lengths,
    help="How long the link codes of an ISLI service are; may be given several times.",
)
@JSON
def check(written: tuple[str, ...], lengths: dict[str, int], *, as_json: bool) -> None:
    """Check each CODE (- for one a line on standard input): scheme, canonical form and parts, or what is wrong and what was meant.

    Exit code 1 if one is wrong.

    Example: headgate id check 999999-100000000000001-4 'ISBN 978-0-471-11709-4'
    """
    console = Console(highlight=False, markup=False, soft_wrap=True)
    wrong = 0
    alone = len(written) == 1 and written[0] != "-"
    for text in _each(written):
        told = _told(text, lengths)
        wrong += not told["ok"]
        if as_json:
            click.echo(json.dumps(told, ensure_ascii=False))
        elif alone and told["ok"]:
            console.print(_rows(told))
        else:
            console.print(_line(told))
    if wrong:
        raise SystemExit(1)


@click.command()
@JSON
def schemes(*, as_json: bool) -> None:
    """List the schemes of identifiers that are understood, each with an example and what tells a slip.

    Example: headgate id schemes
    """
    table = Table("scheme", "example", "name", "standard", "what tells a slip", box=None)
    for scheme in codes.SCHEMES.values():
        if as_json:
            told = {
                "scheme": scheme.name,
                "title": scheme.title,
                "chinese": scheme.chinese,
                "standard": scheme.standard,
                "check": scheme.check,
                "example": scheme.example,
            }
            click.echo(json.dumps(told, ensure_ascii=False))
        else:
            example = codes.parse(scheme.example).display
            table.add_row(scheme.name, example, f"{scheme.title} · {scheme.chinese}", scheme.standard, scheme.check)
    if not as_json:
        Console(highlight=False, markup=False, width=200).print(table)


def _each(written: Iterable[str]) -> Iterator[str]:
    for text in written:
        if text == "-":
            with click.open_file("-", "r", encoding="utf-8", errors="surrogateescape") as lines:
                for line in lines:
                    if line.strip():
                        yield line.rstrip("\r\n")
        else:
            yield text


def _told(text: str, lengths: dict[str, int]) -> dict[str, Any]:
    try:
        code = codes.parse(text, lengths)
    except codes.WrongCode as error:
        return {"ok": False, "written": _short(text), **error.told}
    told: dict[str, Any] = {
        "ok": True,
        "written": text,
        "scheme": code.scheme,
        "canonical": code.canonical,
        "display": code.display,
        "parts": code.parts,
    }
    if code.uri:
        told["uri"] = code.uri
    return told


def _short(text: str) -> str:
    """Return as much of a wrong line as people and programs need to know it again."""
    shown = text if len(text) <= LONGEST_WRITTEN else text[: LONGEST_SHOWN - 1] + "…"
    return shown.encode(errors="replace").decode()


def _rows(told: dict[str, Any]) -> Table:
    table = Table(box=None, show_header=False)
    scheme = codes.SCHEMES[told["scheme"]]
    table.add_row("scheme", f"{scheme.name} · {scheme.title} · {scheme.chinese}")
    for name in ("canonical", "display", "uri"):
        if name in told:
            table.add_row(name, told[name])
    for name, part in told["parts"].items():
        table.add_row(name, part)
    return table


def _line(told: dict[str, Any]) -> str:
    if told["ok"]:
        return f"ok     {told['canonical']}"
    perhaps = "".join(f"\n       perhaps {code}" for code in told.get("likely", []))
    return f"wrong  {told['written']}: {told['error']} ({told['reason']}){perhaps}"


COMMANDS = (check, schemes)
