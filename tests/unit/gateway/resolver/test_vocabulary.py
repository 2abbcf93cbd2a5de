"""The types of links of GB/T 38378-2019."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from appliance.runtime.errors import Refused
from gateway.resolver.records import Link
from gateway.resolver.vocabulary import KINDS, kind_of, types_of

SYMMETRIC = {"is-equivalent-to", "related", "similar", "same-as", "opposite", "coexist-with", "match", "near", "similar-to"}  # fmt: skip


def test_the_whole_table_is_there():
    """All 33 terms of table 1, each with two names and a meaning, none named twice."""
    assert len(KINDS) == 33
    assert all(kind.zh and kind.en and kind.means for kind in KINDS.values())
    assert len({kind.zh for kind in KINDS.values()}) == len({kind.uri for kind in KINDS.values()}) == 33
    assert {kind.name for kind in KINDS.values() if kind.symmetric} == SYMMETRIC


def test_an_inverse_leads_back():
    """Who reads a link from its target, and then back, reads what was written."""
    for kind in KINDS.values():
        if kind.inverse is not None:
            assert KINDS[kind.inverse].inverse == kind.name
    assert (KINDS["generic"].inverse, KINDS["contain"].inverse, KINDS["cite"].inverse) == ("specific", "belong-to", "cite-by")  # fmt: skip


@pytest.mark.parametrize("written", ["same-as", "Same as", "SAME_AS", "相同", "tag:headgate,2026:klsv#same-as"])
def test_a_type_is_found_as_people_write_it(written: str):
    """The standard's own word, the record's, the Chinese one and the URI mean the same."""
    assert kind_of(written).name == "same-as"
    assert types_of([written]) == {"same-as"}


@given(st.text(max_size=100))
def test_any_text_is_a_type_or_refused(text: str):
    """Nothing else comes out than a type of the vocabulary or a typed refusal."""
    try:
        name = kind_of(text).name
    except Refused as refused:
        name = refused.reason

    assert name in {*KINDS, "unknown-link-type"}


def test_a_record_s_links_are_of_the_vocabulary():
    """A type that the standard does not name, or names otherwise, makes no record."""
    assert Link(type="is-equivalent-to", target="isbn:9780306406157").type == "is-equivalent-to"
    for wrong in ("knows", "Same as", ""):
        with pytest.raises(ValidationError, match="GB/T 38378"):
            Link(type=wrong, target="isbn:9780306406157")
