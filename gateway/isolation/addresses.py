"""How addresses are written: a list with ``@names`` of groups, or one text with an address a line -> ``Hosts``, ``Group``.

A text of 100,000 lines is read in some tens of milliseconds, and one that differs little from a text read before in about one.
"""

from __future__ import annotations

import socket
from array import array
from collections.abc import Iterator
from functools import partial
from typing import Annotated, Any

from pydantic import Field, PlainSerializer, PlainValidator, TypeAdapter

from appliance.runtime.config import Problem, problems
from gateway.isolation.groups import Group, Hosts, ordered, pack, word_of
from gateway.isolation.words import Network, name_of, network_of

MOST_RANGES = 500  # networks of one group; interval sets of nftables get slow beyond it
MOST_WRITTEN = 500  # entries of one list of addresses; more belong into a group
MOST_TOLD = 20  # wrong or repeated lines of one text
SMALL_EDIT = 4096  # characters that differ
REMEMBERED = 8  # texts
LONGEST_REMEMBERED = 32 << 20  # characters of all of them

_four, _six = partial(socket.inet_pton, socket.AF_INET), partial(socket.inet_pton, socket.AF_INET6)
_recent: tuple[tuple[str, Group], ...] = ()


def group_of_text(text: str) -> Group:
    """Return the group that ``text`` lists: an address or network a line; ``#`` begins a comment.

    Raises:
        PydanticCustomError: lines are wrong; holds a problem for each of the first ones.
    """
    global _recent
    for old, known in _recent:
        if old == text:
            return known
    group = next((g for g in (_edited(old, known, text) for old, known in _recent) if g is not None), None)
    group = group or _read(text)
    if len(text) > SMALL_EDIT:
        kept = ((text, group), *_recent[: REMEMBERED - 1])
        while sum(len(old) for old, _ in kept) > LONGEST_REMEMBERED:
            kept = kept[:-1]
        _recent = kept
    return group


def _read(text: str) -> Group:
    repeated: tuple[int, ...] = ()
    try:
        if not any(sign in text for sign in "#:/"):
            packed = list(map(_four, text.split()))
            hosts = array("I", b"".join(packed))
            hosts.byteswap()
            unique, repeated = (
                sorted(hosts),
                (),
            )  # most lists are in order already, which sorting sees and a set would lose
            if len(set(unique)) < len(unique):
                unique, repeated = sorted(set(unique)), _repeated(text)
            hosts = array("I", unique)
            hosts.byteswap()
            return Group(hosts4=hosts.tobytes(), repeated=repeated)
        if not any(sign in text for sign in "#/."):
            packed = list(map(_six, text.split()))
            distinct = sorted(set(packed))
            repeated = _repeated(text) if len(distinct) < len(packed) else ()
            return Group(hosts6=b"".join(distinct), repeated=repeated)
    except (OSError, ValueError):
        pass  # some line is wrong: which one is told below
    return _read_each(text)


