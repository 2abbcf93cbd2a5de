"""Folders as packagers write them, and what can be wrong with them: every fault at once, by file and line."""

import json
import time

import pytest

from gateway.release import presentations, preview_words, references, structure

SEGMENT = b"\0\0\0\x18styp" + bytes(500)
MASTER = b"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=800000,RESOLUTION=640x360\nlow/index.m3u8\n"
MEDIA = b'#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-MAP:URI="init.mp4"\n#EXTINF:4,\n1.m4s\n#EXTINF:4,\n2.m4s\n#EXT-X-ENDLIST\n'
HLS = {
    "master.m3u8": MASTER,
    "low/index.m3u8": MEDIA,
    "low/init.mp4": b"\0\0\0\x1cftyp" + bytes(500),
    "low/1.m4s": SEGMENT,
    "low/2.m4s": SEGMENT,
}
MPD = """<?xml version="1.0"?>
<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" mediaPresentationDuration="PT8S"><Period>
<AdaptationSet contentType="video"><Representation id="0" bandwidth="800000" width="640" height="360" codecs="avc1">
{segments}</Representation></AdaptationSet></Period></MPD>"""
TIMELINE = (
    '<SegmentTemplate timescale="10" initialization="init-$RepresentationID$.mp4" media="c-$RepresentationID$-$Number%03d$.m4s">'
    '<SegmentTimeline><S t="0" d="40" r="1"/></SegmentTimeline></SegmentTemplate>'
)
DASH = {
    "m.mpd": MPD.format(segments=TIMELINE).encode(),
    "init-0.mp4": SEGMENT,
    "c-0-001.m4s": SEGMENT,
    "c-0-002.m4s": SEGMENT,
}


def look(files, labels=()):
    sizes = {name: len(data) for name, data in files.items()}
    return structure.look(sizes, lambda name, most: files[name][:most], labels)


def faults(files):
    return [f"{fault.file}:{fault.line}: {fault.message}" for fault in look(files).faults]


@pytest.mark.parametrize("tree", [HLS, DASH], ids=["hls", "dash"])
def test_a_whole_tree_has_no_faults(tree):
    """What a packager wrote is right, and every file of it is named."""
    found = look(tree)
    assert (found.faults, found.warnings) == ([], [])


def test_renditions_and_durations_are_known():
    """What the preview shows: bandwidth, resolution and seconds."""
    found = look({**HLS, **DASH})
    assert found.playlists["master.m3u8"].renditions[0].height == 360
    assert found.playlists["low/index.m3u8"].seconds == 8
    assert (found.presentations["m.mpd"].seconds, found.presentations["m.mpd"].renditions[0].bandwidth) == (8, 800_000)


def index(*lines):
    return {**HLS, "low/index.m3u8": "\n".join(["#EXTM3U", *lines, ""]).encode()}


def dash(segments):
    return {**DASH, "m.mpd": MPD.format(segments=segments).encode()}


