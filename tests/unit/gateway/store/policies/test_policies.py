"""The policies against naive ones written from the papers, and the two shelves against each other."""

import hashlib
from collections import OrderedDict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.store.index import Coming, Index
from gateway.store.policies import DEFAULT, KNOWN
from gateway.store.shelf import Cache

SIZES = {key: 1 + key % 4 for key in range(30)}
TRACES = st.lists(st.integers(0, 29), max_size=300)
CAPACITY = 20


def naive_lru(trace):
    held, hits = OrderedDict(), []
    for key in trace:
        hits.append(key in held)
        if key in held:
            held.move_to_end(key)
            continue
        while sum(held.values()) + SIZES[key] > CAPACITY:
            held.popitem(last=False)
        held[key] = SIZES[key]
    return hits, set(held)


def naive_sieve(trace):
    """A list with the newest at the left, as the paper draws it; the hand is a key and goes from right to left."""
    queue, visited, hits, hand = [], {}, [], None
    for key in trace:
        hits.append(key in visited)
        if key in visited:
            visited[key] = True
            continue
        while sum(SIZES[k] for k in queue) + SIZES[key] > CAPACITY:
            at = queue.index(hand) if hand is not None else len(queue) - 1
            while visited[queue[at]]:
                visited[queue[at]] = False
                at = at - 1 if at > 0 else len(queue) - 1
            hand = queue[at - 1] if at > 0 else None
            del visited[queue[at]]
            del queue[at]
        queue.insert(0, key)
        visited[key] = False
    return hits, set(queue)


def naive_s3fifo(trace):
    """Three lists, the oldest first."""
    small, main, ghost, uses, hits = [], [], [], {}, []

    def weight(keys):
        return sum(SIZES[key] for key in keys)

    for key in trace:
        hits.append(key in uses)
        if key in uses:
            uses[key] = min(3, uses[key] + 1)
            continue
        while weight(small) + weight(main) + SIZES[key] > CAPACITY:
            if small and weight(small) >= 0.1 * (weight(small) + weight(main)):
                first = small.pop(0)
                if uses[first] >= 2:
                    main.append(first)
                    uses[first] = 0
                    continue
                del uses[first]
                ghost.append(first)
                while weight(ghost) > weight(small) + weight(main) + SIZES[first]:
                    ghost.pop(0)
            elif main:
                first = main.pop(0)
                if uses[first]:
                    main.append(first)
                    uses[first] -= 1
                else:
                    del uses[first]
            else:
                del uses[small.pop(0)]
        if key in ghost:
            ghost.remove(key)
            main.append(key)
        else:
            small.append(key)
        uses[key] = 0
    return hits, set(uses)


NAIVE = {"lru": naive_lru, "sieve": naive_sieve, "s3-fifo": naive_s3fifo}


@pytest.mark.parametrize("name", sorted(KNOWN))
@given(trace=TRACES)
def test_policy_does_what_the_paper_says(name, trace):
    """On any trace the same requests are hits, and the same objects are left."""
    cache = Cache(KNOWN[name], CAPACITY)
    hits = [cache.access(key, SIZES[key]) for key in trace]
    assert (hits, {key for key in SIZES if key in cache}) == NAIVE[name](trace)


class IndexCache:
    """The index on disk, used as ``Cache`` is."""

    def __init__(self, folder, keep):
        self.index = Index(folder, keep)

    def access(self, key, size):
        digest = hashlib.sha256(bytes([key])).hexdigest()
        if self.index.needed(digest):
            self.index.use({digest: ["code"]})
            return True
        if (excess := self.index.bytes() + size - CAPACITY) > 0:
            self.index.choose(excess)
        self.index.add([Coming(digest, size, "library", "bigscreen", "code")])
        return False


@pytest.mark.parametrize("name", sorted(KNOWN))
@settings(max_examples=15, deadline=None)
@given(trace=TRACES)
def test_index_keeps_what_the_shadow_keeps(tmp_path_factory, name, trace):
    """The rows of the index and the lists in memory are the same shelf: the same hits on any trace."""
    rows = IndexCache(tmp_path_factory.mktemp("index"), KNOWN[name])
    lists = Cache(KNOWN[name], CAPACITY)
    try:
        for key in trace:
            assert rows.access(key, SIZES[key]) == lists.access(key, SIZES[key])
        assert rows.index.bytes() == lists.bytes
    finally:
        rows.index.close()


@given(trace=st.lists(st.tuples(st.sampled_from(sorted(KNOWN)), st.integers(0, 29)), max_size=300))
def test_policy_may_change_at_any_moment(trace):
    """Whichever policy follows which, the capacity holds and what was just asked for is there."""
    cache = Cache(KNOWN[DEFAULT], CAPACITY)
    for name, key in trace:
        cache.keep = KNOWN[name]
        cache.access(key, SIZES[key])
        assert key in cache
        assert cache.bytes <= CAPACITY
        assert cache.bytes == sum(SIZES[one] for one in SIZES if one in cache)


def test_sieve_is_the_default():
    """Without traffic to judge by, SIEVE says what is kept."""
    assert DEFAULT == "sieve"
