"""Who is asked, in which order: parents by rendezvous hashing, origins last. Pure.

Every box computes the same weights, so that all children of the same parents look for an object at the same one; when a parent leaves,
only what it had moves (Thaler and Ravishankar, "Using Name-Based Mappings to Increase Hit Rates", 1998).
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from appliance.runtime.errors import HeadgateError, Refused, Unreachable
from gateway.fetch.health import Health
from gateway.isolation.policy import Policy

MOST_PARENTS = 3  # asked for one thing before the origins are


@dataclass(frozen=True)
class Failure:
    """Why an upstream did not serve."""

    name: str
    error: HeadgateError

    @property
    def reason(self) -> str:
        """The word for metrics and for whoever asked."""
        return self.error.reason if isinstance(self.error, Refused) else "unreachable"


def weight(name: str, key: str) -> int:
    """Return the rendezvous weight of the parent ``name`` for ``key``; the highest one is asked first."""
    return int.from_bytes(hashlib.blake2b(f"{name}\0{key}".encode(), digest_size=8).digest(), "big")


def ranked(names: Iterable[str], key: str) -> list[str]:
    """Return ``names`` by their weight for ``key``, the highest first."""
    return sorted(names, key=lambda name: (weight(name, key), name), reverse=True)


def order(
    policy: Policy, key: str, health: Health, now: float, *, excluded: Collection[str] = (), direct: bool = False
) -> list[str]:
    """Return the upstreams to ask for ``key``, the first first; ``direct`` leaves the parents out.

    Slow parents let others go first; then origins, in the policy's order; at the very end those that rest, since nobody else is left
    (``settled`` says when even they are not worth it). Who is ``excluded`` is not asked at all, nor a parent that gave wrong bytes of this
    key lately.
    """
    names = [name for name in policy.origins if name not in excluded]
    parents = ranked(
        (n for n in names if policy.origins[n].role == "parent" and not direct and not health.is_wrong(n, key, now)),
        key,
    )
    origins = [name for name in names if policy.origins[name].role == "origin"]
    fit = {name for name in (*parents, *origins) if health.ready(name, now) and not health.is_wrong(name, key, now)}
    able = [name for name in parents if name in fit]
    able.sort(key=lambda name: health.slow(name, able, now))  # stable: equals stay by weight
    first = [*able[:MOST_PARENTS], *(name for name in origins if name in fit)]
    return [*first, *(name for name in (*origins, *parents[:MOST_PARENTS]) if name not in first)]


def settled(policy: Policy, failures: Collection[Failure]) -> bool:
    """Return whether every origin was asked and has it not: their word is final."""
    said = {failure.name for failure in failures if failure.reason == "unknown-path"}
    origins = {name for name, origin in policy.origins.items() if origin.role == "origin"}
    return bool(origins) and origins <= said


def outcome(policy: Policy, failures: Collection[Failure]) -> HeadgateError:
    """Return what the asker is told after all ``failures``.

    That nobody has it, where the origins say so. Else a refusal that says more than "I do not have it"; then that somebody who may have
    it is away; then that nobody has it.
    """
    if not failures:
        return Unreachable("the policy names nobody to ask")
    if settled(policy, failures):
        return Refused("unknown-path", "no origin has it", 404)
    told = [failure for failure in failures if failure.reason not in ("unknown-path", "unreachable", "loop")]
    away = [failure for failure in failures if failure.reason in ("unreachable", "loop")]
    chosen = (told or away or list(failures))[-1]
    sentence = f"{chosen.error} (at '{chosen.name}')"
    if isinstance(chosen.error, Refused) and chosen.reason != "loop":
        return Refused(chosen.reason, sentence, chosen.error.status)
    return Unreachable(sentence)
