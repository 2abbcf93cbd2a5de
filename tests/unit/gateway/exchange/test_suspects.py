"""Objects that somebody could not read wait for being read again: each once, in order, and not too many."""

import asyncio

from gateway.exchange.suspects import MOST, Suspects


async def test_each_waits_once_in_order():
    """However many screens met the same fault."""
    suspects = Suspects()
    for digest in ("b", "a", "b", "b"):
        suspects.tell(digest)
    assert [await suspects.next() for _ in range(2)] == ["b", "a"]
    waiting = asyncio.ensure_future(suspects.next())
    await asyncio.sleep(0)
    assert not waiting.done()
    suspects.tell("c")
    assert await waiting == "c"


async def test_too_many_are_left_to_scrubbing():
    """A peer that tells of everything it may have takes no more memory than that."""
    suspects = Suspects()
    for number in range(MOST * 2):
        suspects.tell(str(number))
    assert [await suspects.next() for _ in range(MOST)] == [str(number) for number in range(MOST)]
    waiting = asyncio.ensure_future(suspects.next())
    await asyncio.sleep(0)
    assert not waiting.done()
    waiting.cancel()
