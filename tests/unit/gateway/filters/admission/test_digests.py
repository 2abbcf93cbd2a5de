"""Bytes against what a manifest signs: piece by piece, in order, and only those of plain files in the one folder."""

import hashlib
import os

import pytest

from appliance.runtime.errors import Refused
from gateway.filters.admission import digests
from gateway.filters.admission.digests import Digests, open_incoming, read_incoming, read_kept
from gateway.release.manifest import File

CHUNK, PIECE = 8, 16  # bytes, instead of 256 KiB and 4 MiB
DATA = b"twenty bytes of film"


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def signed(data=DATA, *, chunks=True):
    parts = b"".join(hashlib.sha256(data[at : at + CHUNK]).digest() for at in range(0, len(data), CHUNK))
    told = {"sha256": sha256(data), "size": len(data), "type": "video/mp4", "chunk": CHUNK}
    return File.model_construct(**told, chunks=parts if chunks else b"")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(digests, "PIECE", PIECE)
    monkeypatch.setattr(digests, "BLOCK", 3)
    (tmp_path / "film").write_bytes(DATA)
    return tmp_path


def pieces():
    return [(0, CHUNK, False), (CHUNK, CHUNK, False), (2 * CHUNK, len(DATA) - 2 * CHUNK, True)]


def test_each_signed_piece_is_verified_when_it_came(folder):
    """With a digest for each piece all that came is good at once; without, nothing is before the last."""
    for file, upto in ((signed(), [8, 16, 20]), (signed(chunks=False), [0, 0, 20])):
        judge = Digests(folder)
        assert [judge.take(file, "film", at, count, last=last) for at, count, last in pieces()] == upto


def test_an_empty_file_has_its_digest_too(folder):
    """Nothing came, and that is what was signed."""
    (folder / "none").write_bytes(b"")
    assert Digests(folder).take(signed(b"", chunks=False), "none", 0, 0, last=True) == 0


def test_a_wrong_piece_is_named_and_may_come_again(folder):
    """The right bytes may come from elsewhere in the place of the wrong ones; what was verified before stands."""
    judge = Digests(folder)
    judge.take(signed(), "film", 0, CHUNK, last=False)
    (folder / "film").write_bytes(DATA[:9] + b"X" + DATA[10:])
    with pytest.raises(Refused, match="chunk 2 of 3") as refused:
        judge.take(signed(), "film", CHUNK, CHUNK, last=False)
    assert refused.value.reason == "digest-mismatch"
    (folder / "film").write_bytes(DATA)
    assert judge.take(signed(), "film", CHUNK, CHUNK, last=False) == 2 * CHUNK
    assert judge.take(signed(), "film", 2 * CHUNK, 4, last=True) == len(DATA)


def test_a_piece_is_as_many_chunks_as_came(folder):
    """Each chunk of a piece is compared; what came at last, or at once, is compared as the whole, and may come again as well."""
    judge = Digests(folder)
    assert judge.take(signed(), "film", 0, len(DATA) - 4, last=False) == 2 * CHUNK
    (folder / "film").write_bytes(DATA[:-1] + b"X")
    with pytest.raises(Refused, match="what came is not the manifest's"):
        judge.take(signed(), "film", 2 * CHUNK, 4, last=True)
    (folder / "film").write_bytes(DATA)
    assert judge.take(signed(), "film", 2 * CHUNK, 4, last=True) == len(DATA)
    (folder / "film").write_bytes(DATA[:CHUNK] + b"X" + DATA[CHUNK + 1 :])
    with pytest.raises(Refused, match="chunk 2 of 3"):
        judge.take(signed(), "film", 0, 2 * CHUNK, last=False)


def test_pieces_that_are_right_do_not_make_another_whole_right(folder):
    """A manifest whose pieces are not those of its whole names another's object: the store's names stay true."""
    liar = signed().model_copy(update={"sha256": sha256(b"another's")})
    judge = Digests(folder)
    for at, count, last in pieces()[:2]:
        judge.take(liar, "film", at, count, last=last)
    with pytest.raises(Refused, match="what came is not the manifest's"):
        judge.take(liar, "film", 16, 4, last=True)


