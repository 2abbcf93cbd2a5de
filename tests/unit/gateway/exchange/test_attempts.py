"""Attempts at important data: one entry each, and a flood counted without losing one."""

from gateway.exchange import attempts
from gateway.exchange.attempts import Attempts

WHAT = {"release": "999999-100000000000001-4"}


def test_each_attempt_has_an_entry_until_they_flood():
    """The first ones are told one by one; those beyond are counted, and told again one by one when it is quiet."""
    seen = Attempts()
    told = [seen.take("delivery-bigscreen", WHAT, 0.0) for _ in range(attempts.BURST + 5)]

    assert told == [True] * attempts.BURST + [False] * 5
    assert seen.take("delivery-smallscreen", WHAT, 0.0)
    assert seen.take("delivery-bigscreen", WHAT, 1.5)
    assert not seen.take("delivery-bigscreen", WHAT, 1.5)
    due = seen.due()
    assert {peer: (flood.times, flood.examples) for peer, flood in due.items()} == {"delivery-bigscreen": (6, [WHAT])}
    assert seen.due() == {}


def test_a_flood_names_some_of_what_was_asked():
    """However many releases are asked for, the entry stays small."""
    seen = Attempts()
    for number in range(attempts.BURST + 1000):
        seen.take("share-culture", {"release": str(number)}, 0.0)
    flood = seen.due()["share-culture"]

    assert flood.times == 1000
    assert len(flood.examples) == attempts.MOST_EXAMPLES
