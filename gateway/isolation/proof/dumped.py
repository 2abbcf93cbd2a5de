"""A namespace's whole ruleset as the kernel dumps it -> the rules of each hook, and whatever is there that is not ours."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from gateway.isolation.nfnl.messages import Damaged, attributes, each_attribute, integer, word
from gateway.isolation.nfnl.requests import FAMILY_NAMES, HOOKS, HOOKS_NETDEV, OWNER, PERSIST, comment_of
from gateway.isolation.proof.listed import FAMILIES, Chain, Live
from gateway.isolation.proof.matches import Object, Unknown
from gateway.isolation.proof.registers import Keys, Run, Told
from gateway.isolation.proof.rules import EVERYTHING, Rule, Rules
from gateway.isolation.ruleset import TABLE

ANONYMOUS, INTERVAL, CONCAT = 1, 4, 0x80  # NFT_SET_*
KNOWN_SET_FLAGS = ANONYMOUS | 2 | INTERVAL | CONCAT  # and constant
INTERVAL_END = 1  # NFT_SET_ELEM_INTERVAL_END
BASE_CHAIN = 1  # NFT_CHAIN_BASE
# Attributes that change nothing for a packet, or that are read (NFTA_CHAIN_*, NFTA_RULE_*, NFTA_SET_*, NFTA_SET_ELEM_*).
CHAIN_KEYS = frozenset({1, 2, 3, 4, 5, 6, 7, 9, 10, 12})
RULE_KEYS = frozenset({1, 2, 3, 4, 6, 7, 8, 10})
SET_KEYS = frozenset({1, 2, 3, 4, 5, 8, 9, 10, 13, 14, 16, 19, 20})
ELEMENT_KEYS = frozenset({1, 3, 6, 8})
HOOK_NAMES = {
    "inet": {**{number: name for name, number in HOOKS.items()}, 5: "ingress"},
    "netdev": {number: name for name, number in HOOKS_NETDEV.items()},
}


@dataclass(frozen=True)
class Dump:
    """What the kernel told, each message's body whole; the elements of plain hash sets packed and in order."""

    tables: tuple[bytes, ...] = ()
    chains: tuple[bytes, ...] = ()
    rules: tuple[bytes, ...] = ()
    sets: tuple[bytes, ...] = ()
    others: tuple[str, ...] = ()  # in words: flow tables, and objects that rules can name
    packed: Mapping[Chain, bytes] = field(default_factory=dict)
    odd: Mapping[Chain, tuple[str, ...]] = field(default_factory=dict)  # elements that are more than a key
    written: Mapping[Chain, tuple[bytes, ...]] = field(default_factory=dict)  # of all other sets, message by message
    legacy: tuple[str, ...] = ()  # in words: tables of the filters before nftables that hold rules
    generation: int = 0


def read(dump: Dump, chains: Mapping[Chain, Object]) -> Live:
    """Return what a dump means; ``chains`` are the base chains that there must be."""
    return _Reader(dump, chains).read()


def set_of(body: bytes) -> tuple[str, str, str, int, int]:
    """Return family, table, name, flags and bytes of a key of the set that a message tells."""
    told = attributes(body[4:])
    return _family(body), word(told.get(1)), word(told.get(2)), integer(told.get(3)), integer(told.get(5))


def handle_of(body: bytes) -> int:
    """Return the number of a set, which no other set of its table ever has."""
    return integer(attributes(body[4:]).get(16))


def _family(body: bytes) -> str:
    return FAMILY_NAMES.get(body[0], str(body[0]))


