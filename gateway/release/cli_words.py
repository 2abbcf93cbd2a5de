"""What the commands of ``headgate release`` share: the options that describe a release, progress, and how things are told."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from appliance.runtime.errors import ConfigError, Fault
from gateway.release import description as descriptions
from gateway.release import manifest
from gateway.release.manifest import Release, Source
from gateway.resolver import codes

FOLDER = click.Path(path_type=Path, exists=True, file_okay=False)
FILE = click.Path(path_type=Path, exists=True, dir_okay=False)
JSON = click.option("--json", "as_json", is_flag=True, help="For a program.")


def _words(_context: click.Context, _parameter: click.Parameter, text: str | None) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",")) if text else ()


_DESCRIBED = (
    click.option(
        "--described", type=FILE, help="A release.yaml; without it FOLDER/release.yaml, or FOLDER.yaml beside."
    ),
    click.option("--id", "identifier", help="The ISLI code it goes by."),
    click.option("--body", help="The admitted organisation that signs it, as policies name it."),
    click.option("--title", help="What people see."),
    click.option("--description", help="A longer text for people."),
    click.option("--label", "labels", multiple=True, help="A word of classification; may be repeated."),
    click.option("--entry", help="The file that a player opens; without it the one that is obvious, as master.m3u8."),
    click.option("--zones", callback=_words, help="Zones whose screens may show it: bigscreen,smallscreen"),
    click.option("--screens", callback=_words, help="Classes of screens that may: big,small. Without it both."),
    click.option("--territories", callback=_words, help="Only there: leading digits of GB/T 2260 codes, 45,4401"),
    click.option("--since", help="Not before this time, such as 2026-10-01T00:00:00+08:00."),
    click.option("--until", help="Not any more from this time on."),
    click.option("--bodies", callback=_words, help="Only boxes whose policy admits one of these bodies."),
    click.option(
        "--source",
        "sources",
        multiple=True,
        callback=lambda _c, _p, texts: sources_of(texts),
        help="Another's release that it makes use of, CODE:BODY:ACT:GRANTFILE; may be repeated.",
    ),
)


def described(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give ``command`` the options that describe a release."""
    for option in reversed(_DESCRIBED):
        command = option(command)
    return command


def sources_of(texts: Iterable[str]) -> tuple[Source, ...]:
    """Return the sources written CODE:BODY:ACT:GRANTFILE.

    Raises:
        ConfigError: one is not; holds all faults.
    """
    found, faults = [], []
    for text in texts:
        parts = text.removeprefix("isli:").split(":", 3)
        try:
            if len(parts) != 4:
                raise ValueError("is not CODE:BODY:ACT:GRANTFILE")  # noqa: TRY301 (told like what the nouns refuse)
            code, body, act, path = parts
            identifier = codes.parse(f"isli:{code}").canonical
            grant = descriptions.grant_in(Path(path))
            found.append(Source.model_validate({"release": identifier, "body": body, "act": act, "grant": grant}))
        except ConfigError as error:
            faults += error.faults
        except (ValueError, codes.WrongCode) as error:
            errors = getattr(error, "errors", None)
            told = errors(include_url=False)[0]["msg"] if errors else str(error)
            faults.append(Fault("--source", 1, 1, text[:80], told))
    if faults:
        raise ConfigError(faults)
    return tuple(found)


def progress() -> Progress:
    """Return a bar of bytes, on the terminal's error side."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )


def warn(warnings: Iterable[Fault]) -> None:
    """Tell each of ``warnings``."""
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    for warning in warnings:
        console.print(f"warning: {warning.render()}", style="yellow", markup=False)


def told(release: Release) -> dict[str, Any]:
    """Return what ``--json`` prints of ``release``."""
    return {
        "identifier": release.identifier,
        "version": release.version,
        "body": release.body,
        "title": release.title,
        "entry": release.entry,
        "zones": list(release.rights.zones),
        "labels": list(release.labels),
        "sources": [source.release for source in release.sources],
        "files": len(release.files),
        "bytes": sum(file.size for file in release.files.values()),
        "digest": manifest.digest(release),
    }


def tell(release: Release, *, as_json: bool, **more: Any) -> None:
    """Print one line about ``release``, or with ``more`` as JSON."""
    whole = told(release)
    if as_json:
        click.echo(json.dumps({**whole, **more}, ensure_ascii=False))
    else:
        console().print(
            f"{release.identifier} version {release.version} of {release.body}: {release.title}, "
            f"{whole['files']} files, {whole['bytes']} bytes, for {', '.join(release.rights.zones)}",
        )


def console() -> Console:
    """Return the console for results."""
    return Console(highlight=False, markup=False, soft_wrap=True)
