"""The one program: ``headgate NOUN VERB``, nouns first, each noun's commands beside the code they drive."""

from __future__ import annotations

import sys

import click

from appliance.runtime.errors import ConfigError, HeadgateError, Refused
from provisioning import loading

# Loaded only when called, so that `headgate policy check` on a box does not pay for SQLAlchemy or Ansible, nor need them.
NOUNS = {
    "policy": ("gateway.isolation.cli_policy", "check, explain, diff and show a site's policy"),
    "box": ("gateway.isolation.cli_box", "plan, apply, confirm, status and audit of this box"),
    "journal": ("appliance.journal.cli", "show and verify the signed record of what was decided"),
    "id": ("gateway.resolver.cli", "check, resolve, register and link identifiers"),
    "link": ("gateway.linking.cli", "propose, judge and register links between identifiers"),
    "key": ("appliance.identity.cli", "make and show signing keys"),
    "release": ("gateway.release.cli", "make, verify and publish signed releases of content"),
    "fleet": ("provisioning.fleet.cli", "list, enrol, plan and roll out to the boxes of an inventory"),
    "firmware": ("firmware.cli", "build the image that boxes are made of"),
    "usage": ("provisioning.controller.cli_usage", "show what was delivered, and a body's statement of it"),
    "lab": ("provisioning.lab.cli", "a whole operator on this machine: up, tour, status, shell, down"),
    "run": ("provisioning.run", "run one daemon (what the systemd units call)"),
}


class Nouns(click.Group):
    """A group whose members are loaded when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the nouns in the order of the map."""
        return list(NOUNS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Load a noun's commands."""
        if cmd_name not in NOUNS:
            return None
        return loading.command(NOUNS[cmd_name][0]).commands  # type: ignore[no-any-return]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the nouns without loading them."""
        with formatter.section("Nouns"):
            formatter.write_dl([(noun, told) for noun, (_, told) in NOUNS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Name the nearest noun where the given one does not exist."""
        from appliance.runtime.config import nearest

        if args and args[0] not in NOUNS and not args[0].startswith("-"):
            ctx.fail(f"no such noun '{args[0]}' {nearest(args[0], NOUNS)}".rstrip())
        return super().resolve_command(ctx, args)


@click.group(cls=Nouns, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="headgate")
def commands() -> None:
    """Headgate: gateway of the culture private network (国家文化专网).

    Example: headgate policy check site.yaml
    """


def main() -> None:
    """Run the program; exit 0 done, 1 refused or failed, 2 wrong call or wrong file."""
    try:
        commands(prog_name="headgate")
    except ConfigError as error:
        count = len(error.faults)
        _tell(str(error))
        _tell(f"{count} fault{'s' if count != 1 else ''}", "bold red")
        sys.exit(2)
    except Refused as error:
        _tell(f"refused ({error.reason}): {error}", "red")
        sys.exit(1)
    except HeadgateError as error:
        _tell(str(error), "red")
        sys.exit(1)


def _tell(text: str, style: str | None = None) -> None:
    from rich.console import Console  # here: no daemon needs it, and each would load it

    Console(stderr=True, highlight=False, soft_wrap=True).print(text, style=style, markup=False)
