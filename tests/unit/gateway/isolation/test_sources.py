"""A source and its fragments -> one policy, whose lines are those of the files as they were written."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.runtime.errors import ConfigError
from appliance.runtime.tree import compose, plain
from gateway.isolation import policy, sources
from tests.unit.gateway.isolation.conftest import TEXT

SPLIT = TEXT.index("services:")


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Return a source that has its services and promises from a fragment two folders away."""
    (tmp_path / "shared").mkdir()
    (tmp_path / "sites" / "headend").mkdir(parents=True)
    (tmp_path / "shared" / "promises.yaml").write_text("# for every site\n" + TEXT[SPLIT:])
    path = tmp_path / "sites" / "headend" / "policy.yaml"
    path.write_text("include: [../../shared/promises.yaml]\n" + TEXT[:SPLIT])
    return path


def test_a_file_without_includes_is_whole_byte_for_byte(tmp_path: Path) -> None:
    """Its digest is that of its bytes, comments and all."""
    path = tmp_path / "policy.yaml"
    path.write_text("# ours\n" + TEXT)
    assert policy.load(path).data == path.read_bytes()


def test_a_source_is_the_policy_that_its_parts_make(site: Path) -> None:
    """The whole file says the same, its digest is the policy's, and making it again gives the same bytes."""
    read = policy.load(site)
    whole = policy.parse(read.data, "whole.yaml")
    assert whole.model_dump() == policy.parse(TEXT.encode()).model_dump() == read.model_dump()
    assert whole.digest == read.digest == policy.load(site).digest
    assert sources.written(compose(read.data, "whole.yaml")).encode() == read.data


def test_lines_point_into_the_files_as_written(site: Path) -> None:
    """A line of a fragment is told with the fragment's name."""
    read = policy.load(site)
    fragment = site.parents[2] / "shared" / "promises.yaml"
    assert read.place_of(("zones", "culture")) == (str(site), 5)
    assert read.place_of(("services", "delivery")) == (str(fragment), 3)
    assert read.place_of(("never", 0))[0] == str(fragment)


def test_a_fault_in_a_fragment_is_told_there(site: Path) -> None:
    """With its own line, although the source includes it."""
    fragment = site.parents[2] / "shared" / "promises.yaml"
    fragment.write_text(fragment.read_text().replace("tcp/8080", "tcp/0"))
    with pytest.raises(ConfigError, match=re.escape(f"{fragment}:4:") + ".*0 is not a port"):
        policy.load(site)


@pytest.mark.parametrize(
    ("source", "fragment", "told"),
    [
        ("services: {ssh: {zone: management}}\n", "", r"promises\.yaml:5:3: services\.ssh: 'ssh' is written already at .*y\.yaml:12:12"),
        ("", "site: other\n", r"promises\.yaml:\d+:1: site: 'site' is written already at .*policy\.yaml:2:1"),
        ("include: [x]\n", "", r"include\[0\]: there is no file"),
        ("", "include: [promises.yaml]\n", r"promises\.yaml:\d+:11: include\[0\]: 'promises\.yaml' is included already"),
        ("", "include: [gone.yaml]\n", r"include\[0\]: there is no file '.*gone\.yaml'"),
        ("", "include: gone.yaml\n", r"include: must be a list of files"),
        ("", "include: [[a]]\n", r"must be the name of a file"),
        ("", "bodies: 3\n", r"bodies: 'bodies' is written already"),
    ],
)  # fmt: skip
def test_what_cannot_be_merged_is_told_with_both_places(site: Path, source: str, fragment: str, told: str) -> None:
    """A name that stands twice, and an include that leads nowhere."""
    shared = site.parents[2] / "shared" / "promises.yaml"
    site.write_text(site.read_text() + source)
    shared.write_text(shared.read_text() + fragment)
    with pytest.raises(ConfigError, match=told):
        policy.load(site)


def test_a_fragment_that_is_no_section_is_refused(site: Path) -> None:
    """A list holds nothing that could be merged."""
    (site.parents[2] / "shared" / "promises.yaml").write_text("- a\n")
    with pytest.raises(ConfigError, match="a fragment holds sections"):
        policy.load(site)


def test_a_whole_file_includes_nothing() -> None:
    """What a box gets is whole."""
    with pytest.raises(ConfigError, match="'headgate policy whole' writes it"):
        policy.parse(b"include: [a.yaml]\n" + TEXT.encode())


def test_too_many_files_are_refused(site: Path) -> None:
    """A policy of very many fragments is a mistake."""
    shared = site.parents[2] / "shared"
    names = [f"f{n}.yaml" for n in range(sources.MOST_FILES)]
    for name in names:
        (shared / name).write_text("expect: []\n")
    (shared / "promises.yaml").write_text(f"include: [{', '.join(names)}]\n" + TEXT[SPLIT:])
    with pytest.raises(ConfigError, match="one file too many"):
        policy.load(site)


words = st.text(st.characters(codec="utf-8"), max_size=6) | st.sampled_from(
    ["a\nb\n", " a\n", "true", "7", "x: |\n", "\u2028", "\x85", "😀"]
)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | words,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("abc:#", min_size=1, max_size=4), inner, max_size=3)
    ),
    max_leaves=10,
)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.text("ab", min_size=1, max_size=4), values, min_size=1, max_size=4))
def test_what_is_written_reads_as_the_same(value: dict[str, object]) -> None:
    """Whatever a tree holds, writing it whole loses nothing and is the same each time."""
    tree = sources.written(_tree(value))
    assert plain(compose(tree, "f")) == value
    assert sources.written(compose(tree, "f")) == tree


def _tree(value):  # type: ignore[no-untyped-def]
    """Return the tree of a value, as if it stood in quotes or as a literal text."""
    from appliance.runtime.tree import Mapping, Scalar, Sequence, Source

    source = Source("f", "")
    if isinstance(value, dict):
        return Mapping(
            source,
            0,
            0,
            [node for key, inner in value.items() for node in (Scalar(source, 0, 0, key, '"'), _tree(inner))],
        )
    if isinstance(value, list):
        return Sequence(source, 0, 0, [_tree(inner) for inner in value])
    if isinstance(value, str):
        literal = value.isascii() and value.replace("\n", "").isprintable()
        return Scalar(source, 0, 0, value, "|" if literal and "\n" in value else '"')
    return Scalar(source, 0, 0, json.dumps(value), "")
