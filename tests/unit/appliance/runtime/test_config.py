"""YAML -> checked value: every fault at once, each at its place, and no input that does anything else."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import Field, model_validator

from appliance.runtime.config import LONGEST_FILE, Places, Problem, Section, load, nearest, parse, problems
from appliance.runtime.errors import ConfigError
from appliance.runtime.tree import compose


class Zone(Section):
    port: str
    size: int = 3


class Site(Section):
    site: str
    zones: dict[str, Zone] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _ports(self):
        found = [
            Problem(("zones", name, "port"), f"unknown port '{zone.port}'", nearest(zone.port, ["printer", "scanner"]))
            for name, zone in self.zones.items()
            if zone.port not in ("printer", "scanner")
        ]
        if error := problems(found):
            raise error
        return self


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "site: a\nzones:\n  x: {port: prnter}\n",
            ["f.yaml:3:13: zones.x.port: unknown port 'prnter'", "did you mean 'printer'?", "      x: {port: prnter}"],
        ),
        ("zonse: {}\n", ["f.yaml:1:1: zonse: unknown key 'zonse'", "did you mean 'zones'?", "key 'site' is missing"]),
        ("site: a\nsite: b\n", ["f.yaml:2:1: site: key 'site' is written twice"]),
        ("site: a\nzones:\n  x: {port: printer, size: big}\n", ["f.yaml:3:28: zones.x.size: input should be a valid integer"]),
        ("site: &x a\nzones: *x\n", ["f.yaml:2:8: ", "aliases"]),
        ("site: [1\n", ["f.yaml:", "expected"]),
        ("site: !!python/object:os.system x\n", ["f.yaml:1:7: ", "tag"]),
        ("", ["f.yaml:1:1: is empty"]),
        ("- a\n", ["f.yaml:1:1: "]),
        ("a: " + "[" * 40, ["nested deeper than 32 levels"]),
        (b"\xff", ["f.yaml:1:1: is not UTF-8 text"]),
        ("#" * (LONGEST_FILE + 1), ["longer than"]),
    ],
)  # fmt: skip
def test_wrong_files_are_told_with_place_and_mend(text, words):
    """A wrong file is refused with file:line:col, what is wrong, and the nearest right word."""
    with pytest.raises(ConfigError) as caught:
        parse(text, Site, "f.yaml")

    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_all_faults_come_at_once():
    """Three faults in one file are three faults in one error, in the order of the file."""
    text = "zones:\n  x: {port: printer, size: big}\n  y: {}\nother: 1\n"
    with pytest.raises(ConfigError) as caught:
        parse(text, Site, "f.yaml")

    assert [fault.line for fault in caught.value.faults] == sorted(fault.line for fault in caught.value.faults)
    assert len(caught.value.faults) == 4  # site, size, port, other


def test_a_right_file_is_its_value(tmp_path):
    """A right file becomes the frozen value that it says."""
    path = tmp_path / "site.yaml"
    path.write_text("site: a\nzones: {x: {port: printer}}\n")

    assert load(path, Site) == Site(site="a", zones={"x": Zone(port="printer", size=3)})


def test_a_missing_file_is_told():
    """A file that cannot be read is a fault that names it."""
    from pathlib import Path

    with pytest.raises(ConfigError, match=r"/nowhere/site\.yaml:1:1: cannot be read"):
        load(Path("/nowhere/site.yaml"), Site)


def test_places_of_keys_and_items():
    """Each key path of a file has its line; what is not there has the line of what is around it."""
    places = Places(compose("a:\n  b:\n    - 1\n    - 2\n", "f.yaml"))

    assert [places.of(path)[1] for path in (("a",), ("a", "b"), ("a", "b", 1), ("a", "b", 7))] == [1, 2, 4, 2]
    assert places.of(("x",)) == ("f.yaml", 0)


@given(st.one_of(st.binary(max_size=300), st.text(alphabet="asitezonpr:{}[]&*!?-#'\"|> \n\t%@0", max_size=120)))
@settings(max_examples=300)
def test_any_bytes_give_a_value_or_faults(data):
    """Any bytes -> a value or ConfigError, nothing else."""
    try:
        value = parse(data, Site)
    except ConfigError:
        return
    else:
        assert isinstance(value, Site)
