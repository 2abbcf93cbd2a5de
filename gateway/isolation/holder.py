"""Holds one namespace's ruleset: reads it whole, knows its generation, changes it, and owns its tables where the kernel lets it.

What was read once stays known while the generation does not move, and through one's own changes: each is made on the condition that the
ruleset is still the one that is known, so that afterwards it is known without being read again.
"""

from __future__ import annotations

import errno
import threading
from dataclasses import dataclass, replace
from pathlib import Path

from appliance.runtime import command
from appliance.runtime.command import CommandFailed
from gateway.isolation import listing
from gateway.isolation.listing import Change
from gateway.isolation.netns import KernelFailed
from gateway.isolation.nfnl import elements, requests
from gateway.isolation.nfnl.link import Link
from gateway.isolation.nfnl.messages import failure
from gateway.isolation.nfnl.netlink import Changed
from gateway.isolation.nfnl.requests import OWNER, PERSIST, Counter, Table
from gateway.isolation.nft import Context
from gateway.isolation.replacement import replacement
from gateway.isolation.ruleset import TABLE, Rules

TRIES = 8  # of reading a ruleset that others change meanwhile
VERIFIED = 16  # elements of a change that are asked for one by one after it


@dataclass(frozen=True)
class Known:
    """A ruleset as it was read, and the generation it had."""

    rules: Rules
    tables: tuple[Table, ...]
    generation: int


