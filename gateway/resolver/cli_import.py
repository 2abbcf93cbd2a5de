"""``headgate id import``: a million records from a file, signed and handed in, with every fault by its line."""

from __future__ import annotations

import contextlib
import csv
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from appliance.runtime.errors import HeadgateError
from gateway.resolver.cli_words import AT, FILE, JSON, KEY, SHOWN, private_key
from gateway.resolver.importing import progress
from gateway.resolver.importing.progress import Import, Totals
from gateway.resolver.importing.reading import BulkFile
from gateway.resolver.importing.rows import Fault
from gateway.resolver.importing.sending import Sender, Sent
from gateway.resolver.registry_client import Client, with_registry

Report = Callable[[Sequence[Fault]], None]


@click.command(name="import")
@click.argument("file", type=FILE)
@click.option("--body", required=True, help="The body whose records these are; rows may name no other one.")
@click.option("--good-ones", is_flag=True, help="Register all rows that are good; by default all or nothing.")
@click.option("--all-or-nothing", is_flag=True, help="Register nothing where a row has a fault (the default).")
@click.option("--report", type=FILE, help="Where every fault is written: line, code, path, reason, message (CSV).")
@click.option(
    "--encoding", default="utf-8-sig", show_default=True, help="Of a CSV file; gb18030 for an old spreadsheet."
)
@click.option("--processes", type=click.IntRange(0, 64), default=1, show_default=True, help="That read rows.")
@KEY
@AT
@JSON
def import_(
    file: Path,
    body: str,
    report: Path | None,
    encoding: str,
    processes: int,
    key: Path,
    at: str,
    *,
    good_ones: bool,
    all_or_nothing: bool,
    as_json: bool,
) -> None:
    """Register the records in FILE (.csv with a header, or .jsonl) at the controller AT, signed by the body's key.

    Columns of a CSV file: code, title, status, superseded_by, reason, ttl, release, entry, url, link.TYPE, metadata.NAME,
    zones, screens, territories, since, until; several values of a cell are separated by ';'. What is registered already as
    it stands changes nothing. Broken off, the same command goes on where it was. Exit 1 where a row has a fault.

    Example: headgate id import catalogue.csv --body guangxi-library --key keys/library.key
    --report faults.csv --at http://10.40.0.20:8080
    """
    if good_ones and all_or_nothing:
        raise click.UsageError("--all-or-nothing and --good-ones exclude each other")
    sender = Sender(None, body, private_key(key), "good" if good_ones else "all")  # type: ignore[arg-type]
    try:
        bulk = BulkFile(file, encoding)
        kept = progress.Progress(file.with_name(f".{file.name}.import"), Import(bulk.digest(), body, at, sender.mode))
        with _reporting(report, again=kept.resumed) as told:
            totals = with_registry(at, lambda registry: _run(registry, sender, bulk, kept, told, processes))
    except OSError as error:
        raise HeadgateError(f"{error.filename or file} cannot be read or written: {error.strerror}") from error
    if as_json:
        click.echo(json.dumps(vars(totals)))
    elif totals.faults and not totals.batches:
        click.echo(f"nothing registered: {totals.faults} faults")
    else:
        click.echo(f"{totals.changed} registered, {totals.unchanged} there already, {totals.faults} faults")
    if totals.faults:
        raise SystemExit(1)


async def _run(
    registry: Client, sender: Sender, bulk: BulkFile, kept: progress.Progress, report: Report, processes: int
) -> Totals:
    """Judge all first where it is all or nothing; then register, and note how far that came."""
    with _shown(bulk) as step:

        async def hand_in(ready: Sender, what: str, done: Callable[[Sent], None]) -> None:
            def told(sent: Sent) -> None:
                report(sent.faults)
                done(sent)
                step(what)

            await ready.run(bulk.header, bulk.batches(), told, processes)

        if sender.mode == "all" and not kept.resumed:
            found: list[int] = []
            judge = replace(sender, registry=registry, dry=True)
            await hand_in(judge, "judging", lambda sent: found.append(len(sent.faults)))
            if sum(found):
                return Totals(faults=sum(found))
        kept.save()
        ready = replace(sender, registry=registry, skip=kept.totals.batches)
        await hand_in(ready, "registering", lambda sent: kept.add(sent.changed, sent.unchanged, len(sent.faults)))
    kept.done()
    return kept.totals


@contextlib.contextmanager
def _reporting(path: Path | None, *, again: bool) -> Iterator[Report]:
    """Yield what takes faults: into the file, and the first ones to who is looking."""
    with contextlib.ExitStack() as stack:
        writer = None
        if path is not None:
            file = stack.enter_context(path.open("a" if again else "w", newline="", encoding="utf-8"))
            writer = csv.writer(file)
            if not again:
                writer.writerow(Fault._fields)
        shown = 0

        def report(faults: Sequence[Fault]) -> None:
            nonlocal shown
            if writer is not None:
                writer.writerows(faults)
            for fault in faults[: max(0, SHOWN - shown)]:
                click.echo(f"line {fault.line}: {fault.code} {fault.path}: {fault.message} ({fault.reason})", err=True)
            shown += len(faults)

        yield report


@contextlib.contextmanager
def _shown(bulk: BulkFile) -> Iterator[Callable[[str], None]]:
    """Yield what moves a bar that shows how much of the file is read."""
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(file=sys.stderr), transient=True) as bar:
        task: Any = bar.add_task("reading", total=bulk.size)
        yield lambda what: bar.update(task, completed=bulk.read, description=what)


COMMANDS = (import_,)
