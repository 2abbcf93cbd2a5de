"""``headgate firmware``: build the image that boxes are made of."""

from __future__ import annotations

import json
import time
from pathlib import Path

import click
from rich.console import Console
from rich.markup import escape
from rich.status import Status

from firmware import image
from firmware.recipe import RECIPES


@click.group(name="firmware")
def commands() -> None:
    """Build the image that boxes are made of.

    Example: headgate firmware build
    """


@commands.command()
@click.argument("names", nargs=-1, type=click.Choice(list(RECIPES)))
@click.option(
    "--cache",
    type=click.Path(path_type=Path),
    help="Folder of images (default: $HEADGATE_CACHE or /var/cache/headgate).",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object an image.")
def build(names: tuple[str, ...], cache: Path | None, *, as_json: bool) -> None:
    """Build the factory image, or the named images, from this machine's own apt sources; what is built already is kept.

    Example: headgate firmware build factory player
    """
    console = Console(stderr=True, highlight=False)
    machine, folder = image.host(), cache or image.cache()
    for name in names or ("factory",):
        cached = all(path.is_dir() for path in image.layers(name, machine, folder))
        began = time.monotonic()
        with console.status(f"building image {name}") as status:
            paths = image.build(name, _teller(status, name), folder=folder, machine=machine)
        seconds = round(time.monotonic() - began, 1)
        size = image.size(paths[0])
        if as_json:
            told = {"name": name, "suite": machine.suite, "layers": [str(path) for path in paths]}
            click.echo(json.dumps({**told, "bytes": size, "seconds": seconds, "cached": cached}))
        else:
            click.echo(
                f"{name}: {paths[0]} ({size / (1 << 20):.0f} MiB, {'kept' if cached else f'built in {seconds} s'})"
            )


def _teller(status: Status, name: str) -> image.Told:
    return lambda line: status.update(f"building image {name}: {escape(line[:100])}")