class Holder:
    """The ruleset of the namespace in which it is made; with ``own`` it takes its tables for itself."""

    def __init__(self, *, own: bool) -> None:
        self.inode = Path("/proc/thread-self/ns/net").stat().st_ino
        self.lock = threading.Lock()  # whoever uses it takes this first: answers on a socket are for whoever asked last
        self.link = Link()
        self._context: Context | None = None
        self.known: Known | None = None
        self.can_own = own and self._can_own()

    def close(self) -> None:
        """Let go of the ruleset; its tables stay."""
        if self._context is not None:
            self._context.close()
        self.link.close()

    @property
    def owning(self) -> bool:
        """Whether all our tables there are ours alone."""
        ours = [table for table in self.link.tables() if table.name == TABLE]
        return bool(ours) and all(table.owner == self.link.port for table in ours)

    def read(self, *, fresh: bool) -> Known:
        """Return the ruleset; unless ``fresh``, as it is known if its generation has not moved.

        Raises:
            KernelFailed: the kernel does not show it, or others change it all the time.
            OSError: the same.
        """
        generation = self.link.generation()
        if self.known is not None and not fresh and self.known.generation == generation:
            return self.known
        for _ in range(TRIES):
            tables, failed = tuple(self.link.tables()), None
            try:
                rules = self._rules(tables)
            except (CommandFailed, OSError, ValueError) as error:
                failed = error
            before, generation = generation, self.link.generation()
            if before == generation:
                if failed is not None:
                    raise KernelFailed(f"the ruleset cannot be listed: {failed}") from failed
                self.known = Known(rules, tables, generation)
                return self.known
        raise KernelFailed("somebody changes the ruleset all the time: it cannot be read whole")

    def load(self, wanted: Rules, foreign: tuple[tuple[str, str], ...]) -> None:
        """Put ``wanted`` in place of what is there, and ``foreign`` tables out.

        Raises:
            KernelFailed: the kernel refused it, or a foreign table has an owner and cannot be removed.
            OSError: the same.
        """
        context = self._writer()
        seen = self.read(fresh=True)
        self.known = None
        # An owner that is gone leaves a table that anybody may change, as do tables of a kernel without owners.
        others = {(t.family, t.name): t.owner for t in seen.tables if t.owner not in (0, self.link.port)}
        theirs = [table for table in foreign if table in others]
        anew = frozenset(self._adopt(seen.tables)) if self.can_own else frozenset[str]()
        anew |= listing.odd_families(seen.rules)
        flags = OWNER | PERSIST if self.can_own else 0
        removable = tuple(table for table in foreign if table not in others)
        for step in replacement(wanted, seen.rules, flags, anew, removable):
            if step.first:
                self.link.commit(list(step.first))
            context.run(list(step.then))
        if theirs:
            told = ", ".join(f"{family} {name} (of {_process(others[family, name])})" for family, name in theirs)
            raise KernelFailed(f"foreign tables are owned by others and cannot be removed: {told}")

    def change(self, wanted: tuple[Change, ...]) -> None:
        """Add and remove single elements, in one transaction.

        Raises:
            KernelFailed: the kernel has it otherwise afterwards.
            OSError: it refused.
        """
        self._writer()
        known = self.known or self.read(fresh=True)
        try:
            self.link.commit(_parts(wanted), known.generation)
        except Changed:
            # Somebody was faster: what is there now decides which elements there are to remove.
            known = self.read(fresh=True)
            wanted = tuple(_still(change, known.rules) for change in wanted)
            self.link.commit(_parts(wanted), known.generation)
        finally:
            self.known = None
        rules = known.rules
        packed = {
            (c.family, c.name): elements.changed(rules.elements[c.family, c.name], c.add, c.drop, c.size)
            for c in wanted
        }
        self._verify(wanted, packed)
        if self.link.generation() == known.generation + 1:
            self.known = replace(known, rules=rules.with_elements(packed), generation=known.generation + 1)

    def adopt(self) -> None:
        """Take our tables for ourselves, where nobody owns them.

        Raises:
            KernelFailed: they must be loaded anew for that.
            OSError: the kernel refused.
        """
        self._writer()
        if anew := self._adopt(tuple(self.link.tables())):
            raise KernelFailed(
                f"our tables {', '.join(anew)} were made without an owner: they must be loaded anew to have one"
            )
        self.known = None

    def counters(self) -> list[Counter]:
        """Return the counters of our rules.

        Raises:
            OSError: the kernel does not tell.
        """
        ours = [table for table in self.link.tables() if table.name == TABLE]
        return [counter for table in ours for counter in self.link.counters(table.family, TABLE)]

    def _writer(self) -> Context:
        """Return the context through which the ruleset is written; from the first one on, its socket is the one of all."""
        if self._context is None:
            self._context = Context()
            self.link.close()
            self.link = self._context.link
        return self._context

    def _rules(self, tables: tuple[Table, ...]) -> Rules:
        named = self.link.named()
        # By a program of its own: it may end as it likes, and is another reader than the library that wrote.
        answers = [command.run(["nft", "-j", "-t", asked]) for asked in listing.questions(tables, named)]
        objects = listing.assemble(tables, named, answers)
        packed, odd = {}, {}
        for family, name, size in listing.plain_sets(objects):
            packed[family, name], odd[family, name] = self.link.elements(family, TABLE, name, size)
        return Rules(listing.with_odd(objects, odd), packed)

    def _adopt(self, tables: tuple[Table, ...]) -> list[str]:
        """Take over our tables and return the families of those that were made without an owner and cannot have one."""
        anew = []
        for table in tables:
            if table.name == TABLE and table.owner != self.link.port:
                (error,) = self.link.errors([requests.new_table(table.family, TABLE, OWNER | PERSIST)])
                if error == errno.EOPNOTSUPP:
                    anew.append(table.family)
                elif error == errno.EPERM:
                    raise KernelFailed(
                        f"our table {table.family} {TABLE} is owned by {_process(table.owner)}: is a second guard running?"
                    )
                elif error:
                    raise failure(error, f"table {table.family} {TABLE} cannot be taken over")
        return anew

    def _verify(self, wanted: tuple[Change, ...], packed: dict[tuple[str, str], bytes]) -> None:
        for change in wanted:
            for keys, there in ((change.add, True), (change.drop, False)):
                for place in range(0, min(len(keys), VERIFIED * change.size), change.size):
                    key = keys[place : place + change.size]
                    if self.link.holds(change.family, TABLE, change.name, key) is not there:
                        raise KernelFailed(
                            f"{listing.words(key, change.size)} is {'not ' if there else ''}in set {change.name} after the change"
                        )
            count = self.link.count(change.family, TABLE, change.name)
            if count not in (None, len(packed[change.family, change.name]) // change.size):
                raise KernelFailed(f"set {change.name} has {count} elements after the change")

    def _can_own(self) -> bool:
        """Ask the kernel by a transaction that fails in any case: its second part removes what is not there."""
        name = f"{TABLE}-trial"
        mine, _ = self.link.errors(
            [requests.new_table("inet", name, OWNER | PERSIST), requests.delete_table("inet", f"{name}s")]
        )
        return mine == 0


def _parts(wanted: tuple[Change, ...]) -> list[requests.Part]:
    parts: list[requests.Part] = []
    for change in wanted:
        parts += elements.removed(change.family, TABLE, change.name, change.drop, change.size)
        parts += elements.added(change.family, TABLE, change.name, change.add, change.size)
    return parts


def _still(change: Change, rules: Rules) -> Change:
    """Return a change without the removal of what is not there."""
    there = rules.elements.get((change.family, change.name), b"")
    absent, _ = elements.difference(change.drop, there, change.size)
    return replace(change, drop=elements.changed(change.drop, b"", absent, change.size))


def _process(port: int) -> str:
    """Return who has a netlink port in words; it is the process id where that process has but one such socket."""
    try:
        return f"process {port} ({Path(f'/proc/{port}/comm').read_text().strip()})"
    except OSError:
        return f"netlink port {port}"
