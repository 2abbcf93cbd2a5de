"""When two names are the same."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.linking import names


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("劉三姐", "刘三姐"),
        ("《刘三姐》", "刘三姐"),
        ("ＡＢＣ　山水", "abc 山水"),
        ("The Story of Guangxi", "story of guangxi"),
        ("刘三姐:电影文学剧本", "刘三姐 : 電影文學劇本"),
    ],
)
def test_spellings_of_one_title_have_one_key(one: str, other: str):
    """Traditional characters, quotation marks, full width, case and articles make no other title."""
    assert names.key(one) == names.key(other)


def test_the_title_proper_is_found():
    """Quotation marks and colons tell what is the title and what is said of it."""
    assert names.main("电影《劉三姐》") == names.main("刘三姐：电影文学剧本") == "刘三姐"
    assert names.main("刘三姐") == "刘三姐"
    assert names.main("《》") == names.key("《》")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Zhang, San", "San Zhang"),
        ("乔羽 (1927-2022)", "喬羽"),
        ("张 三", "张三"),
        ("[清] 王维新", "王维新"),
        ("苏里导演", "苏里"),
    ],
)
def test_spellings_of_one_person_have_one_key(one: str, other: str):
    """Order, dates, dynasties and roles make no other person."""
    assert names.person(one) == names.person(other)


@pytest.mark.parametrize(
    ("title", "found"),
    [
        ("刘三姐", ()),
        ("刘三姐 第二集", ("2",)),
        ("广西通志 卷十二", ("12",)),
        ("史记（上）", ("1",)),
        ("史记 下册", ("下",)),
        ("Songs, vol. III", ("3",)),
        ("年鉴 2019", ("2019",)),
        ("第二十一回", ("21",)),
    ],
)
def test_what_sets_parts_apart_is_found(title: str, found: tuple[str, ...]):
    """Numbers of parts are read in digits, Chinese and Roman numerals; those that belong to a name are none."""
    assert names.numbers(title) == found


@settings(max_examples=60)
@given(st.text(max_size=60))
def test_any_text_has_keys(text: str):
    """Nothing that may stand in a catalogue makes these fail, and a key is its own key but for an article in it."""
    assert names.key(text) == " ".join(names.key(text).split())
    assert isinstance(names.person(text), str)
    assert isinstance(names.numbers(text), tuple)
    assert names.grams(names.key(text))