@pytest.mark.parametrize(
    ("first", "count", "last", "reason"),
    [
        (CHUNK, CHUNK, False, "bad-request"),  # nothing came before
        (0, PIECE + 1, True, "bad-request"),
        (0, -CHUNK, False, "bad-request"),
        (0, 0, False, "bad-request"),
        (0, CHUNK - 1, False, "bad-request"),  # a part of a chunk that is not the last
        (0, CHUNK, True, "digest-mismatch"),  # an end before the end
    ],
)
def test_pieces_come_in_order(folder, first, count, last, reason):
    """Whatever the exchange says of a piece, it is the next one, and whole."""
    with pytest.raises(Refused) as refused:
        Digests(folder).take(signed(), "film", first, count, last=last)
    assert refused.value.reason == reason


def test_an_object_is_one_file_of_one_release(folder):
    """What was begun as one file is not gone on with as another, and a piece comes once."""
    judge = Digests(folder)
    judge.take(signed(), "film", 0, CHUNK, last=False)
    other = signed().model_copy(update={"type": "text/html"})
    with pytest.raises(Refused, match="one after the other"):
        judge.take(other, "film", CHUNK, CHUNK, last=False)


def test_more_and_fewer_bytes_than_the_manifest_says_are_refused(folder):
    """Length is part of what is signed."""
    with pytest.raises(Refused, match="the manifest says 4"):
        Digests(folder).take(signed(b"four"), "film", 0, 5, last=True)
    (folder / "film").write_bytes(b"two")
    with pytest.raises(Refused, match="fewer bytes"):
        Digests(folder).take(signed(b"four"), "film", 0, 4, last=True)


def test_what_is_seldom_asked_for_is_forgotten_first(folder, monkeypatch):
    """No number of objects on their way takes more than so much memory; the forgotten one begins again."""
    monkeypatch.setattr(digests, "MOST", 2)
    judge = Digests(folder)
    for name in ("a", "b", "c"):
        (folder / name).write_bytes(DATA)
        judge.take(signed(), name, 0, CHUNK, last=False)
    assert judge.take(signed(), "c", CHUNK, CHUNK, last=False) == 16
    with pytest.raises(Refused, match="one after the other"):
        judge.take(signed(), "a", CHUNK, CHUNK, last=False)


@pytest.mark.parametrize("name", ["", ".", "..", "../film", "/etc/passwd", "a/b", "film\0", "FILM", "a-b-c", "x" * 200])
def test_a_name_leads_nowhere_else(folder, name):
    """A name is a word, and nothing that could be a path."""
    with pytest.raises(Refused) as refused:
        open_incoming(folder, name)
    assert refused.value.reason == "bad-request"


@pytest.mark.parametrize("kind", ["link", "folder", "pipe", "nothing"])
def test_only_plain_files_are_judged(folder, kind):
    """Neither does a link lead elsewhere, nor does a pipe make the filter wait."""
    place = folder / "odd"
    match kind:
        case "link":
            place.symlink_to(folder / "film")
        case "folder":
            place.mkdir()
        case "pipe":
            os.mkfifo(place)
    with pytest.raises(Refused) as refused:
        open_incoming(folder, "odd")
    assert refused.value.reason == "bad-request"


def test_what_is_read_whole_has_a_limit(folder):
    """A byte more than the limit is refused, in what comes in and in what is kept."""
    (folder / "999999-100000000000001-4.json").write_bytes(DATA)
    assert read_incoming(folder, "film", len(DATA)) == DATA
    assert read_kept(folder, "999999-100000000000001-4", len(DATA)) == DATA
    for read, name in ((read_incoming, "film"), (read_kept, "999999-100000000000001-4")):
        with pytest.raises(Refused) as refused:
            read(folder, name, len(DATA) - 1)
        assert refused.value.reason == "too-large"
