"""The channel's folder at an origin."""

import pytest

from appliance.identity.keys import PrivateKey
from appliance.runtime.errors import Refused
from gateway.release.live import freshness, signing
from gateway.release.live.follow import Stamp
from gateway.release.live.outlet import Outlet
from gateway.release.manifest import Live

KEY = PrivateKey.generate()
LIVE = Live(key=str(KEY.public), segment=2.0, window=6, largest=1000)
CODE, NOW = "999999-100000000000001-4", 1_764_354_912.0
STAMP, OTHER = Stamp(1, 3, 5), Stamp(2, 3, 6)
LIFE = freshness.life(LIVE, "1.ts")


@pytest.fixture
def outlet(tmp_path):
    made = Outlet(tmp_path, CODE, LIVE, KEY)
    made.begin()
    return made


def claim(outlet, path):
    return signing.verify((outlet.folder / f"{path}.sig").read_bytes(), KEY.public, CODE, path)


def test_a_file_stands_beside_its_signature(outlet):
    """Both are whole, and the sequence only grows, also when the clock stands still or goes back."""
    first = outlet.put("v/1.ts", b"one", STAMP, NOW)
    assert (outlet.folder / "v/1.ts").read_bytes() == b"one"
    assert claim(outlet, "v/1.ts") == first
    assert outlet.put("v/1.ts", b"two", OTHER, NOW - 100).sequence == first.sequence + 1
    assert (outlet.folder / "v/1.ts").read_bytes() == b"two"


def test_it_is_signed_anew_when_it_changes_or_half_its_time_has_passed(outlet):
    """What is named for longer than one signature holds goes on."""
    assert outlet.due("1.ts", STAMP, NOW)
    outlet.put("1.ts", b"one", STAMP, NOW)
    assert not outlet.due("1.ts", STAMP, NOW + LIFE / 2 - 1)
    assert outlet.due("1.ts", OTHER, NOW)
    assert outlet.due("1.ts", STAMP, NOW + LIFE / 2)


def test_what_ran_out_is_removed(outlet):
    """File and signature."""
    outlet.put("1.ts", b"one", STAMP, NOW)
    assert outlet.sweep(NOW + LIFE - 1) == 0
    assert outlet.sweep(NOW + LIFE) == 1
    assert not list(outlet.folder.iterdir())


def test_a_signer_after_a_crash_goes_on(outlet, tmp_path):
    """What it signed counts, what it left half-done goes, and the sequence goes on."""
    before = outlet.put("1.ts", b"one", STAMP, NOW)
    for name in ("2.ts", "3.ts.sig", ".4.ts.tmp"):
        (outlet.folder / name).write_bytes(b"left")
    again = Outlet(tmp_path, CODE, LIVE, KEY)
    assert again.begin() == 1
    assert {path.name for path in again.folder.iterdir()} == {"1.ts", "1.ts.sig"}
    assert again.put("1.ts", b"one", STAMP, NOW - 1000).sequence > before.sequence


def test_too_large_a_file_is_refused(outlet):
    """The box would refuse it too."""
    with pytest.raises(Refused, match="1001 bytes"):
        outlet.put("1.ts", bytes(1001), STAMP, NOW)
