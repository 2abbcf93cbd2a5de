"""``headgate firmware``."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from firmware import cli, image
from firmware.image import Host

MACHINE = Host("bookworm", "amd64", "Types: deb\n")


@pytest.fixture
def cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache that holds the factory image."""
    monkeypatch.setattr(image, "host", lambda: MACHINE)
    image.layers("factory", MACHINE, tmp_path)[0].mkdir()
    return tmp_path


def test_a_program_reads_where_the_image_is(cached: Path):
    """One JSON object an image, the layers in the order that overlayfs wants."""
    done = CliRunner().invoke(cli.commands, ["build", "--cache", str(cached), "--json"])

    told = json.loads(done.stdout)
    assert done.exit_code == 0
    assert told["name"] == "factory"
    assert told["cached"] is True
    assert told["layers"] == [str(path) for path in image.layers("factory", MACHINE, cached)]


def test_a_person_reads_that_it_was_kept(cached: Path):
    """No second build of what is there."""
    done = CliRunner().invoke(cli.commands, ["build", "--cache", str(cached)])

    assert "kept" in done.stdout


def test_an_unknown_image_is_a_wrong_call(cached: Path):
    """Exit code 2."""
    assert CliRunner().invoke(cli.commands, ["build", "toaster"]).exit_code == 2
