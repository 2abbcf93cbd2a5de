"""Walks over links: bounds, loops, directions, and the forms they are told in."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.runtime.errors import Refused
from gateway.resolver import walks
from gateway.resolver.vocabulary import URIS
from gateway.resolver.walk_formats import as_graph, as_json_ld, as_linkset
from gateway.resolver.walks import Asked, Direction, Edge, walk

FILM, BOOK, SONG, SCORE = "isli:1", "isbn:2", "isrc:3", "ismn:4"
LINKS = [
    Edge(FILM, "source", BOOK),
    Edge(FILM, "contain", SONG),
    Edge(SONG, "multimedia", FILM),  # a loop
    Edge(SCORE, "related", SONG),
]


def links_of(links: Iterable[Edge]) -> walks.LinksOf:
    """Return what a table that holds ``links`` answers."""

    def of(code: str, direction: Direction) -> list[tuple[str, str]]:
        if direction == "forward":
            return [(link.type, link.target) for link in links if link.source == code]
        return [(link.type, link.source) for link in links if link.target == code]

    return of


def codes(found: walks.Walk) -> dict[str, int]:
    return {node.code: node.depth for node in found.nodes}


def test_a_walk_goes_as_deep_as_asked_and_round_no_loop():
    """Each code is told once, with its distance; a link back to the start is an edge and no new node."""
    one = walk(FILM, links_of(LINKS), Asked(depth=1))
    two = walk(FILM, links_of(LINKS), Asked(depth=5))

    assert codes(one) == {FILM: 0, BOOK: 1, SONG: 1}
    assert codes(two) == codes(one)
    assert set(two.edges) == set(LINKS[:3])
    assert one.whole
    assert two.whole


def test_a_walk_reads_links_from_their_targets_too():
    """Backward finds who names a code; both ways together, each link is told once, as its source has it."""
    back = walk(SONG, links_of(LINKS), Asked(depth=1, direction="backward"))
    both = walk(SONG, links_of(LINKS), Asked(depth=2, direction="both"))

    assert codes(back) == {SONG: 0, FILM: 1, SCORE: 1}
    assert sorted(both.edges) == sorted(LINKS)
    assert len(both.edges) == len(set(both.edges))


def test_a_walk_follows_only_the_types_that_were_asked():
    """Other types are no way."""
    found = walk(FILM, links_of(LINKS), Asked(depth=3, direction="both", types=frozenset({"source"})))

    assert codes(found) == {FILM: 0, BOOK: 1}


def test_what_may_not_be_seen_is_no_way_either():
    """A code that the asker may not see is not told, and what lies behind it is not reached by it."""
    found = walk(SCORE, links_of(LINKS), Asked(depth=4, direction="both"), lambda some: set(some) - {SONG})

    assert codes(found) == {SCORE: 0}
    assert found.edges == ()


def test_bounds_cut_and_are_told():
    """Breadth and the number of nodes are kept, and the walk says that it is not whole."""
    star = [Edge(FILM, "related", f"isli:{n}") for n in range(10, 400)]
    narrow = walk(FILM, links_of(star), Asked(breadth=3))
    fan = [Edge(f"isli:{n}", "related", f"isli:{n * 100 + m}") for n in range(10, 60) for m in range(60)]
    wide = walk(FILM, links_of(star + fan), Asked(depth=2, breadth=200))

    assert (len(narrow.nodes), narrow.whole) == (4, False)
    assert (len(wide.nodes), wide.whole) == (walks.MOST_NODES, False)
    assert {edge.target for edge in wide.edges} <= set(codes(wide))


@pytest.mark.parametrize("wrong", [{"depth": 0}, {"depth": 9}, {"breadth": 0}, {"breadth": 201}, {"direction": "up"}])
def test_a_bound_out_of_range_is_refused(wrong: dict[str, int]):
    """Who asks for too much is told the range."""
    with pytest.raises(Refused, match="is"):
        Asked(**wrong)


@given(
    st.lists(st.tuples(st.integers(0, 9), st.sampled_from(["related", "source"]), st.integers(0, 9)), max_size=40),
    st.integers(1, 8),
)
def test_any_graph_ends(made: list[tuple[int, str, int]], depth: int):
    """Whatever the links, a walk ends, tells no node twice, and no edge whose ends are not told."""
    found = walk("0", links_of([Edge(str(a), kind, str(b)) for a, kind, b in made]), Asked(depth, 50, "both"))

    told = [node.code for node in found.nodes]
    assert len(told) == len(set(told))
    assert {end for edge in found.edges for end in (edge.source, edge.target)} <= set(told)


def test_a_graph_tells_what_joins_two_institutions():
    """Nodes carry what is known of them; an edge between two bodies is marked."""
    about = {
        FILM: {"title": "刘三姐", "body": "film"},
        BOOK: {"title": "书", "body": "library"},
        SONG: {"body": "film"},
    }
    told = as_graph(walk(FILM, links_of(LINKS), Asked()), about)

    assert told["nodes"][0] == {"code": FILM, "title": "刘三姐", "body": "film", "depth": 0}
    assert {edge["target"]: edge["across"] for edge in told["edges"]} == {BOOK: True, SONG: False}


def test_a_linkset_is_as_rfc_9264_has_it():
    """A context object a source; an extension relation type is a URI; targets are lists of objects with href."""
    told = as_linkset(walk(FILM, links_of(LINKS), Asked(2)).edges, "http://box/id/{}".format, {BOOK: {"title": "书"}})

    assert told["linkset"][0] == {
        "anchor": "http://box/id/isli:1",
        URIS + "source": [{"href": "http://box/id/isbn:2", "title": "书"}],
        URIS + "contain": [{"href": "http://box/id/isrc:3"}],
    }
    assert told["linkset"][1]["anchor"] == "http://box/id/isrc:3"  # the link back is its own source's


def test_json_ld_carries_its_context():
    """Every key of a node is a term of the context inside the document."""
    found = walk(FILM, links_of(LINKS), Asked())
    told = as_json_ld(found.edges, codes(found), "http://box/id/{}".format, {FILM: {"title": "刘三姐"}})

    node = told["@graph"][0]
    assert node == {
        "@id": "http://box/id/isli:1",
        "code": FILM,
        "title": "刘三姐",
        "source": ["http://box/id/isbn:2"],
        "contain": ["http://box/id/isrc:3"],
    }
    assert all(key in told["@context"] for each in told["@graph"] for key in each if key != "@id")
