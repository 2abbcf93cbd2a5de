"""The rules' skeleton by z3: large sets stand for themselves, unopened; what then holds, holds whatever is in them.

``prove`` asks ``python -m gateway.isolation.proof.skeleton``, a process without privileges, whether live and intended rules are one, and
whether each of the policy's claims holds. No answer is a failure.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from gateway.isolation.proof import aside
from gateway.isolation.proof.space import FIELDS

if TYPE_CHECKING:
    from gateway.isolation.evidence import Proof
    from gateway.isolation.policy import Policy
    from gateway.isolation.proof.dumped import Dump
    from gateway.isolation.ruleset import Rules

SECONDS = 60.0
MIB = 4096  # of address space, of which z3 asks for more than it uses


def prove(policy: Policy, zone: str, device: str | None, rules: Rules | Dump, *, seconds: float = SECONDS) -> Proof:
    """Return what z3 says of ``rules``; with ``zone`` empty, of those of the initial namespace."""
    from gateway.isolation.evidence import Proof
    from gateway.isolation.proof import claims, intended
    from gateway.isolation.proof.prove import differences, read
    from gateway.isolation.proof.rules import at
    from gateway.isolation.proof.written import rules_as_json, values_as_json

    start = time.perf_counter()
    wanted = intended.of_zone(policy, zone, device) if zone else intended.of_lock()
    stated = claims.of_zone(policy, zone, device) if zone else claims.of_lock()
    live = read(rules, wanted)
    unknown = list(live.unknown)

    def needs(one: Any) -> list[Any]:
        return [[name, values_as_json(values)] for name, values in one]

    request = {
        "hooks": {
            hook: [rules_as_json(at(hook, rules)) for rules in (live.hooks[hook], wanted.hooks[hook])]
            for hook in wanted.hooks
        },
        "claims": [[c.hook, c.says, needs(c.about), [needs(one) for one in c.only]] for c in stated],
    }
    found: tuple[Any, ...] = ()
    try:
        answer = aside.ask("gateway.isolation.proof.skeleton", request, seconds=seconds, mib=MIB)
        unknown += [f"z3: {sentence}" for sentence in answer["not shown"]]
        if not isinstance(answer["shown"], int) or answer["shown"] + len(answer["not shown"]) != len(
            wanted.hooks
        ) + len(stated):
            unknown.append("z3: it did not answer every question")
        if answer["not shown"]:
            found = tuple(differences(policy, zone, wanted, live))
    except (aside.Failed, KeyError, TypeError) as error:
        unknown.append(f"z3: {error}")
    took = time.perf_counter() - start
    return Proof(zone, "skeleton", not unknown, found, tuple(unknown), live.rules, live.elements, took)


def load() -> None:
    """Load the solver, with all that it loads at its first question."""
    import z3

    solver = z3.Solver()
    solver.add(z3.BitVec("x", 8) == 1)
    solver.check()


def answer(request: aside.Answer) -> aside.Answer:
    """In the engine's process: return how many questions hold for every packet, and in words those that do not."""
    # Here, since z3 is large and only this process needs it.
    import z3

    solver = _Solver(z3)
    shown, failed = 0, []
    for sentence, broken in solver.questions(request):
        packet = solver.packet(broken)
        shown += packet is None
        if packet is not None:
            failed.append(f"{sentence}: not for {packet}")
    return {"shown": shown, "not shown": failed}


class _Solver:
    """Rules and claims as formulas over bit vectors."""

    def __init__(self, z3: Any) -> None:
        self.z3 = z3
        self.fields: dict[str, Any] = {}
        self.sets: dict[tuple[str, str], Any] = {}

    def questions(self, request: aside.Answer) -> Iterator[tuple[str, Any]]:
        """Yield a sentence, and the formula that some packet fulfils only if it is wrong."""
        live = {}
        for hook, (found, wanted) in request["hooks"].items():
            live[hook] = self.accepts(found)
            yield f"{hook} does what the policy means", live[hook] != self.accepts(wanted)
        for hook, says, about, only in request["claims"]:
            good = self.z3.Or([self.all_of(needs) for needs in only])
            yield f"{hook}: {says}", self.z3.And(live[hook], self.all_of(about), self.z3.Not(good))

    def accepts(self, rules: list[Any]) -> Any:
        """Return the formula of the packets that the first rule that matches accepts."""
        told: Any = self.z3.BoolVal(False)
        for accept, _, needs in reversed(rules):
            told = self.z3.If(self.all_of(needs), self.z3.BoolVal(accept), told)
        return told

    def all_of(self, needs: list[Any]) -> Any:
        """Return the formula of the packets that have all that is needed."""
        return self.z3.And([self._among(name, *values) for name, values in needs])

    def _among(self, name: str, ranges: list[Any], digests: list[str], inverted: bool) -> Any:
        value = self._field(name)
        found = [self._between(value, first, last) for first, last in ranges]
        found += [self._set(name, digest)(value) for digest in digests]
        held = self.z3.Or(found)
        return self.z3.Not(held) if inverted else held

    def _between(self, value: Any, first: int, last: int) -> Any:
        if first == last:
            return value == first
        return self.z3.And(self.z3.UGE(value, first), self.z3.ULE(value, last))

    def _field(self, name: str) -> Any:
        if name not in self.fields:
            self.fields[name] = self.z3.BitVec(name, max(1, FIELDS[name].bits))
        return self.fields[name]

    def _set(self, name: str, digest: str) -> Any:
        bits = FIELDS[name].bits
        key = (str(bits), digest)
        if key not in self.sets:
            self.sets[key] = self.z3.Function(
                f"set {digest[:12]} of {bits}", self.z3.BitVecSort(bits), self.z3.BoolSort()
            )
        return self.sets[key]

    def packet(self, formula: Any) -> str | None:
        """Return a packet that fulfils ``formula``, in words; None if there is none.

        Raises:
            RuntimeError: the solver cannot say.
        """
        solver = self.z3.Solver()
        solver.add(formula)
        solver.add([self.z3.ULE(value, FIELDS[name].top) for name, value in self.fields.items()])
        result = solver.check()
        if result == self.z3.unsat:
            return None
        if result != self.z3.sat:
            raise RuntimeError(f"the solver does not know: {solver.reason_unknown()}")
        model = solver.model()
        told = {name: model[value].as_long() for name, value in self.fields.items() if model[value] is not None}
        return " ".join(f"{FIELDS[name].shown} {FIELDS[name].word(value)}" for name, value in told.items())


if __name__ == "__main__":
    aside.serve(load, answer)
