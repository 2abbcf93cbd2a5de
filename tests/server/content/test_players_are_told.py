"""What a screen is told with an answer (CMSD): the object, the box, the connection, and how much of the line it may take."""

import http_sf
import pytest

from tests.server.content import media

pytestmark = pytest.mark.server
LARGE, SMALL = media.sized(200_000), media.sized(20_000)


def told(reply):
    ((name, values),) = http_sf.parse(reply.headers["CMSD-Dynamic"].encode(), tltype="list")
    return name, values


def test_a_segment_says_what_it_is_and_how_the_line_is(chain, until):
    """Of a large one also what the kernel knows of the connection; nothing of that in a playlist or in a refusal."""
    chain.publish({"1.m4s": LARGE, "2.m4s": SMALL, "index.m3u8": b"#EXTM3U\n#EXTINF:1,\n1.m4s\n"}, entry="index.m3u8")
    reply = chain.play("1.m4s")
    assert reply.headers["CMSD-Static"] == "sf=h,st=v"
    name, values = told(reply)
    assert name == "testbox"
    assert {"rtt", "rd"} <= set(values)
    assert "mb" not in values
    assert "CMSD-Dynamic" in reply.headers["Access-Control-Expose-Headers"]
    assert "CMSD-Dynamic" not in chain.play("2.m4s").headers
    playlist = chain.play("index.m3u8")
    assert playlist.headers["CMSD-Static"] == "ot=m,sf=h,st=v"
    assert "CMSD-Dynamic" not in playlist.headers
    assert "CMSD-Static" not in chain.play("absent.m4s").headers


def test_players_of_a_zone_share_its_line(chain, until):
    """One has nine tenths of it; two that tell of themselves half of that each; the other zone's line is not known."""
    chain.publish({"1.m4s": LARGE, "2.m4s": SMALL})
    chain.write_policy(lambda text: text + "lines: {bigscreen: 4000000}\n")
    chain.reload("exchange", "delivery-bigscreen", "delivery-smallscreen")
    until(lambda: "mb=3600" in chain.play("2.m4s").headers.get("CMSD-Dynamic", ""), "the line is known")
    for session in "ab":
        chain.play(f"1.m4s?CMCD=sid%3D%22{session}%22")
    assert told(chain.play("1.m4s"))[1]["mb"] == 1800
    until(lambda: told(chain.play("1.m4s"))[1].get("du"), "the line is full")
    assert "mb" not in told(chain.play("1.m4s", zone="smallscreen"))[1]
    assert chain.origin.asked[next(path for path in chain.origin.asked if path.endswith("1.m4s"))] == 1