@pytest.mark.parametrize(
    ("files", "told"),
    [
        (index("#EXTINF:4,", "absent.m4s"), "low/index.m3u8:3: names 'absent.m4s', which is not in the folder"),
        (index("#EXTINF:4,", "http://other.cn/1.m4s"), "low/index.m3u8:3: names 'http://other.cn/1.m4s', which points elsewhere"),
        (index("#EXTINF:4,", "//other.cn/1.m4s"), "which points elsewhere"),
        (index("#EXTINF:4,", "/etc/passwd"), "which points elsewhere"),
        (index("#EXTINF:4,", "file:///etc/passwd"), "which points elsewhere"),
        (index("#EXTINF:4,", "../../x.m4s"), "which leads out of the folder"),
        (index("#EXTINF:4,", "..%2f..%2fx.m4s"), "which leads out of the folder"),
        (index("#EXTINF:4,", "1.m4s?token=1"), "which has a query or a fragment"),
        (index("#EXTINF:4,", "%ff.m4s"), "which is no UTF-8"),
        (index("#EXTINF:4,", "x" * 4000), "which cannot be: an address has at most 2000 characters"),
        (index('#EXT-X-KEY:METHOD=AES-128,URI="https://keys.cn/1"', "#EXTINF:4,", "1.m4s"), ":2: names 'https://keys.cn/1'"),
        (index('#EXT-X-KEY:METHOD=AES-128,URI="1.m4s"', "#EXTINF:4,", "1.m4s"), ":2: is played with a key (AES-128)"),
        (index('#EXT-X-KEY:METHOD=SAMPLE-AES,URI="1.m4s"', "#EXTINF:4,", "1.m4s"), "(encrypted-content)"),
        (index('#EXT-X-NEW-TAG:URI="https://new.cn/1"', "#EXTINF:4,", "1.m4s"), "names 'https://new.cn/1'"),
        (index("#EXTINF:4,", "#EXT-X-BYTERANGE:9223372036854775808@0", "1.m4s"), "for bytes up to 9223372036854775808, and it has 508"),
        (index("#EXTINF:4,", "#EXT-X-BYTERANGE:400@200", "1.m4s"), "for bytes up to 600"),
        (index("#EXTINF:9e999,", "1.m4s"), "plays for more than"),
        (index("#EXTINF:four,", "1.m4s"), "cannot be read as a playlist"),
        (index("#EXT-X-STREAM-INF:BANDWIDTH=1", "../master.m3u8"), "comes back to itself: master.m3u8 -> low/index.m3u8 -> master.m3u8"),
        ({"master.m3u8": b"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nmaster.m3u8\n"}, "master.m3u8:1: names itself"),
        ({**index("#EXT-X-STREAM-INF:BANDWIDTH=1", "b.m3u8"), "low/b.m3u8": b"#EXTM3U\n"}, "which is a master playlist too"),
        ({**HLS, "low/index.m3u8": b"#EXTM3U\n\xff"}, "is no"),
        ({**HLS, "low/1.m4s": b"\x89PNG\r\n\x1a\n"}, "low/1.m4s:1: should be video/iso.segment by its name"),
        ({**HLS, "low/1.m4s": b""}, "low/1.m4s:1: is empty"),
        ({"a.jpg": b"\x89PNG\r\n\x1a\n"}, "and does not begin so, but like image/png"),
        ({"a.ts": b"\x47" + bytes(300)}, "no sync byte"),
        ({"a.vtt": b"1\n00:00"}, "does not begin with 'WEBVTT'"),
        ({"a.json": b"\0\0"}, "is no UTF-8 text"),
        ({"a.svg": b"x"}, "does not begin with '<'"),
        (dash('<SegmentTemplate timescale="1" duration="2" media="c-$Number$.m4s"/>'), "m.mpd:4: names 'c-1.m4s', which is not"),
        (dash('<BaseURL>http://other.cn/</BaseURL>' + TIMELINE), "names 'http://other.cn/', which points elsewhere"),
        (dash('<BaseURL>../</BaseURL>' + TIMELINE), "which leads out of the folder"),
        (dash('<SegmentList><SegmentURL media="x.m4s"/></SegmentList>'), "names 'x.m4s', which is not in the folder"),
        (dash('<SegmentList><SegmentURL media="c-0-001.m4s" mediaRange="0-9223372036854775807"/></SegmentList>'), "bytes up to"),
        (dash(TIMELINE.replace('r="1"', 'r="9223372036854775807"')), "names more than"),
        (dash('<SegmentTemplate media="$Number$.m4s" duration="1" timescale="9223372036854775807"/>'), "names more than"),
        (dash('<SegmentTemplate media="$Number$.m4s" duration="x"/>'), "has a number that is none: 'x'"),
        ({"m.mpd": b'<!DOCTYPE x [<!ENTITY a "b">]><MPD>&a;</MPD>'}, "m.mpd:1: cannot be read as XML"),
        ({"m.mpd": b"<html/>"}, "is no MPD: its root is 'html'"),
        ({"m.mpd": b"<MPD><Location>http://other.cn/m.mpd</Location></MPD>"}, "which points elsewhere"),
        ({"m.gltf": b'{"buffers": [{"uri": "http://other.cn/b.bin"}]}'}, "m.gltf:1: names 'http://other.cn/b.bin', which points"),
        ({"m.gltf": b'{"buffers": 1}'}, "cannot be read as glTF"),
        (index("#EXTINF:4,", "1.m4s"), "low/index.m3u8:1: is a live playlist: it has no #EXT-X-ENDLIST"),
        ({**DASH, "m.mpd": DASH["m.mpd"].replace(b"static", b"dynamic")}, "m.mpd:1: is a live presentation"),
    ],
)  # fmt: skip
def test_each_fault_is_told_with_its_place(files, told):
    """A tree that is wrong in one way is told so, at the file and line."""
    assert any(told in fault for fault in faults(files)), faults(files)
    for fault in look(files).faults:
        for sentence in (fault.message, fault.hint):
            assert not sentence or preview_words.said(sentence, "zh") != sentence  # a preview tells it in Chinese too
            assert preview_words.said(sentence, "en") == sentence


