"""What bodies signed at their boxes comes into the repository as by any other way, and nothing of the operator's does."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.runtime.errors import Corrupt
from gateway.release import signed
from gateway.release.trust import signing_over
from gateway.release.trust.delegate import Delegate
from gateway.release.trust.layout import Name
from gateway.release.trust.signing_over import Over
from provisioning.controller import listings
from provisioning.controller.listings import Brought

from .test_controller_trust import CODE, LIBRARY, STRANGER, begin, envelope, keeper

FILES = ["1.library.json", "2.root.json", "1.library.4-0.json", "x"]


def message(file: str, data: bytes) -> bytes:
    return json.dumps({"file": file, "data": base64.b64encode(data).decode()}).encode()


@given(st.binary(max_size=200) | st.builds(message, st.sampled_from(FILES), st.binary(max_size=20)))
def test_any_message_brings_a_bodys_file_or_is_damaged(data: bytes) -> None:
    """Any bytes -> a body's role or bin, or ``Corrupt``; never a root, targets, snapshot or timestamp."""
    try:
        brought = listings.parse(data)
    except Corrupt:
        return
    assert brought.name.kind in ("body", "bin")


@pytest.mark.parametrize("file", ["2.root.json", "2.targets.json", "2.snapshot.json", "timestamp.json", "../x.json"])
def test_a_box_brings_nothing_of_the_operators(file: str) -> None:
    with pytest.raises(Corrupt):
        listings.parse(message(file, b"{}"))


async def test_what_fits_is_listed_and_what_does_not_is_told(tmp_path: Path) -> None:
    """The library's files are in the next snapshot; an older version, and a stranger's, come back with the reason."""
    begin(tmp_path / "trust")
    trust = keeper(tmp_path / "trust")
    delegate = Delegate("library", (LIBRARY.public,), ("isli:999999-1",), ("share",), 4)
    files = signing_over.list_release(Over(delegate, {}), CODE, envelope(), LIBRARY, datetime.now(UTC))
    for _ in range(2):  # once more changes nothing
        for name, data in files.items():
            assert await listings.take(trust, "institution", listings.parse(message(name.file, data))) is None
    assert trust.last is not None
    assert trust.last.refused == {}
    assert trust.files.newest()["library"] == 1

    strange = Over(Delegate("library", (STRANGER.public,), ("isli:999999-1",), ("share",), 4), {})
    theirs = signed.seal(signed.claimed(envelope()), STRANGER)
    other = signing_over.list_release(strange, CODE, theirs, STRANGER, datetime.now(UTC))
    told = [await listings.take(trust, "institution", Brought(name, data)) for name, data in other.items()]
    assert {json.loads(answer or b"{}")["reason"] for answer in told} == {"older-metadata"}
    told = [await listings.take(trust, "institution", Brought(Name(n.role, 9), data)) for n, data in other.items()]
    assert {json.loads(answer or b"{}")["reason"] for answer in told} <= {"wrong-key", "bad-request"}
