"""Windows that are over: handed over once each, kept while the exchange is away."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import pytest

from appliance.runtime.errors import Refused, Unreachable
from gateway.delivery.metering import handing
from gateway.delivery.metering.delivery import What
from gateway.delivery.metering.handing import Handing, seal
from gateway.delivery.metering.window import Window


def sealed(folder, number, files=3):
    made = Window.make(folder, number, uuid4())
    for n in range(files):
        what = What("999999-100000000000001-4", f"{n}.m4s", "library", "bigscreen", "big", 200, "hit", f"s{n}")
        made.count(made.cell(what) or 0, n + 1, 1, 10, 1.8e9, 0.1, 0)
    return seal(made)


async def handed_over(folder, hand_over, lost=lambda: None):
    made = Handing(folder, hand_over, lost)
    task = asyncio.ensure_future(made.run())
    try:
        async with asyncio.timeout(20):
            await made.idle()
    finally:
        task.cancel()
        await asyncio.wait({task})
    return made


async def test_records_wait_while_the_exchange_is_away(tmp_path, monkeypatch):
    """What could not be handed over is handed over later, with the same ids, oldest first, and is gone then."""
    monkeypatch.setattr(handing, "AGAIN", 0.001)
    failures = iter(
        [Unreachable("away")] * 3 + [Refused("spool-full", "full", 507)] * 3 + [Refused("too-fast", "slow", 429)]
    )
    taken = []

    async def hand_over(records):
        if error := next(failures, None):
            raise error
        taken.extend(records)

    for number in (10, 9):
        sealed(tmp_path, number)
    made = await handed_over(tmp_path, hand_over)
    assert len({record.id for record in taken}) == len(taken) == 6
    assert (made.waiting, made.bytes, list(tmp_path.iterdir())) == (0, 0, [])


async def test_one_bad_record_does_not_hold_up_the_others(tmp_path, caplog):
    """A record that the exchange will never take is told and counted; the rest of its batch arrives."""
    taken, lost = [], []

    async def hand_over(records):
        if any(record.body["subject"] == "s1" for record in records):
            raise Refused("bad-request", "no", 400)
        taken.extend(records)

    sealed(tmp_path, 1)
    await handed_over(tmp_path, hand_over, lambda: lost.append(1))
    assert sorted(record.body["subject"] for record in taken) == ["s0", "s2"]
    assert len(lost) == 1
    assert "does not take a record of use" in caplog.text


async def test_batches_are_bounded(tmp_path):
    """No request is larger than the exchange takes."""
    sizes = []

    async def hand_over(records):
        sizes.append(sum(len(record.encode()) for record in records))

    sealed(tmp_path, 1, files=500)
    await handed_over(tmp_path, hand_over)
    assert len(sizes) > 1
    assert max(sizes) <= handing.LARGEST_BATCH


@pytest.mark.parametrize("files", [1, 1000])
async def test_the_sum_is_kept(tmp_path, files):
    """However windows become records and batches: requests and bytes are those that were counted."""
    sums = [0, 0]

    async def hand_over(records):
        for record in records:
            assert record.body["requests"] == sum(requests for requests, _ in record.body["files"].values())
            sums[0] += record.body["requests"]
            sums[1] += record.body["bytes"]

    sealed(tmp_path, 1, files)
    await handed_over(tmp_path, hand_over)
    assert sums == [files, files * 10]
