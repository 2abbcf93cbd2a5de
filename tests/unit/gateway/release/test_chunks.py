"""How large the chunks of a release's files are, and that what is signed of them is true."""

import hashlib
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.release import chunks, folder
from gateway.release.manifest import LARGEST_CHUNK, LARGEST_FILE, MOST_FILES

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30


@pytest.mark.parametrize(
    ("name", "size", "chunk"),
    [
        ("a.m4s", 2 * MIB, 256 * KIB),
        ("a.mp4", 256 * MIB, 256 * KIB),
        ("a.mp4", 256 * MIB + 1, 512 * KIB),
        ("a.mp3", 2 * GIB, 2 * MIB),
        ("a.mp4", 64 * GIB, 4 * MIB),
        ("a.pdf", 2 * MIB, 4 * MIB),  # of which nobody sees anything before the last byte came
        ("a.m3u8", 1 * MIB, 4 * MIB),
    ],
)
def test_what_is_played_has_small_chunks_while_they_are_few(name, size, chunk):
    """256 KiB; of a larger film as much more as keeps its digests to about a thousand."""
    assert chunks.chosen({name: size}) == {name: chunk}


def test_a_release_of_very_many_segments_has_larger_ones():
    """A film of two hours in five renditions has the finest; ten times as many segments have coarser ones, and a hundred thousand none."""
    for count, chunk in ((6000, 256 * KIB), (20_000, 512 * KIB), (33_000, MIB), (60_000, 2 * MIB), (100_000, 2 * MIB)):
        sizes = {f"{number}.m4s": 2 * MIB for number in range(count)}
        assert set(chunks.chosen(sizes).values()) == {chunk}, count


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, LARGEST_FILE), min_size=1, max_size=30))
def test_digests_are_never_too_many(sizes):
    """Chunks are of an allowed size, and digests too many only where they would be with the largest chunks, too."""
    named = {f"{number}.mp4": size for number, size in enumerate(sizes)}
    chosen = chunks.chosen(named)
    assert all(256 * KIB <= chunk <= LARGEST_CHUNK and chunk & (chunk - 1) == 0 for chunk in chosen.values())
    digests = sum(chunks.count(size, chosen[name]) for name, size in named.items())
    assert digests <= MOST_FILES or set(chosen.values()) == {LARGEST_CHUNK}


def test_what_is_gathered_is_what_is_there(tmp_path):
    """Whole and chunks have their digests, and a file of one chunk says nothing of chunks."""
    films = {"one.mp4": os.urandom(256 * KIB), "more.mp4": os.urandom(600 * KIB), "page.txt": os.urandom(600 * KIB)}
    for name, data in films.items():
        (tmp_path / name).write_bytes(data)
    files = folder.gather(tmp_path, {name: len(data) for name, data in films.items()})
    for name, data in films.items():
        assert files[name].sha256 == hashlib.sha256(data).hexdigest()
    assert [(files[name].chunk, len(files[name].chunks)) for name in ("one.mp4", "page.txt")] == [
        (LARGEST_CHUNK, 0)
    ] * 2
    more, data = files["more.mp4"], films["more.mp4"]
    assert more.chunk == 256 * KIB
    for first in range(0, len(data), more.chunk):
        assert more.digest_at(first) == hashlib.sha256(data[first : first + more.chunk]).digest()
    assert more.signs(0, data)
    assert more.signs(more.chunk, data[more.chunk :])
    assert not more.signs(more.chunk, data[: more.chunk])
