"""Only what is whole is taken from a packager's folder."""

import os

from gateway.release.live.follow import Folder

HEAD = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n"


def renamed(path, text):
    path.with_suffix(".tmp").write_text(text)
    path.with_suffix(".tmp").rename(path)


def test_a_segment_is_taken_when_a_playlist_names_it(tmp_path):
    """What is there but not named may be half-written."""
    folder = Folder(tmp_path)
    (tmp_path / "1.ts").write_bytes(b"1")
    assert folder.look().files == {}
    renamed(tmp_path / "index.m3u8", HEAD)
    folder.look()
    assert folder.look().files == {}
    (tmp_path / "2.ts").write_bytes(b"2")
    renamed(tmp_path / "index.m3u8", HEAD + "#EXTINF:2,\n1.ts\n")
    look = folder.look()
    assert set(look.files) == {"1.ts"}
    assert folder.read("1.ts", look.files["1.ts"], 10) == b"1"


def test_a_playlist_written_in_place_is_taken_when_it_rests(tmp_path):
    """The same inode with other content may be half-written."""
    folder = Folder(tmp_path)
    playlist = tmp_path / "index.m3u8"
    playlist.write_text(HEAD + "#EXTINF:2,\n1.ts\n")
    assert not folder.look().playlists
    assert folder.look().playlists
    with playlist.open("r+") as file:
        file.write(HEAD + "#EXTINF:2,\n2.ts\n#EXTINF:2,\n3.ts\n")
    os.utime(playlist, ns=(1, playlist.stat().st_mtime_ns + 1_000_000))
    assert folder.look().playlists["index.m3u8"].named.paths == {"1.ts"}
    assert folder.look().playlists["index.m3u8"].named.paths == {"2.ts", "3.ts"}


def test_a_file_that_changed_since_is_not_read(tmp_path):
    """Names are used again by packagers that start anew."""
    folder = Folder(tmp_path)
    (tmp_path / "1.ts").write_bytes(b"1")
    renamed(tmp_path / "index.m3u8", HEAD + "#EXTINF:2,\n1.ts\n")
    folder.look()
    stamp = folder.look().files["1.ts"]
    (tmp_path / "1.ts").write_bytes(b"more")
    assert folder.read("1.ts", stamp, 10) is None
    (tmp_path / "1.ts").unlink()
    assert folder.read("1.ts", stamp, 10) is None


def test_a_wrong_playlist_is_a_fault_that_names_it(tmp_path):
    """The operator is told; the others go on."""
    (tmp_path / "bad.m3u8").write_text("#EXTM3U\n#EXTINF:1,\n/etc/passwd\n")
    (tmp_path / "good.m3u8").write_text(HEAD)
    folder = Folder(tmp_path)
    folder.look()
    look = folder.look()
    assert list(look.playlists) == ["good.m3u8"]
    assert "bad.m3u8" in look.faults[0]


def test_masters_come_last(tmp_path):
    """Nothing is published before what it names."""
    (tmp_path / "a.m3u8").write_text("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nv.m3u8\n")
    (tmp_path / "v.m3u8").write_text(HEAD)
    folder = Folder(tmp_path)
    folder.look()
    assert folder.look().in_order() == ["v.m3u8", "a.m3u8"]
