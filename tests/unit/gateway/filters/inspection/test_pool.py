"""Who is taken for a worker that waits, and how many."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest

from appliance.runtime import descriptors
from gateway.filters.inspection import handle
from gateway.filters.inspection.kinds import registry
from gateway.filters.inspection.pool import Nursery


@pytest.fixture
def connect(tmp_path, monkeypatch):
    """``connect(nursery)``: this process connects as a worker does, and is not ended for it."""
    monkeypatch.setattr(handle.signal, "pidfd_send_signal", lambda *_: None)
    held = []
    listener = descriptors.listener(str(tmp_path / "s"), socket.SOCK_SEQPACKET)
    listener.listen(4)

    def connect(nursery: Nursery) -> socket.socket:
        channel = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        held.append(channel)
        channel.settimeout(5)
        channel.connect(str(tmp_path / "s"))
        nursery._came(listener)
        return channel

    yield connect
    for channel in (listener, *held):
        channel.close()


async def test_one_process_is_not_taken_for_two(tmp_path, connect):
    """A process that has its object and connects again would judge the next one as well: it is sent away."""
    nursery = Nursery(tmp_path, registry.MEDIA)
    connect(nursery)
    assert nursery.idle == 1
    again = connect(nursery)
    assert again.recv(10) == b""
    assert nursery.idle == 1
    worker = await nursery.take()
    assert connect(nursery).recv(10) == b""
    worker.end()
    connect(nursery)  # its number may be another's now
    assert nursery.idle == 1
    (await nursery.take()).end()


def test_every_type_has_a_kind_and_media_needs_no_library():
    """The table of types names what is there; what is media is told by its module."""
    registry.load(registry.EVERY)
    assert set(registry._makers) == set(registry.KINDS)
    assert [t for t in registry.KINDS if registry.is_media(t)] == [
        "audio/aac", "audio/flac", "audio/mp4", "audio/mpeg", "audio/ogg", "audio/webm",
        "video/iso.segment", "video/mp2t", "video/mp4", "video/webm",
    ]  # fmt: skip
    assert not registry.is_media("application/x-unheard-of")


def test_the_small_kind_imports_no_library():
    """Neither its kinds nor what a worker needs: a process forked from it is small."""
    told = (
        "import sys; from gateway.filters.inspection import zygote; from gateway.filters.inspection.kinds import registry; "
        "registry.load(registry.MEDIA); print({'numpy', 'PIL', 'lxml', 'pikepdf', 'm3u8', 'pydantic', 'asyncio'} & {*sys.modules})"
    )
    path = os.pathsep.join(part for part in sys.path if part)
    done = subprocess.run(
        [sys.executable, "-sS", "-c", told],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "set()\n"
