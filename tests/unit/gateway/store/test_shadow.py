"""The shadows see which policy would serve most of this box's traffic, and choose it without wavering."""

import itertools
import random

import pytest

from gateway.store.policies import KNOWN
from gateway.store.shadow import AHEAD, BUCKET, BUCKETS, HOLD, LEAST_SEEN, Shadows, one_in

SIZE = 1 << 20
ROOM = 100 * SIZE


def digest(number):
    return f"{number:064x}"


def evenings():
    """Recency: what is watched now is watched again soon, and never after; new titles come all the time."""
    rng = random.Random(1)
    return [now // 20 + int(rng.expovariate(1 / 45)) for now in range(60_000)]


def once_and_loved():
    """Half of all is asked for once; the other half are 150 that everybody loves."""
    rng = random.Random(2)
    return [rng.randrange(150) if rng.random() < 0.5 else 1000 + now for now in range(40_000)]


def loops():
    """The same 130 again and again, one more than a pass can hold."""
    return [now % 130 for now in range(30_000)]


def played(trace, **told):
    shadows = Shadows(ROOM, share=1, **told)
    for now, key in enumerate(trace):
        shadows.use(digest(key), SIZE, SIZE, float(now))
    return shadows


def ratios_of(trace):
    from gateway.store.shelf import Cache

    caches = {name: Cache(keep, ROOM) for name, keep in KNOWN.items()}
    return {name: sum(cache.access(key, SIZE) for key in trace) / len(trace) for name, cache in caches.items()}


@pytest.mark.parametrize("trace", [evenings, once_and_loved, loops])
def test_the_best_for_the_traffic_is_chosen(trace):
    """After a few hours the choice serves, within the margin, what the best of the three would."""
    shadows = played(trace())
    whole = ratios_of(trace())
    assert whole[shadows.choice] >= max(whole.values()) - 2 * AHEAD, (shadows.choice, whole)


def test_each_policy_is_best_somewhere():
    """The three traces are of three kinds: else the choosing would not be tested."""
    best = [max(found := ratios_of(trace()), key=found.get) for trace in (evenings, once_and_loved, loops)]
    assert set(best) == set(KNOWN), [ratios_of(trace()) for trace in (evenings, once_and_loved, loops)]


def test_a_fixed_policy_stays_and_its_regret_is_told():
    """Where the policy file says which, nothing is chosen, and the metric says what that costs."""
    shadows = played(loops(), choice="lru", fixed=True)
    assert shadows.choice == "lru"
    assert shadows.regret() > 0.2


def test_choice_stands_for_a_while():
    """Two changes are never nearer to each other than the hold, and a lead within the margin changes nothing."""
    rng = random.Random(3)
    shadows, changes = Shadows(ROOM, share=1), []
    for now in range(40_000):
        key = now % 130 if (now // 5000) % 2 else rng.randrange(300)
        if shadows.use(digest(key), SIZE, SIZE, float(now)):
            changes.append(now)
    assert changes
    assert all(later - before >= HOLD for before, later in itertools.pairwise(changes))


def test_too_few_uses_choose_nothing():
    """A night with few screens says nothing about policies."""
    shadows = played(loops()[: LEAST_SEEN - 1])
    assert shadows.choice == "sieve"


def test_the_window_slides():
    """What was served before the window is forgotten."""
    shadows = played([1, 1, 1])
    assert shadows.ratios()["lru"] == pytest.approx(2 / 3)
    shadows.use(digest(9), SIZE, SIZE, BUCKET * BUCKETS + 10)
    assert shadows.ratios()["lru"] == 0


def test_bytes_count_not_requests():
    """A policy is judged by the bytes that it serves: ``sent`` is what weighs."""
    shadows = Shadows(ROOM, share=1)
    for sent in (10, 1000, 0):
        shadows.use(digest(1), SIZE, sent, 0.0)
    assert shadows.ratios()["sieve"] == pytest.approx(1000 / 1010)


def test_one_key_in_so_many_is_looked_at():
    """Large stores sample one key in 64; small ones more, since few objects tell nothing."""
    assert one_in(1 << 40) == 64
    assert one_in(1 << 30) == 4
    assert one_in(1) == 1
    shadows = Shadows(64 << 30, share=64)
    for key in range(6400):
        shadows.use(digest(key), 1, 1, 0.0)
    assert len(shadows._caches["lru"]) == 100


def test_what_is_withdrawn_leaves_the_shadows():
    """A withdrawn object is no hit any more."""
    shadows = played([1])
    shadows.forget(digest(1))
    shadows.use(digest(1), SIZE, SIZE, 2.0)
    assert shadows.ratios()["lru"] == 0
