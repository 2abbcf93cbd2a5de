"""Lists of rules against each other over all packets, by set algebra: exact, and it names the packets.

The packets are split field by field, only at the borders of rules that can still decide, until the rest of each list is one verdict.
The field with the large sets comes last: there, lists that unite the same sets are equal at once, and others are compared value by
value (``atoms.py``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from gateway.isolation.proof.rules import Rule, Rules, first
from gateway.isolation.proof.space import FIELDS
from gateway.isolation.proof.values import Class, Range, Values, classes, merged

# Whether a packet is looked for, from the verdicts of the lists: Python's truth values, or numpy's arrays of them.
Question = Callable[..., Any]
Alive = tuple[tuple[int, ...], ...]
Tail = tuple[bool, frozenset[tuple[int, Values]]]


@dataclass(frozen=True)
class Found:
    """Packets that answer a question: one of them, and for the fields that matter all values that do."""

    question: int
    values: Mapping[str, int]  # of one packet, the fields that matter
    ranges: Mapping[str, tuple[Range, ...]]
    deciders: tuple[Rule, ...]  # of each list the rule that decides that packet


def search(lists: Sequence[Rules], questions: Sequence[Question], *, whole: bool = False) -> Iterator[Found]:
    """Yield packets for which a question on the verdicts of ``lists`` is true; none only if it is true for no packet at all.

    With ``whole`` every such packet is in one of them; else equal rests are looked at once. The last rule of each list needs nothing.
    Where the first half of ``lists`` and the second are equal as they stand, nothing more is split.
    """
    yield from _Search(lists, questions, whole=whole).go()


class _Search:
    def __init__(self, lists: Sequence[Rules], questions: Sequence[Question], *, whole: bool) -> None:
        self.lists, self.questions, self.whole = lists, questions, whole
        self.rules = [rule for rules in lists for rule in rules]
        self.order = _order(self.rules)
        places = {name: place for place, name in enumerate(self.order)}
        self.needs: list[dict[int, list[Values]]] = []
        for rule in self.rules:
            needs: dict[int, list[Values]] = {}
            for name, values in rule.needs:
                needs.setdefault(places[name], []).append(values)
            self.needs.append(needs)
        self.ways = [sorted(needs) for needs in self.needs]  # the fields that each rule asks for, in order
        self.done: set[tuple[int, Alive]] = set()
        self.tails: dict[tuple[int, int], Tail] = {}
        half = len(lists) // 2
        mirrored = (both + both for both in product((False, True), repeat=half))
        # Whether equal halves answer no question, as when one ruleset is held against another.
        self.quiet = len(lists) == 2 * half and not any(ask(*told) for told in mirrored for ask in questions)

    def go(self) -> Iterator[Found]:
        start, alive = 0, []
        for rules in self.lists:
            alive.append(tuple(range(start, start + len(rules))))
            start += len(rules)
        yield from self._split(0, tuple(alive), {})

    def _split(self, place: int, alive: Alive, chosen: dict[str, Class]) -> Iterator[Found]:
        """Yield what is found among the packets of ``chosen``; the rules ``alive`` match as far as the fields before ``place`` say."""
        alive = tuple(self._shortened(rules, place) for rules in alive)
        if not self.whole:
            if (place, alive) in self.done:
                return
            self.done.add((place, alive))
        verdicts = [{self.rules[rule].accept for rule in rules} for rules in alive]
        if all(len(one) == 1 for one in verdicts):
            yield from self._answer([one.pop() for one in verdicts], chosen)
            return
        if self.quiet and self._halves_equal(alive, place):
            return
        place = min(way for rules in alive for rule in rules for way in self.ways[rule] if way >= place)
        field = FIELDS[self.order[place]]
        sets = list(dict.fromkeys(v for rules in alive for rule in rules for v in self.needs[rule].get(place, ())))
        if place == len(self.order) - 1 and any(values.packed for values in sets):
            yield from self._last(field.name, alive, chosen)
            return
        choices = [_Choice(rules, self.needs, place, sets) for rules in alive]
        for part in classes(sets, field.top, field.natural, field.least):
            rest = tuple(choice.left(part.held) for choice in choices)
            yield from self._split(place + 1, rest, {**chosen, field.name: part})

    def _shortened(self, rules: tuple[int, ...], place: int) -> tuple[int, ...]:
        """Return ``rules`` up to the first that matches for certain, without those before it that say the same."""
        ways = self.ways
        end = next(index for index, rule in enumerate(rules) if not ways[rule] or ways[rule][-1] < place)
        sure, rest = rules[end], end
        while rest and self.rules[rules[rest - 1]].accept == self.rules[sure].accept:
            rest -= 1
        return (*rules[:rest], sure)

    def _halves_equal(self, alive: Alive, place: int) -> bool:
        half = len(alive) // 2
        return all(
            self._form(one, place) == self._form(two, place)
            for one, two in zip(alive[:half], alive[half:], strict=True)
        )

    def _form(self, rules: tuple[int, ...], place: int) -> object:
        """Return what ``rules`` say from ``place`` on; where all but the last accept, their order means nothing."""
        tails = [self._tail(rule, place) for rule in rules]
        return frozenset(tails) if all(accept for accept, _ in tails[:-1]) and not tails[-1][0] else tuple(tails)

    def _tail(self, rule: int, place: int) -> Tail:
        if (rule, place) not in self.tails:
            needs = frozenset(
                (way, values) for way, sets in self.needs[rule].items() if way >= place for values in sets
            )
            self.tails[rule, place] = (self.rules[rule].accept, needs)
        return self.tails[rule, place]

    def _answer(self, verdicts: Sequence[bool], chosen: Mapping[str, Class]) -> Iterator[Found]:
        for number, question in enumerate(self.questions):
            if question(*verdicts):
                yield self._found(number, chosen)

    def _found(self, question: int, chosen: Mapping[str, Class]) -> Found:
        values = {name: part.value for name, part in chosen.items() if part.ranges != ((0, FIELDS[name].top),)}
        packet = {name: field.natural for name, field in FIELDS.items()}
        packet |= {name: part.value for name, part in chosen.items()}
        deciders = tuple(first(rules, packet) for rules in self.lists)
        return Found(question, values, {name: chosen[name].ranges for name in values}, deciders)

    def _last(self, name: str, alive: Alive, chosen: dict[str, Class]) -> Iterator[Found]:
        place = len(self.order) - 1
        rests = [[(self.needs[r].get(place, []), self.rules[r].accept) for r in rules] for rules in alive]
        half = len(rests) // 2
        if self.quiet and [_united(rest) for rest in rests[:half]] == [_united(rest) for rest in rests[half:]]:
            return
        from gateway.isolation.proof import atoms  # numpy is of no use while all is as it should be

        for number, part in atoms.answers(rests, self.questions, FIELDS[name].top, whole=self.whole):
            yield self._found(number, {**chosen, name: part})


class _Choice:
    """The rules of a list by what they ask of one field, so that for few values few of them are looked at."""

    def __init__(
        self, rules: Sequence[int], needs: Sequence[Mapping[int, list[Values]]], place: int, sets: Sequence[Values]
    ) -> None:
        bits = {values: 1 << index for index, values in enumerate(sets)}
        self.free: list[int] = []  # ask nothing of the field
        self.by_bit: dict[
            int, list[tuple[int, int]]
        ] = {}  # one of the sets that a rule asks for -> the rule, and all that it asks for
        for rule in rules:
            asked = set(needs[rule].get(place, ()))
            if asked:
                # A set of few values is in few classes.
                rarest = min(asked, key=lambda values: (values.inverted, len(values.ranges) + len(values.packed)))
                self.by_bit.setdefault(bits[rarest], []).append((rule, sum(bits[values] for values in asked)))
            else:
                self.free.append(rule)
        self.bits = sum(self.by_bit)

    def left(self, held: int) -> tuple[int, ...]:
        """Return the rules, in order, that match where the sets with these bits do."""
        found, rest = list(self.free), held & self.bits
        while rest:
            bit = rest & -rest
            rest ^= bit
            found += [rule for rule, asked in self.by_bit[bit] if asked & held == asked]
        return tuple(sorted(found))


def _order(rules: Sequence[Rule]) -> list[str]:
    """Return the names of the fields that ``rules`` ask for, those with large sets last."""
    weight: dict[str, int] = {}
    for rule in rules:
        for name, values in rule.needs:
            weight[name] = max(weight.get(name, 0), *(len(data) for data in values.packed), 0)
    return sorted((name for name in FIELDS if name in weight), key=lambda name: weight[name])


def _united(rest: Sequence[tuple[list[Values], bool]]) -> object:
    """Return the union that a list accepts, in one form; a list that is more than a union, as it is."""
    *accepting, (_, default) = rest
    if default or not all(accept and len(sets) == 1 and not sets[0].inverted for sets, accept in accepting):
        return rest
    packed = frozenset(data for sets, _ in accepting for data in sets[0].packed)
    return packed, merged(one for sets, _ in accepting for one in sets[0].ranges)
