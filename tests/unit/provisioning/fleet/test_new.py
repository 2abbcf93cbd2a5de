"""``headgate fleet new``: a folder that an operator can begin with."""

import json
import shutil
import stat
import subprocess

import pytest
from click.testing import CliRunner

from appliance.identity.keys import PrivateKey
from appliance.runtime.errors import HeadgateError, Refused
from gateway.isolation import policy
from provisioning.fleet import inventory
from provisioning.fleet.cli import commands
from provisioning.fleet.new import BODY, REGISTRY, make
from provisioning.fleet.run import controller_url


@pytest.fixture
def made(tmp_path):
    return make(tmp_path / "operator")


def test_the_folder_is_one_that_fleet_reads(made):
    """What is made passes every check of a rollout as it is: a centre, a headend, in the order of their rings."""
    fleet = inventory.read(made.folder)

    assert {name: (site.ring, site.centre) for name, site in fleet.sites.items()} == {
        "centre": (0, True),
        "headend": (1, False),
    }
    assert controller_url(fleet, None) == "http://10.40.0.20:8080"


def test_the_policies_name_the_keys_that_were_made(made):
    """A release signed with the body's key, and a table signed with the registry's, are let in from the first day."""
    site = policy.load(made.folder / "sites/headend/policy.yaml")

    assert site.registry is not None
    assert [str(key) for key in site.registry.keys] == [made.keys[REGISTRY]]
    assert [str(key) for key in site.bodies[BODY].keys] == [made.keys[BODY]]
    assert str(PrivateKey.load(made.folder / "keys/registry.pem").public) == made.keys[REGISTRY]


def test_the_sites_fit_each_other(made):
    """Origin, broker and metrics are open on the side that answers wherever the other side may ask."""
    box, centre = (policy.load(made.folder / "sites" / name / "policy.yaml") for name in ("headend", "centre"))
    at = {zone: box.zones[zone].addresses[0].ip for zone in ("culture", "management")}

    for zone, run, port in (
        ("culture", "nginx", box.reach["origin"].port),
        ("management", "mosquitto", box.reach["broker"].port),
    ):
        service = centre.service_of(zone, run)
        assert service is not None
        assert service.port == port.port
        assert centre.includes(service.sources, at[zone])
    assert centre.includes(centre.reach["boxes"].to, at["management"])


def test_nobody_else_reads_the_keys(made):
    """A signing key admits content and identifiers, so only its owner reads it."""
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (made.folder / "keys").iterdir()}

    assert modes == {"registry.pem": 0o600, "library.pem": 0o600}
    assert stat.S_IMODE((made.folder / "keys").stat().st_mode) == 0o700


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_git_takes_the_policies_and_never_the_keys(made):
    """The folder is a git repository, and what is secret or made by a rollout stays out of it."""
    for name in ("pki/ca.key", ".cache/variables.json"):
        (made.folder / name).parent.mkdir()
        (made.folder / name).write_text("secret")
    subprocess.run(["git", "add", "--all"], cwd=made.folder, check=True)
    kept = subprocess.run(["git", "ls-files"], cwd=made.folder, check=True, capture_output=True, text=True).stdout

    assert kept.split() == [".gitignore", "inventory.yaml", "sites/centre/policy.yaml", "sites/headend/policy.yaml"]


def test_without_git_the_folder_is_made_all_the_same(tmp_path, monkeypatch):
    """A workstation without git gets the files, and is told that there is no repository."""
    monkeypatch.setattr("provisioning.fleet.new.shutil.which", lambda _: None)

    made = make(tmp_path / "operator")

    assert not made.git
    assert not (made.folder / ".git").exists()
    assert (made.folder / "inventory.yaml").exists()


def test_a_folder_with_something_in_it_is_left_alone(tmp_path):
    """Keys and policies that are there are never overwritten."""
    (tmp_path / "notes").write_text("mine")

    with pytest.raises(Refused) as refused:
        make(tmp_path)

    assert refused.value.reason == "folder-not-empty"
    assert [path.name for path in tmp_path.iterdir()] == ["notes"]


def test_a_place_that_cannot_be_written_is_told(tmp_path):
    """A file where a folder should be is a failure in words, not a traceback."""
    (tmp_path / "file").write_text("")

    with pytest.raises(HeadgateError, match="cannot be written"):
        make(tmp_path / "file" / "operator")


def test_two_folders_have_keys_of_their_own(tmp_path, made):
    """Keys are made anew each time: none comes with the software."""
    other = make(tmp_path / "other")

    assert not set(other.keys.values()) & set(made.keys.values())


@pytest.mark.parametrize("as_json", [False, True])
def test_the_command_tells_what_it_made_and_what_is_next(tmp_path, as_json):
    """An operator reads the next steps; a program reads the public keys."""
    result = CliRunner().invoke(commands, ["new", str(tmp_path / "operator"), *(["--json"] if as_json else [])])

    assert result.exit_code == 0
    if as_json:
        told = json.loads(result.stdout)
        assert "inventory.yaml" in told["files"]
        assert told["keys"][REGISTRY].startswith("ed25519:")
    else:
        assert "headgate fleet rollout start" in result.stdout
