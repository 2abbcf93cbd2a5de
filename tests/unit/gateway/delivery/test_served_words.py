"""What ``headgate box status`` prints of delivery."""

import io
from dataclasses import replace

from rich.console import Console

from appliance.telemetry.served import BoxServed, Mean, Served, Title
from gateway.delivery.served_words import lines, tables

PHONES = Served(
    "smallscreen", "small", 0, 4, 1000, 900, sessions=2, begun=2, stalls=1, start=Mean(2.0, 2), bitrate=Mean(2e6, 2),
    refusals={"no-token": 1, "too-many-connections": 12_345}, titles=(Title("999999-100000000000001-4", 2, 1, Mean(2.0, 2), Mean(2e6, 2)),),
)  # fmt: skip


def printed(box):
    out = io.StringIO()
    for table in tables(box):
        Console(file=out, width=80).print(table)
    return out.getvalue()


def test_the_tables_have_every_figure():
    """Whole, of two zones, on a terminal of eighty columns."""
    text = printed(BoxServed((PHONES, replace(PHONES, zone="bigscreen"))))
    words = (
        "smallscreen",
        "90.0%",
        "no-token 1",
        "too-many-connections 12,345",
        "1.0 s",
        "1.00 Mbit/s",
        "hits by bytes",
    )
    assert all(word in text for word in (*words, "999999-100000000000001-4"))
    assert "…" not in text
    assert printed(BoxServed()) == ""


def test_what_origins_gave_is_told_beside_what_was_sent():
    """Offload where it can be said; why not where it cannot."""
    assert list(lines(BoxServed((PHONES,), 500, 1000))) == [
        "from origins 500 bytes, sent 2.0 kB (1.0 kB of it to other boxes): origin offload 75.0%"
    ]
    (apart,) = lines(BoxServed((PHONES,), 500, together=False))
    assert "started at different times" in apart
    assert "offload" not in apart
    assert list(lines(BoxServed())) == []


def test_a_zone_whose_figures_cannot_be_read_is_not_left_out_silently():
    (line,) = lines(BoxServed(unread={"delivery-bigscreen": "torn: the last line is not complete"}))
    assert line.startswith("delivery-bigscreen: its figures cannot be read and are missing here: torn")
