"""What the kernel of this box runs in a zone, as root: dumped in its namespace, and asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from gateway.isolation import netns
from gateway.isolation.netns import KernelFailed
from gateway.isolation.policy import Policy
from gateway.isolation.proof import dump
from gateway.isolation.proof.ask import Answer, ask
from gateway.isolation.proof.dumped import Dump
from gateway.isolation.question import Question
from gateway.isolation.topology import PORT, Seen

if TYPE_CHECKING:
    from gateway.isolation.kernel import Kernel


@dataclass(frozen=True)
class Told:
    """What the running kernel does with an opening, and whether the policy says the same."""

    answer: Answer
    agrees: bool

    def __str__(self) -> str:
        word = "lets it through" if self.answer.allowed else "drops it"
        packet = " ".join(f"{name} {value}" for name, value in self.answer.packet.items())
        rule = f"rule '{self.answer.rule}' of {self.answer.hook}" if self.answer.rule else self.answer.hook
        sentence = f"the running kernel {word}: {rule}" + (f" ({packet})" if packet else "")
        if self.answer.unknown:
            return f"{sentence}; but it also holds what nothing explains: {'; '.join(self.answer.unknown)}"
        return f"{sentence}, " + ("as the policy says" if self.agrees else "NOT as the policy says")

    def as_json(self) -> Mapping[str, object]:
        """Return it for a program."""
        return {**asdict(self.answer), "agrees": self.agrees}


def take(namespace: str, known: Dump | None = None) -> Dump:
    """Return the ruleset in a namespace; ``known`` again while it has not changed.

    Raises:
        KernelFailed: there is no such namespace, or its ruleset cannot be read.
    """
    try:
        return netns.inside(namespace, lambda: dump.take(known=known))
    except (OSError, dump.Restless) as error:
        raise KernelFailed(f"the ruleset of namespace '{namespace}' cannot be read: {error}") from error


def beside(kernel: Kernel, zone: str, space: Seen, known: Dump | None = None) -> Dump:
    """Return the ruleset of a zone beside what ``kernel`` saw of it; ``known`` itself while nothing has changed since.

    Raises:
        KernelFailed: it cannot be read.
    """

    def read() -> Dump:
        if known is not None and known.generation == space.generation:
            return dump.take(known=known)  # a change that moves no generation is found here as well
        return dump.beside(space.rules.elements, space.generation)

    try:
        return kernel.inside(zone, read)
    except (OSError, dump.Restless) as error:
        raise KernelFailed(f"the ruleset of {zone or 'home'} cannot be read: {error}") from error


def explain(policy: Policy, asked: Question, *, allowed: bool, prefix: str = "") -> Told:
    """Return what the kernel does with ``asked``, of which the policy says ``allowed``; namespaces are named ``prefix + zone``.

    Raises:
        KernelFailed: the box has no such zone, or its kernel does not show it.
    """
    zone = asked.source.zone or asked.target.zone or ""
    if zone not in policy.zones:
        raise KernelFailed(f"this box has no zone '{zone}'")
    answer = ask(policy, PORT, {zone: take(prefix + zone)}, asked)
    return Told(answer, agrees=answer.allowed == allowed and not answer.unknown)
