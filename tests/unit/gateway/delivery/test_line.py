"""A zone's line is shared, and known to be full; of a connection the kernel tells."""

import asyncio

from gateway.delivery.line import SPAN, Line, look


class Time:
    now = 100.0

    def __call__(self):
        return self.now


def test_players_share_a_line():
    """Nine tenths of it, each as much as the others; nobody is told anything of a line that nobody knows."""
    line = Line(10_000_000)
    assert [line.share(players) for players in (0, 1, 3)] == [9_000_000, 9_000_000, 3_000_000]
    assert Line().share(5) == 0


def test_a_line_is_full_by_what_went_over_it_lately():
    """Five seconds at its rate fill it; some seconds of quiet and it is free again."""
    time = Time()
    line = Line(8_000_000, time)
    line.sent(int(1_000_000 * SPAN * 0.8))
    assert not line.loaded()
    line.sent(int(1_000_000 * SPAN * 0.2))
    assert line.loaded()
    time.now += SPAN
    assert line.loaded()
    time.now += 2 * SPAN
    assert not line.loaded()


def test_the_kernel_tells_how_a_connection_is():
    """A real one on loopback, that carried a megabyte: a round trip below a second, and a rate."""

    async def carry():
        async def take(reader, writer):
            await reader.readexactly(1 << 20)
            writer.write(b"done")
            await writer.drain()
            writer.close()

        server = await asyncio.start_server(take, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(bytes(1 << 20))
        assert await reader.readexactly(4) == b"done"
        link = look(writer.transport)
        writer.close()
        server.close()
        return link

    link = asyncio.run(carry())
    assert 0 < link.rtt < 1
    assert link.rate > 0
    assert look(None) is None
