"""``headgate key``."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from appliance.identity.cli import commands
from appliance.identity.keys import PrivateKey, PublicKey
from appliance.runtime.errors import Corrupt, HeadgateError, Refused


def test_a_new_key_is_shown_again_as_it_was_printed(tmp_path: Path) -> None:
    """``new`` prints the public key that ``show`` prints, and the file is its owner's alone."""
    file = tmp_path / "body.key"
    made = CliRunner().invoke(commands, ["new", str(file)], catch_exceptions=False)
    shown = CliRunner().invoke(commands, ["show", str(file), "--json"], catch_exceptions=False)
    assert json.loads(shown.output)["public"] == made.output.strip()
    assert PublicKey.parse(made.output.strip()) == PrivateKey.load(file).public
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_key_is_never_overwritten(tmp_path: Path) -> None:
    """``new`` on an existing file is refused and leaves it as it was."""
    file = tmp_path / "body.key"
    file.write_text("precious")
    with pytest.raises(Refused) as refused:
        CliRunner().invoke(commands, ["new", str(file)], catch_exceptions=False)
    assert refused.value.reason == "key-exists"
    assert file.read_text() == "precious"


def test_a_file_without_a_key_is_told(tmp_path: Path) -> None:
    """``show`` of a missing file and of another file says so."""
    with pytest.raises(HeadgateError, match="cannot be read"):
        CliRunner().invoke(commands, ["show", str(tmp_path / "none")], catch_exceptions=False)
    (tmp_path / "text").write_text("no key")
    with pytest.raises(Corrupt, match="holds no private key"):
        CliRunner().invoke(commands, ["show", str(tmp_path / "text")], catch_exceptions=False)
