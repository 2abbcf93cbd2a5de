"""``headgate release preview``."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from appliance.runtime.files import write_atomic
from gateway.release import cli_words, pictures
from gateway.release import draft as drafts
from gateway.release import folder as folders
from gateway.release import preview as previews
from gateway.release.amounts import bits, size_of
from gateway.release.cli_words import FOLDER, JSON
from gateway.release.manifest import Source
from gateway.release.preview_words import Language, word


@click.command()
@click.argument("folder", type=FOLDER)
@cli_words.described
@click.option("--lang", "language", type=click.Choice(["zh", "en"]), default="zh", help="The page's language.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Without it FOLDER-preview.html, beside.")
@JSON
def preview(
    folder: Path,
    described: Path | None,
    sources: tuple[Source, ...],
    language: Language,
    out: Path | None,
    *,
    as_json: bool,
    **told: Any,
) -> None:
    """Write a page that shows what the release of FOLDER would look like, also where something is still to be mended.

    Example: headgate release preview film/ --title 刘三姐 --zones bigscreen,smallscreen
    """
    now = datetime.now(UTC)
    whole = folder.resolve()
    target = out or whole.with_name(f"{whole.name}-preview.html")
    draft = drafts.draw(folder, described, told, sources, now)
    small = pictures.thumbnails(folder, draft.sizes)
    page = previews.page(draft, small, lambda name, most: folders.head(folder, name, most), language, now.astimezone())
    write_atomic(target, previews.render(page, language).encode())
    if as_json:
        told_of = {"page": str(target), "files": page.files, "bytes": page.bytes, "seconds": page.seconds}
        faults = [fault.render() for fault in draft.faults]
        click.echo(json.dumps({**told_of, "faults": faults, "warnings": len(draft.warnings)}, ensure_ascii=False))
        return
    _summary(page)
    cli_words.console().print(f"{target}: {page.files} files, {size_of(page.bytes)}")
    for fault in folders.bounded(list(draft.faults)):
        cli_words.console().print(f"to mend: {fault.render()}", style="red")
    cli_words.warn(draft.warnings)


def _summary(page: previews.Page) -> None:
    console = cli_words.console()
    facts = Table(box=None, show_header=False, pad_edge=False)
    for name in ("title", "identifier", "body", "entry"):
        facts.add_row(name, getattr(page, name) or "not said yet")
    facts.add_row("rights", "\n".join(page.rights))
    if page.labels:
        facts.add_row("labels", ", ".join(page.labels))
    console.print(facts)
    for ladder in page.ladders:
        table = Table("rendition", "resolution", "bitrate", "codecs", title=ladder.name, box=None, pad_edge=False)
        for each in ladder.renditions:
            size = f"{each.width}x{each.height}" if each.width else ""
            table.add_row(each.name, size, bits(each.bandwidth) if each.bandwidth else "", each.codecs)
        console.print(table)
    kinds = Table("kind", "files", "size", "the largest", box=None, pad_edge=False)
    for kind in page.kinds:
        kinds.add_row(word("en", kind.name), str(kind.count), size_of(kind.bytes), kind.largest)
    console.print(kinds)