def test_all_faults_come_at_once():
    """Two playlists, two faults each: four faults in one go, and the same one is not told twice."""
    bad = b"#EXTM3U\n#EXTINF:4,\nabsent.ts\n#EXTINF:4,\nhttp://other.cn/1.ts\n#EXT-X-ENDLIST\n"
    assert len(faults({"a.m3u8": bad, "b.m3u8": bad})) == 4
    many = b"#EXTM3U\n" + b"".join(b"#EXTINF:4,\n%d.ts\n" % number for number in range(1000)) + b"#EXT-X-ENDLIST\n"
    told = faults({"a.m3u8": many})
    assert len(told) == structure.MOST_TOLD + 1
    assert "names 980 more files" in told[-1]


def test_warnings():
    """Media that no playlist names, and scripts without the label, are told and do not stand in the way."""
    found = look({**HLS, "extra.m4s": SEGMENT})
    assert [fault.file for fault in found.warnings] == ["extra.m4s"]
    page = {"index.html": b"<html>", "a.js": b"1"}
    assert "runs in the page" in look(page).warnings[0].message
    assert not look(page, ("application",)).warnings


def test_models_name_their_files():
    """A glTF's buffer in the folder and one inside it are right."""
    told = json.dumps(
        {"buffers": [{"uri": "b.bin"}, {"uri": "data:application/octet-stream;base64,AA=="}, {}]}
    ).encode()
    assert faults({"m.gltf": told, "b.bin": b"x"}) == []


@pytest.mark.parametrize(
    ("names", "entry"),
    [
        (["master.m3u8", "a.mpd", "index.html"], "master.m3u8"),
        (["a.mpd", "b.m4s"], "a.mpd"),
        (["index.html", "a.jpg"], "index.html"),
        (["index.m3u8", "1.ts", "2.ts"], "index.m3u8"),
        (["book.pdf"], "book.pdf"),
        (["deep/book.pdf"], "deep/book.pdf"),
        (["a.mpd", "b.mpd"], ["a.mpd", "b.mpd"]),
        (["a.jpg", "b.jpg"], ["a.jpg", "b.jpg"]),
    ],
)
def test_the_entry_is_found_where_it_is_obvious(names, entry):
    """What a player opens is found by its name, or the candidates are told."""
    assert structure.entry_of(dict.fromkeys(names, 1)) == entry


def test_every_loop_is_found_once():
    """Loops apart from each other are each told; long chains cost no recursion."""
    chain = {str(number): [str(number + 1)] for number in range(50_000)}
    assert references.cycles({**chain, "50000": []}) == []
    assert len(references.cycles({"a": ["b"], "b": ["a"], "c": ["c"], "d": ["a", "c"]})) == 2


def test_a_long_segment_list_is_read_in_time():
    """A hundred thousand addresses of an MPD are each told with their line, and finding the lines takes no square of time."""
    urls = "".join(f'<SegmentURL media="s{number}.m4s"/>\n' for number in range(50_000))
    data = MPD.format(segments=f"<SegmentList>\n{urls}</SegmentList>").encode()
    began = time.monotonic()
    found = presentations.parse(data)
    assert (len(found.references), found.references[-1].line) == (50_000, 50_004)
    assert time.monotonic() - began < 20