class _Reader:
    def __init__(self, dump: Dump, chains: Mapping[Chain, Object]) -> None:
        self.dump, self.chains = dump, chains
        self.live = Live(unknown=[*dump.others, *dump.legacy])
        self.dormant: set[str] = set()
        self.keys: dict[Chain, Keys] = {}
        self.used: set[Chain] = set()
        self.policies: dict[Chain, bool] = {}
        self.found: dict[Chain, list[Rule]] = {}

    def read(self) -> Live:
        """Return what the dump means."""
        for body in self.dump.tables:
            self._table(_family(body), attributes(body[4:]))
        for body in self.dump.chains:
            self._chain(_family(body), attributes(body[4:]))
        for body in self.dump.sets:
            self._set(body)
        for body in self.dump.rules:
            self._rule(_family(body), attributes(body[4:]))
        for chain, wanted in self.chains.items():
            self.live.hooks[wanted["hook"]] = self._rules(chain)
        for family, name in self.keys.keys() - self.used:
            self._unknown(f"set {family} {TABLE} {name}, which no rule asks")
        return self.live

    def _unknown(self, what: str) -> None:
        self.live.unknown.append(what)

    def _ours(self, kind: str, family: str, table: str, name: str = "") -> bool:
        ours = family in FAMILIES and table == TABLE
        if not ours:
            self._unknown(f"{kind} {family} {table} {name}".rstrip())
        return ours

    def _keys(self, place: str, told: Told, known: frozenset[int]) -> None:
        for key in sorted(told.keys() - known):
            self._unknown(f"{place} with attribute {key}")

    def _table(self, family: str, told: Told) -> None:
        if not self._ours("table", family, word(told.get(1))):
            return
        flags = integer(told.get(2))
        if flags & ~(OWNER | PERSIST):
            self._unknown(f"table {family} {TABLE} with flags {flags:#x}, one of which puts it to sleep")
            self.dormant.add(family)

    def _chain(self, family: str, told: Told) -> None:
        name = word(told.get(3))
        if not self._ours("chain", family, word(told.get(1)), name):
            return
        place, chain = f"chain {family} {TABLE} {name}", (family, name)
        wanted = self.chains.get(chain)
        if wanted is None:
            self._unknown(place)
            return
        self._keys(place, told, CHAIN_KEYS)
        if integer(told.get(10)) & ~BASE_CHAIN:
            self._unknown(f"{place} with flags {integer(told.get(10)):#x}")
        hook = attributes(told.get(4, memoryview(b"")))
        priority = int.from_bytes(hook[2], "big", signed=True) if 2 in hook else None
        seen = {
            "type": word(told.get(7)),
            "hook": HOOK_NAMES[family].get(integer(hook.get(1)), "") if hook else None,
            "prio": priority,
            "policy": "accept" if integer(told.get(5)) else "drop",
            "dev": ", ".join([word(hook.get(3))] if 3 in hook else _devices(hook)),
        }
        for key, value in wanted.items():
            if seen[key] != value:
                self._unknown(f"{place} with {key} {seen[key]} where {value} belongs")
        if seen["hook"] == wanted["hook"] and family not in self.dormant:
            self.policies[chain] = bool(integer(told.get(5)))

    def _set(self, body: bytes) -> None:
        told = attributes(body[4:])
        family, table, name, flags, size = set_of(body)
        if not self._ours("set", family, table, name):
            return
        place, key = f"set {family} {TABLE} {name}", (family, name)
        self._keys(place, told, SET_KEYS)
        if flags & ~KNOWN_SET_FLAGS or (flags & INTERVAL and flags & CONCAT):
            self._unknown(f"{place} with flags {flags:#x}")
        for words in self.dump.odd.get(key, ()):
            self._unknown(f"{place}: element {words}")
        packed = self.dump.packed.get(key, b"")
        marks = self._marks(place, self.dump.written.get(key, ()), size)
        pairs = self._intervals(place, marks, size) if flags & INTERVAL else tuple((one, one) for one, _ in marks)
        if not flags & ANONYMOUS:  # what is written into rules is no element of a set
            self.live.elements += len(packed) // size + len(pairs)
        self.keys[key] = Keys(size, packed, pairs)

    def _marks(self, place: str, bodies: Iterable[bytes], size: int) -> list[tuple[bytes, bool]]:
        """Return each element's key, and whether it begins something (or marks its end)."""
        marks: list[tuple[bytes, bool]] = []
        for body in bodies:
            for _, element in each_attribute(attributes(body[4:]).get(3, memoryview(b""))):
                told = attributes(element)
                key = bytes(attributes(told.get(1, memoryview(b""))).get(1, b""))
                flags = integer(told.get(3))
                self._keys(f"an element of {place}", told, ELEMENT_KEYS)
                if flags & ~INTERVAL_END or len(key) != size:
                    self._unknown(f"an element of {place} with flags {flags:#x}")
                else:
                    marks.append((key, not flags))
        return marks

    def _intervals(self, place: str, marks: Iterable[tuple[bytes, bool]], size: int) -> tuple[tuple[bytes, bytes], ...]:
        """Return first and last key of each interval; the kernel marks where one begins and where it has ended."""
        pairs, start = [], None
        for key, begins in sorted(marks):  # of two marks at one key the end comes first
            if begins and start is not None:
                self._unknown(f"{place}: two intervals begin before one ends")
            elif begins:
                start = key
            elif start is not None:
                pairs.append((start, (int.from_bytes(key, "big") - 1).to_bytes(size, "big")))
                start = None
        if start is not None:
            pairs.append((start, b"\xff" * size))
        return tuple(pairs)

    def _rule(self, family: str, told: Told) -> None:
        table, chain = word(told.get(1)), word(told.get(2))
        if not self._ours("rule", family, table, chain):
            return
        name = comment_of(bytes(told.get(7, b"")))
        place = f"rule '{name}' of {chain}" if name else f"a rule without a comment of {chain}"
        self._keys(place, told, RULE_KEYS)
        self.live.rules += 1

        def lookup(asked: str) -> Keys:
            self.used.add((family, asked))
            if (family, asked) not in self.keys:
                raise Unknown(f"asks the set {asked}, which is not there")
            return self.keys[family, asked]

        run = Run(lookup)
        try:
            run.go(told.get(4, memoryview(b"")))
        except (Unknown, Damaged) as error:
            self._unknown(f"{place}: {error}")
            return
        if run.verdict is not None:
            rules = self.found.setdefault((family, chain), [])
            rules += [Rule(run.verdict, needs, name) for needs in run.needs]

    def _rules(self, chain: Chain) -> Rules:
        if chain not in self.policies:
            return EVERYTHING
        accept = self.policies[chain]
        return (*self.found.get(chain, []), Rule(accept, name="policy accept" if accept else "policy drop"))


def _devices(hook: Told) -> list[str]:
    return [word(value) for _, value in each_attribute(hook.get(4, memoryview(b"")))]
