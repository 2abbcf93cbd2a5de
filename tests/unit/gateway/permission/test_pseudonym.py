"""Pseudonyms of subjects: one a day, the same after a restart, and no way back."""

import hashlib

from gateway.permission.pseudonym import DAY, LENGTH, Pseudonyms

NOON = 20_000 * DAY + DAY / 2


def test_a_subject_keeps_its_name_for_a_day_through_restarts(tmp_path):
    """Within a day the name is the same, also of another process; the next day it is another one."""
    path = tmp_path / "pseudonyms"
    name = Pseudonyms(path).of("viewer-17", NOON)
    assert len(name) == LENGTH
    assert Pseudonyms(path).of("viewer-17", NOON + DAY / 3) == name
    assert Pseudonyms(path).of("viewer-18", NOON) != name
    assert Pseudonyms(path).of("viewer-17", NOON + DAY) != name
    assert Pseudonyms(path).of("", NOON) == ""


def test_nobody_guesses_the_name(tmp_path):
    """Two zones name a subject differently, and no hash of the subject is the name."""
    here, there = (Pseudonyms(tmp_path / zone).of("viewer-17", NOON) for zone in ("bigscreen", "smallscreen"))
    assert here != there
    assert not hashlib.sha256(b"viewer-17").hexdigest().startswith(here)
    assert (tmp_path / "bigscreen").stat().st_mode & 0o777 == 0o600


def test_the_secret_is_gone_the_next_day(tmp_path):
    """Nothing of a day's secret is on the disk once it is another day, also if nobody came."""
    path = tmp_path / "pseudonyms"
    names = Pseudonyms(path)
    names.turn(NOON)
    before = path.read_text().split()[1]
    names.turn(NOON + DAY)
    assert before not in path.read_text()
    assert list(tmp_path.iterdir()) == [path]


def test_a_damaged_file_or_a_full_disk_stops_nobody(tmp_path, caplog):
    """What cannot be read is made anew; what cannot be kept is told, and the day's names are the same for this process."""
    path = tmp_path / "pseudonyms"
    for text in ("", "x y", f"{int(NOON // DAY)} abcd", f"{int(NOON // DAY)} {'zz' * 32}"):
        path.write_text(text)
        assert len(Pseudonyms(path).of("viewer-17", NOON)) == LENGTH
    lost = Pseudonyms(tmp_path / "nothing" / "pseudonyms")
    assert lost.of("viewer-17", NOON) == lost.of("viewer-17", NOON)
    assert "in memory alone" in caplog.text
