"""The socket to a namespace's nftables: transactions, dumps, single questions."""

from __future__ import annotations

import errno

from gateway.isolation.nfnl import elements, requests
from gateway.isolation.nfnl.messages import (
    ERROR,
    NETLINK_NETFILTER,
    NFTABLES,
    Message,
    batch,
    failure,
    messages,
    nf_body,
    text,
)
from gateway.isolation.nfnl.netlink import MOST_TRIES, Changed, Netlink
from gateway.isolation.nfnl.requests import FAMILIES, Counter, Named, Part, Table


class Link(Netlink):
    """One socket of nftables; tables that it owns are orphaned when it is closed."""

    def __init__(self, descriptor: int | None = None) -> None:
        super().__init__(NETLINK_NETFILTER, descriptor)

    def commit(self, parts: list[Part], generation: int | None = None) -> None:
        """Make all changes of ``parts`` in one transaction, or none; with ``generation`` only in that very ruleset.

        Raises:
            Changed: the ruleset has another generation.
            OSError: the kernel refused it.
        """
        for number in self.errors(parts, generation):
            if number:
                raise failure(number, "nftables transaction")

    def errors(self, parts: list[Part], generation: int | None = None) -> list[int]:
        """Try a transaction and return the error of each of its parts; it was made if none has any.

        Raises:
            Changed: the ruleset has another generation.
            OSError: the kernel refused it as a whole.
        """
        data, numbers = batch(parts, self.take(len(parts) + 2), generation)
        self.send(data)
        told: dict[int, int] = {}
        while len(told) < len(parts):
            for answer in messages(self.receive()):
                if answer.kind != ERROR or answer.sequence not in numbers:
                    continue
                if answer.sequence != numbers.start:
                    told[answer.sequence] = answer.error
                elif answer.error == errno.ERESTART:
                    raise Changed
                else:
                    raise failure(answer.error, "nftables transaction")
        return [told[number] for number in sorted(told)]

    def generation(self) -> int:
        """Return the number that grows with each change of the ruleset.

        Raises:
            OSError: the kernel does not tell.
        """
        return requests.generation_of(self._ask(requests.GETGEN, "unspec", b"").body)[0]

    def tables(self) -> list[Table]:
        """Return all tables.

        Raises:
            OSError: the kernel does not tell.
        """
        return sorted(requests.table_of(answer.body) for answer in self._all(requests.GETTABLE, "unspec", b""))

    def named(self) -> list[Named]:
        """Return all chains, named sets and other objects of all tables.

        Raises:
            OSError: the kernel does not tell.
        """
        found = [requests.chain_of(answer.body) for answer in self._all(requests.GETCHAIN, "unspec", b"")]
        sets = [requests.set_of(answer.body) for answer in self._all(requests.GETSET, "unspec", b"")]
        found += [one for one in sets if one is not None]
        for kind in (requests.GETOBJ, requests.GETFLOWTABLE):
            found += [requests.other_of(answer.body) for answer in self._all(kind, "unspec", b"")]
        return sorted(found)

    def counters(self, family: str, table: str) -> list[Counter]:
        """Return the counters of a table's rules, in order.

        Raises:
            OSError: the kernel does not tell.
        """
        told = self._all(requests.GETRULE, family, text(1, table))
        return [counter for answer in told for counter in requests.counters_of(answer.body)]

    def elements(self, family: str, table: str, name: str, size: int) -> tuple[bytes, list[str]]:
        """Return a set's elements, packed and in order, and in words those that are more than a key.

        Raises:
            OSError: the kernel does not tell.
        """
        for _ in range(MOST_TRIES):
            parts: list[bytes] = []
            odd: list[str] = []
            for answer in self._all(requests.GETSETELEM, family, requests.named_set(table, name)):
                plain, more = elements.keys_of(answer.body, size)
                parts.append(plain)
                odd += more
            packed = elements.in_order(parts, size)
            told, counted = len(packed) // size + len(odd), self.count(family, table, name)
            if counted in (None, told) and not elements.repeated(packed, size):
                return packed, odd
        raise failure(errno.EINTR, f"set {name} has {counted} elements, but its dump {told}")

    def holds(self, family: str, table: str, name: str, key: bytes) -> bool:
        """Return whether a set has an element.

        Raises:
            OSError: the kernel does not tell, or there is no such set.
        """
        try:
            self._ask(requests.GETSETELEM, family, elements.question(table, name, key))
        except OSError as error:
            if error.errno != errno.ENOENT:
                raise
            self.count(family, table, name)  # or it is the set that is not there
            return False
        return True

    def count(self, family: str, table: str, name: str) -> int | None:
        """Return how many elements a set has, None where the kernel does not say.

        Raises:
            OSError: the kernel does not tell, or there is no such set.
        """
        return requests.count_of(self._ask(requests.GETSET, family, requests.named_set(table, name)).body)

    def _ask(self, kind: int, family: str, body: bytes) -> Message:
        answer = self.one(NFTABLES << 8 | kind, nf_body(FAMILIES[family], body))
        if answer is None:
            raise failure(errno.ENODATA, "nftables question")
        return answer

    def _all(self, kind: int, family: str, body: bytes) -> list[Message]:
        return self.whole(NFTABLES << 8 | kind, nf_body(FAMILIES[family], body))
