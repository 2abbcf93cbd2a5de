"""Transfers that are over are held until it is known what of them left."""

from __future__ import annotations

from gateway.delivery.front import held as holding
from gateway.delivery.front import lines
from gateway.delivery.front.held import LAG, LONGEST, SMALL, Batch, Held, Holding, alike, own
from gateway.delivery.front.opaque import Carried
from tests.unit.gateway.delivery.front.said import ended, told

SCREEN = ("10.20.0.50", 40000)
AT = 1_800_000_000.5


def over(count: int = 1, **more) -> Held:
    [said] = lines.read_all([ended("" if count > 1 else "1", **more).strip(b"\n")] * count)
    assert isinstance(said, lines.Ended)
    assert said.requests == count
    return Held(said)


def left(held: Held) -> list[int]:
    return [one for one, count in held.lefts() for _ in range(count)]


def batch(*held: Held, now: float = 0.0) -> Batch:
    return Batch(list(held), 0, 1, now)


def holding_of(*held: Held) -> Holding:
    made = Holding()
    for one in held:
        made.add(batch(one))
    return made


def test_what_never_left_is_taken_off_from_the_end_of_a_connection_backwards():
    """Content of the last answer first, then its head, then the answer before."""
    first, second, other = over(body=1000), over(body=500), over(body=700, port=40001)
    made = holding_of(first, other, second)

    assert made.never_left(SCREEN, 800, AT) == 0

    assert (left(first), left(second), left(other)) == ([900], [0], [700])
    assert (first.broken, second.broken, other.broken) == (1, 1, 0)
    assert made.never_left(SCREEN, 2000, AT) == 2000 - 1100
    assert left(first) == [0]


def test_heads_are_no_content():
    """What never left may be the heads of a later answer alone."""
    first, second = over(body=1000), over(body=0, status=304)
    made = holding_of(first, second)

    assert made.never_left(SCREEN, 150, AT) == 0
    assert (left(first), left(second)) == ([1000], [0])


def test_of_answers_that_are_alike_the_last_ones_never_left():
    """Each its content and then its head, as they went."""
    alike = over(3, body=1000, heads=200)
    made = holding_of(alike)

    assert made.never_left(SCREEN, 1500, AT) == 0

    assert (alike.lefts(), alike.broken) == ([(1000, 1), (700, 1), (0, 1)], 2)
    assert len(made) == 1


def test_answers_that_are_alike_are_counted_together():
    """Of those that nginx gave by itself."""
    some = [over(3, body=1000), over(body=500), over(body=10, done=""), over(body=7, status=206)]
    for held in some:
        held.carried = Carried("999999-1-4", "1.m4s", "library", "hit")

    assert alike(own([*some, over(body=9)])) == {
        (200, "hit", 0.25, True): (4, 3500),
        (200, "hit", 0.25, False): (1, 10),
        (206, "hit", 0.25, True): (1, 7),
    }


def test_what_is_told_together_is_let_go_together():
    """In one piece, once all of it may be."""
    made = Holding()
    made.add(batch(over(), over(body=SMALL + 1, port=40001)))

    assert made.next(LAG) is None
    made.settle({("10.20.0.50", 40001)}, LAG)
    assert made.next(LAG) is made.first
    made.pop()
    assert len(made) == 0


def test_a_later_connection_of_the_same_name_is_another_one():
    """A screen may use a port again: what was over before the connection ended is of that one."""
    before, after = over(), over(at=AT + 5)
    made = holding_of(before, after)

    assert made.never_left(SCREEN, 300, AT + 1) == 0
    assert (left(before), left(after)) == ([700], [1000])


def test_the_end_of_a_connection_is_no_byte_of_a_transfer():
    """Where nginx closed after the last answer, or delivery broke it off, a FIN waits behind what never left, if the guard counts it."""
    for said in (ended(done="OKclose"), told(then="close"), told(passed=True, length="1001")):
        for count, fin in ((301, True), (300, False)):
            closed = lines.read(said.strip(b"\n"))
            assert isinstance(closed, lines.Ended)
            last = Held(closed)
            assert holding_of(over(), last).never_left(SCREEN, count, AT, fin=fin) == 0
            assert left(last) == [700]
    broken = over(done="close")  # by the screen, before nginx could close
    assert holding_of(broken).never_left(SCREEN, 300, AT) == 0
    assert left(broken) == [700]
    first = over(done="OKclose")
    assert holding_of(first, over(at=AT + 5)).never_left(SCREEN, 1, AT) == 0
    assert (left(first), first.broken) == ([1000], 0)


def test_small_ones_are_let_go_after_a_moment_in_their_order():
    """The moment is for the kernel's word about a connection that ended."""
    made = holding_of(over())
    made.add(batch(over(), now=1.0))

    assert made.next(LAG - 0.1) is None
    assert made.next(LAG) is made.first
    made.pop()
    assert made.next(LAG) is None
    assert made.next(LAG + 1) is made.first
    made.pop()
    assert made.next(1e9) is None


def test_many_small_ones_of_one_connection_wait_as_a_large_one_does():
    """A screen may ask for many and read none of them."""
    made = holding_of(*(over(body=16 << 10) for _ in range(5)))

    assert made.unsure(LAG) == {SCREEN}
    assert made.next(LAG) is None
    made.settle({SCREEN}, LAG)
    for _ in range(5):
        assert made.next(LAG) is made.first
        made.pop()


def test_large_ones_wait_until_nothing_of_them_waits_in_the_kernel():
    """Or until they have waited long enough."""
    made = holding_of(over(body=SMALL + 1), over(body=SMALL + 1, port=40001))

    assert made.unsure(LAG - 0.1) == set()
    assert made.unsure(LAG) == {SCREEN, ("10.20.0.50", 40001)}
    assert made.next(LAG) is None
    made.settle({SCREEN}, LAG)
    assert made.next(LAG) is made.first
    made.pop()
    assert made.next(LAG) is None
    assert made.next(LONGEST) is made.first


def test_a_look_says_nothing_of_what_ended_after_it():
    """A connection that was empty a moment ago may have been given more, and have ended."""
    made = Holding()
    made.add(batch(over(body=SMALL + 1), now=5.0))
    made.settle({SCREEN}, 5.0 + LAG / 2)

    assert made.next(5.0 + LAG) is None


def test_too_many_are_let_go(monkeypatch):
    """Memory is bounded; the oldest ones go first."""
    monkeypatch.setattr(holding, "MOST", 2)
    made = holding_of(*(over() for _ in range(3)))

    assert made.next(0.0) is made.first
    made.pop()
    assert made.next(0.0) is None
