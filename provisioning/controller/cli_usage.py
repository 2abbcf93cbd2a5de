"""``headgate usage``: what was delivered, as the controller added it up, and a body's statement."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any
from urllib.parse import quote, urlencode

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from appliance.runtime.addresses import base_of
from appliance.runtime.errors import Corrupt
from gateway.release import paths
from gateway.release.amounts import size_of
from gateway.release.cli_looks import asked

BY = ("day", "body", "release", "zone", "screen", "box")
FIGURES = ("requests", "broken", "bytes", "hit_bytes")
WORDS = {
    "en": {
        "day": "day", "body": "body", "release": "release", "zone": "zone", "screen": "screen", "box": "box",
        "title": "title", "requests": "requests", "broken": "broken off", "bytes": "bytes", "hit_bytes": "from the store",
        "total": "total", "statement": "Statement of use", "period": "period", "nothing": "Nothing was delivered.",
        "from": "the beginning", "to": "today", "left": "{} more lines: narrow the question",
        "big": "televisions", "small": "phones",
    },
    "zh": {
        "day": "日期", "body": "主体", "release": "标识符", "zone": "区域", "screen": "屏幕", "box": "网关",
        "title": "名称", "requests": "请求数", "broken": "中断数", "bytes": "字节数", "hit_bytes": "本地命中",
        "total": "合计", "statement": "使用结算单", "period": "期间", "nothing": "没有交付记录。",
        "from": "起始", "to": "今日", "left": "另有 {} 行：请缩小范围",
        "big": "大屏", "small": "小屏",
    },
}  # fmt: skip


def _day(_context: click.Context, _parameter: click.Parameter, text: str | None) -> str:
    if not text:
        return ""
    try:
        return dt.date.fromisoformat(text).isoformat()
    except ValueError as error:
        raise click.BadParameter("a day is written as in 2026-11-29") from error


def _by(_context: click.Context, _parameter: click.Parameter, text: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    if len(set(names)) < len(names) or not set(names) <= set(BY):
        raise click.BadParameter(f"some of {', '.join(BY)}, each once")
    return names


at_option = click.option(
    "--at", required=True, callback=lambda _c, _p, url: base_of(url), help="The controller, http://HOST[:PORT]."
)
since_option = click.option("--since", callback=_day, help="First day (UTC), as in 2026-11-01; default: the beginning.")
until_option = click.option("--until", callback=_day, help="Last day (UTC), included; default: today.")
language_option = click.option("--lang", type=click.Choice(["en", "zh"]), default="en", show_default=True)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group("usage")
def commands() -> None:
    """Show what was delivered to screens, to the byte, as the boxes metered it.

    Example: headgate usage show --at http://10.40.0.20:8080 --by body,day
    """


@commands.command("show")
@at_option
@click.option("--by", callback=_by, default="body", show_default=True, help=f"What to tell apart: {', '.join(BY)}.")
@since_option
@until_option
@click.option("--day", callback=_day, help="Only this day (UTC).")
@click.option("--body", help="Only this body.")
@click.option("--release", help="Only this identifier.")
@click.option("--zone", help="Only this zone.")
@click.option("--screen", type=click.Choice(["big", "small"]), help="Only this class of screen.")
@click.option("--box", help="Only this box.")
@language_option
@json_option
def show(at: str, by: list[str], lang: str, *, as_json: bool, **only: str | None) -> None:
    """Show how much was delivered: by body, release, zone, class of screen, box and day, most first.

    Example: headgate usage show --at http://10.40.0.20:8080 --by release,screen --body guangxi-library --since 2026-11-01
    """
    query = {"by": ",".join(by), **{name: value.removeprefix("isli:") for name, value in only.items() if value}}
    told = asked(at, f"/api/usage?{urlencode(query)}")
    if as_json:
        click.echo(json.dumps(told, ensure_ascii=False))
        return
    words = WORDS[lang]
    if not told["lines"]:
        click.echo(words["nothing"])
        return
    console = _console()
    console.print(_table(words, by, told["lines"], told["total"]))
    if told["count"] > len(told["lines"]):
        console.print(words["left"].format(told["count"] - len(told["lines"])))


@commands.command("statement")
@click.argument("body")
@at_option
@since_option
@until_option
@language_option
@json_option
def statement(body: str, at: str, since: str, until: str, lang: str, *, as_json: bool) -> None:
    """Show the statement of BODY over a period: what of its releases was delivered, added up and checked, as settlement needs it.

    Example: headgate usage statement guangxi-library --at http://10.40.0.20:8080 --since 2026-11-01 --until 2026-11-30 --lang zh
    """
    query = {name: value for name, value in (("since", since), ("until", until)) if value}
    told = asked(at, f"/api/statements/{quote(body, safe='')}?{urlencode(query)}")
    check(told)
    if as_json:
        click.echo(json.dumps(told, ensure_ascii=False))
        return
    words, console = WORDS[lang], _console()
    console.print(f"{words['statement']}: {escape(paths.shown(body))}")
    console.print(f"{words['period']}: {told['since'] or words['from']} – {told['until'] or words['to']} (UTC)")
    if not told["lines"]:
        console.print(words["nothing"])
        return
    console.print()
    console.print(_table(words, ["release", "title", "zone", "screen"], told["lines"], told["total"]))
    console.print()
    console.print(_table(words, ["day"], told["days"], told["total"]))


def check(told: dict[str, Any]) -> None:
    """Make sure that a statement adds up: its lines, and its days, to its total.

    Raises:
        Corrupt: it does not.
    """
    for part in ("lines", "days"):
        sums = {name: sum(line[name] for line in told[part]) for name in FIGURES}
        if sums != told["total"]:
            raise Corrupt(f"the statement does not add up: its {part} give {sums}, its total says {told['total']}")


def _table(words: dict[str, str], names: list[str], lines: list[dict[str, Any]], total: dict[str, int]) -> Table:
    table = Table(box=None, pad_edge=False, show_footer=True)
    for place, name in enumerate(names):
        whole = name != "title"
        table.add_column(words[name], words["total"] if place == 0 else "", no_wrap=whole, overflow="fold")
    for name in FIGURES:
        table.add_column(words[name], _figure(name, total[name]), justify="right", no_wrap=True)
    for line in lines:
        told = [_told(words, name, str(line[name])) for name in names]
        table.add_row(*told, *(_figure(name, line[name]) for name in FIGURES))
    return table


def _told(words: dict[str, str], name: str, value: str) -> str:
    return escape(paths.shown(words.get(value, value) if name == "screen" else value))


def _figure(name: str, count: int) -> str:
    """Return a figure: bytes to the byte, since they are paid for, and as people read them."""
    return (
        f"{count:,} ({size_of(count)})" if name == "bytes" else size_of(count) if name == "hit_bytes" else f"{count:,}"
    )


def _console() -> Console:
    console = Console(highlight=False, soft_wrap=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=200)
    return console
