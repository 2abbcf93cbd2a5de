"""Important data never reaches a zone that is outside, whoever asks; each attempt is in the journal."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.server
CODE = "999999-100000000000001-4"
LATER = "999999-100000000000002-3"


def rules(text: str) -> str:
    return (
        text + 'important: {outside: [bigscreen], labels: [important], identifiers: ["isli:999999-100000000000001"]}\n'
    )


def take_in(chain, until) -> None:
    chain.write_policy(rules)
    chain.reload("exchange", "delivery-bigscreen")
    until(lambda: "configuration taken in" in chain.log("exchange"), "the exchange has the policy")
    until(lambda: "configuration taken in" in chain.log("delivery-bigscreen"), "delivery has the policy")


def attempts(chain) -> int:
    return sum(
        record.body.get("times", 1)
        for record in chain.records("audit")
        if record.body["reason"] == "important-data" and record.body["zone"] == "bigscreen"
    )


def test_what_was_served_before_it_became_important_is_refused(chain, until):
    """Catalogue and label hold at once, for releases, objects and screens; a zone that is not outside goes on."""
    chain.publish({"a.txt": b"a" * 1000})
    assert chain.play("a.txt").status == 200
    take_in(chain, until)
    asked = chain.origin.asked.total()

    replies = [chain.ask("delivery-bigscreen", "release", {"release": CODE})]
    replies += [chain.ask("delivery-bigscreen", "object", {"release": CODE, "path": "a.txt"}) for _ in range(2)]
    replies += [chain.play("a.txt") for _ in range(3)]

    assert [reply.status for reply in replies] == [403] * 6
    assert all(b"important-data" in reply.body for reply in replies)
    assert chain.origin.asked.total() == asked
    assert chain.play("a.txt", zone="smallscreen").status == 200
    until(lambda: attempts(chain) == 6, "each attempt is recorded")


def test_a_label_makes_it_important(chain, until):
    """A release labelled so is refused although its code is in no catalogue."""
    take_in(chain, until)
    chain.publish({"a.txt": b"a" * 1000}, code=LATER, labels=("important",))

    reply = chain.ask("delivery-bigscreen", "object", {"release": LATER, "path": "a.txt"})

    assert (reply.status, b"important-data" in reply.body) == (403, True)
    assert chain.ask("delivery-smallscreen", "object", {"release": LATER, "path": "a.txt"}).status == 200
    until(lambda: attempts(chain) == 1, "the attempt is recorded")
