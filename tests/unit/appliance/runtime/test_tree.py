"""YAML -> tree: two readers that agree, places that hold, and bounds that no text gets around."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.runtime import blocks, tree
from appliance.runtime.config import Places
from appliance.runtime.errors import ConfigError
from appliance.runtime.tree import MOST_VALUES, compose, plain

LINES = "".join(f"    10.0.{n // 250}.{n % 250}\n" for n in range(2000))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: {to: fd00::/8, via: fd00::1}\nb: [::1, fe80::1]", {"a": {"to": "fd00::/8", "via": "fd00::1"}, "b": ["::1", "fe80::1"]}),
        ("a: yes\nb: true\nc: 0o17\nd: 010\ne: 0x1f\nf: 1.5\ng: -.inf\nh: ~\ni:\nj: 2001-01-01\nk: 'true'\nl: 1:20",
         {"a": "yes", "b": True, "c": 15, "d": 10, "e": 31, "f": 1.5, "g": float("-inf"), "h": None, "i": None, "j": "2001-01-01",
          "k": "true", "l": "1:20"}),
        ("a: |\n  x\n   y\n\n  z\n", {"a": "x\n y\n\nz\n"}),
        ("名: [广西, \"x\\u4e2d\"]", {"名": ["广西", "x中"]}),
        ("a: " + "9" * 60, {"a": "9" * 60}),
    ],
)  # fmt: skip
def test_a_text_is_its_value_by_yaml_1_2(text, value):
    """Addresses need no quotes, and a word is what YAML 1.2 says it is."""
    assert plain(compose(text, "f.yaml")) == value


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: 1\n---\nb: 2\n", "f.yaml:2:1: a second document"),
        ("[a]: b", "f.yaml:1:1: a key is one word"),
        ("a: !x b", "f.yaml:1:4: tags"),
        ("a: \x07", "f.yaml:1:4: is not YAML"),
        ("a: '\ud800'", "is not YAML"),
        ("a: b: c", "f.yaml:1:5: mapping values are not allowed"),
    ],
)
def test_what_is_no_plain_tree_is_refused_at_its_place(text, told):
    """Tags, documents and broken texts each have a sentence."""
    with pytest.raises(ConfigError, match=told):
        compose(text, "f.yaml")


def test_a_long_text_beside_what_the_fast_reader_refuses_keeps_its_lines():
    """Nodes behind a text that was put aside stand where they were written, and the text is whole."""
    text = f"a: [fd00::1]\nb:\n  c: |\n{LINES}\n  d: |\n{LINES}  e: 1\nf: 2\n"
    skeleton = blocks.put_aside(text)
    root = compose(text, "f.yaml")
    places = Places(root)

    assert len(skeleton.text) < 100
    assert plain(root)["b"] == {"c": LINES.replace("    ", ""), "d": LINES.replace("    ", ""), "e": 1}
    assert [places.of(path)[1] for path in (("b", "d"), ("b", "e"), ("f",))] == [2005, 4006, 4007]


def test_a_wrong_word_behind_a_long_text_is_told_at_its_line():
    """The slow reader's marks are those of the whole text too."""
    with pytest.raises(ConfigError, match=r"f\.yaml:2004:5: mapping values are not allowed"):
        compose(f"a: [fd00::1]\nb:\n  c: |\n{LINES}d: e: f\n", "f.yaml")


def test_what_only_looks_like_a_long_text_is_not_put_aside():
    """In quotes the same lines are something else, so the file is refused rather than misread."""
    with pytest.raises(ConfigError):
        compose(f'a: [fd00::1]\nb: "\n  c: |\n{LINES}"\n', "f.yaml")


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["k", "kk"]), st.lists(st.text("ab #:", max_size=6), min_size=1, max_size=8)),
        max_size=3,
    )
)
def test_putting_texts_aside_changes_no_value(parts):
    """With a text put aside or not, the tree is the same."""
    text = "".join(
        f"{'x' * (n + 1)}{name}: |\n" + "".join(f"  a{line}\n" for line in lines)
        for n, (name, lines) in enumerate(parts)
    )
    before, blocks.LONG = blocks.LONG, 1
    try:
        skeleton = blocks.put_aside(text)
        if parts:
            built = tree._build(
                tree.Source("f", text), tree._fast(skeleton.text), skeleton.line_of, dict(skeleton.aside)
            )
            assert len(skeleton.aside) == len(parts)
            assert plain(built) == plain(compose(text, "f"))
            assert Places(built).of(("xk",)) == Places(compose(text, "f")).of(("xk",))
    finally:
        blocks.LONG = before


@pytest.mark.parametrize(
    "piece",
    ["[", "{", "- ", "? ", "{a: ", "[? ", "!a ", "&a ", "a: |\n", "#\n", "'", "%a\n", "x\n", " a: |\n  ", "[a, "],
)
def test_no_text_keeps_the_fast_reader_long(piece):
    """A megabyte of anything is a value or a fault within a second or so."""
    assert _seconds((piece * (1 << 20))[: 1 << 20]) < 15


@pytest.mark.parametrize(
    ("first", "piece"), [("a: [fd00::1]\n", "- a\n"), ("a: [fd00::1, ", "a, "), ("a: [fd00::1]\nb: ", "[")]
)
def test_no_text_keeps_the_slow_reader_long(first, piece):
    """It never gets more than it reads in a second or so, also on a slow machine in less than fifteen."""
    assert _seconds((first + piece * tree.LONGEST_SLOW)[: tree.LONGEST_SLOW]) < 15


def _seconds(text):
    """Return the processor time that a text takes, whose fault is short whatever the text is."""
    begun, told = time.process_time(), ""
    try:
        compose(text, "f.yaml")
    except ConfigError as error:
        told = str(error)
    assert len(told) < 2000
    return time.process_time() - begun


def test_too_many_values_are_refused_early():
    """A list of very many addresses is told how to be written better."""
    with pytest.raises(ConfigError, match=f"more than {MOST_VALUES} values; write many addresses as one text"):
        compose("a: [" + "b, " * (2 * MOST_VALUES) + "]", "f.yaml")