def _read_each(text: str) -> Group:
    hosts: dict[int, set[bytes]] = {4: set(), 16: set()}
    ranges: set[Network] = set()
    wrong: list[Problem] = []
    for row, word in _words(text):
        try:
            packed = _packed(word)
            if packed:
                hosts[len(packed)].add(packed)
            else:
                network = network_of(word)
                if network.prefixlen == network.max_prefixlen:
                    hosts[network.max_prefixlen // 8].add(network.network_address.packed)
                else:
                    ranges.add(network)
        except Problem as problem:
            wrong.append(Problem((), problem.message, problem.hint, row))
            if len(wrong) == MOST_TOLD:
                break
    if error := problems(wrong):
        raise error
    return Group(b"".join(sorted(hosts[4])), b"".join(sorted(hosts[16])), ordered(ranges), _repeated(text))


def _words(text: str) -> Iterator[tuple[int, str]]:
    for row, line in enumerate(text.split("\n")):
        for word in line.partition("#")[0].split():
            yield row, word


def _packed(word: str) -> bytes:
    """Return a single address packed; nothing where it is something else."""
    try:
        return (_six if ":" in word else _four)(word)
    except (OSError, ValueError):
        return b""


def _repeated(text: str) -> tuple[int, ...]:
    """Return the first rows whose address stood in an earlier one."""
    seen: set[bytes | str] = set()
    rows: list[int] = []
    for row, word in _words(text):
        told = _packed(word) or word
        if told in seen and len(rows) < MOST_TOLD:
            rows.append(row)
        seen.add(told)
    return tuple(rows)


def _edited(old: str, group: Group, text: str) -> Group | None:
    """Return the group of ``text`` from that of ``old``, where few lines with single addresses differ; else None."""
    begin = old.rfind("\n", 0, _same_start(old, text)) + 1
    tail = _same_end(old[begin:], text[begin:])
    ends = old.find("\n", len(old) - tail)
    tail = len(old) - ends if ends >= 0 else 0
    out, put = old[begin : len(old) - tail], text[begin : len(text) - tail]
    if group.repeated or len(out) > SMALL_EDIT or len(put) > SMALL_EDIT:
        return None
    packed = [[_packed(word) for _, word in _words(part)] for part in (out, put)]
    if not all(all(part) and len(set(part)) == len(part) for part in packed):
        return None
    hosts = {4: group.hosts4, 16: group.hosts6}
    for key in packed[0]:
        place = Group.place(hosts[len(key)], key) * len(key)
        hosts[len(key)] = hosts[len(key)][: place - len(key)] + hosts[len(key)][place:]
    for key in packed[1]:
        place = Group.place(hosts[len(key)], key) * len(key)
        if hosts[len(key)][max(0, place - len(key)) : place] == key:
            return None  # it stands there twice now, which is told
        hosts[len(key)] = hosts[len(key)][:place] + key + hosts[len(key)][place:]
    return Group(hosts[4], hosts[16], group.ranges)


def _same_start(one: str, other: str) -> int:
    """Return how many characters two texts begin with in common."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _same_end(one: str, other: str) -> int:
    """Return how many characters two texts end with in common."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[len(one) - middle : len(one) - low] == other[len(other) - middle : len(other) - low]:
            low = middle
        else:
            high = middle - 1
    return low


def _host(value: Any) -> Network | str:
    if isinstance(value, str) and value.startswith("@"):
        return name_of(value[1:])
    return network_of(value)


def _group(value: Any) -> Group:
    if isinstance(value, str):
        group = group_of_text(value)
    elif isinstance(value, list):
        group = _group_of_list(value)
    else:
        raise Problem((), "must be a list of addresses, or one text with an address a line")
    if not group:
        raise Problem((), "names no address")
    if len(group.ranges) > MOST_RANGES:
        raise Problem((), f"holds more than {MOST_RANGES} networks; single addresses may be many more")
    return group


def _group_of_list(value: list[Any]) -> Group:
    entries: dict[Network, int] = {}
    repeated: list[int] = []
    wrong: list[Problem] = []
    for index, one in enumerate(value):
        try:
            if entries.setdefault(network_of(one), index) != index and len(repeated) < MOST_TOLD:
                repeated.append(index)
        except Problem as problem:
            wrong.append(Problem((index,), problem.message, problem.hint))
            if len(wrong) == MOST_TOLD:
                break
    if error := problems(wrong):
        raise error
    return pack(entries, tuple(repeated))


def _hosts(value: Any) -> Hosts:
    if isinstance(value, list) and len(value) > MOST_WRITTEN:
        told = f"holds {len(value)} entries, and {MOST_WRITTEN} are the most"
        raise Problem((), told, "give many addresses a name below 'groups:' and write '@NAME'")
    return Hosts(_WRITTEN.validate_python(value))


_WRITTEN: TypeAdapter[tuple[Network | str, ...]] = TypeAdapter(
    Annotated[tuple[Annotated[Network | str, PlainValidator(_host)], ...], Field(min_length=1, max_length=MOST_WRITTEN)]
)
Addresses = Annotated[
    Group,
    PlainValidator(_group),
    PlainSerializer(lambda group: [word_of(n) for n in group.networks()], return_type=list[str]),
]
HostList = Annotated[Hosts, PlainValidator(_hosts), PlainSerializer(lambda hosts: hosts.words(), return_type=list[str])]
