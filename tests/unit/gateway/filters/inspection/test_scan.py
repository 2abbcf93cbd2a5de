"""What passes the inspection and what does not: a table of files, each with its reason; and any bytes for every type."""

from __future__ import annotations

import io
import json
import struct
import zipfile
import zlib

import pikepdf
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from appliance.runtime.errors import Refused
from gateway.filters.inspection.kinds.kind import Told
from gateway.filters.inspection.kinds.registry import KINDS
from gateway.filters.inspection.scan import EICAR, Scan, scan
from tests.server.content import media

HLS, DASH, VTT, SVG = "application/vnd.apple.mpegurl", "application/dash+xml", "text/vtt", "image/svg+xml"
SEGMENT, TS, PDF, PNG, JPEG = "video/iso.segment", "video/mp2t", "application/pdf", "image/png", "image/jpeg"
EPUB, OPAQUE = "application/epub+zip", "application/octet-stream"


def picture(name: str, size: tuple[int, int] = (4, 4)) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, "red").save(file, name)
    return file.getvalue()


def pdf(change=lambda document: None) -> bytes:
    file = io.BytesIO()
    with pikepdf.new() as document:
        document.add_blank_page()
        change(document)
        document.save(file)
    return file.getvalue()


def acting(document):
    document.Root.OpenAction = pikepdf.Dictionary(S=pikepdf.Name("/JavaScript"), JS="app.alert(1)")


def launching(document):
    action = pikepdf.Dictionary(S=pikepdf.Name("/Launch"), F="calc.exe")
    document.pages[0].Annots = pikepdf.Array([pikepdf.Dictionary(Subtype=pikepdf.Name("/Link"), A=action)])


def bringing(document):
    document.attachments["a.exe"] = b"MZ"


def locked() -> bytes:
    file = io.BytesIO()
    with pikepdf.new() as document:
        document.add_blank_page()
        document.save(file, encryption=pikepdf.Encryption(owner="a", user="b"))
    return file.getvalue()


def packed(files: dict[str, bytes], first: bytes = b"application/epub+zip") -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("mimetype", first, zipfile.ZIP_STORED)
        for name, data in files.items():
            archive.writestr(name, data)
    return file.getvalue()


def huge_png() -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")
    )


MPD = '<MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><Period><BaseURL>{}</BaseURL></Period></MPD>'
LAUGHS = '<!DOCTYPE a [<!ENTITY b "ha"><!ENTITY c "&b;&b;">]><MPD xmlns="urn:mpeg:dash:schema:mpd:2011">&c;</MPD>'
DRAWN = '<svg xmlns="http://www.w3.org/2000/svg">{}</svg>'
FOREIGN = media.box(b"moov", media.box(b"dref", bytes(8) + media.box(b"url ", b"\0\0\0\0http://x/")))
BRANDS = media.box(b"ftyp", b"isom\0\0\0\0isom")


def stsd(kind: bytes) -> bytes:
    inner = media.box(b"stsd", bytes(4) + b"\0\0\0\1" + media.box(kind, bytes(78)))
    for name in (b"stbl", b"minf", b"mdia", b"trak", b"moov"):
        inner = media.box(name, inner)
    return inner


GOOD = [
    ("video/mp4", BRANDS + stsd(b"avc1"), "init.mp4"),
    (HLS, b"#EXTM3U\n#EXT-X-KEY:METHOD=NONE\n#EXTINF:4,\n1.ts\n", "index.m3u8"),
    (HLS, b"#EXTM3U\n#EXTINF:4,\n1.m4s\n", "v/index.m3u8"),
    (HLS, b'#EXTM3U\n#EXT-X-MAP:URI="../init.mp4"\n#EXTINF:4,\n1.m4s\n', "v/index.m3u8"),
    (DASH, MPD.format("video/").encode(), "m.mpd"),
    (VTT, "WEBVTT\n\n00:00.000 --> 00:01.000\n刘三姐\n".encode(), "a.vtt"),
    ("application/x-subrip", b"1\n00:00:00,000 --> 00:00:01,000\nhello\n", "a.srt"),
    (SEGMENT, media.segment(b"x" * 1000), "1.m4s"),
    ("video/mp4", BRANDS + media.box(b"moov", media.box(b"mvhd", bytes(100))), "init.mp4"),
    (TS, media.transport(), "1.ts"),
    (PDF, pdf(), "a.pdf"),
    (PNG, picture("PNG"), "a.png"),
    (JPEG, picture("JPEG"), "a.jpg"),
    ("image/webp", picture("WEBP"), "a.webp"),
    ("image/gif", picture("GIF"), "a.gif"),
    (SVG, DRAWN.format('<use href="#a"/><rect style="fill:url(#b)"/>').encode(), "a.svg"),
    ("application/json", b'{"a": [1, 2]}', "a.json"),
    ("text/plain", "广西".encode(), "a.txt"),
    (EPUB, packed({"a.xhtml": b"<html xmlns='x'><body>a</body></html>"}), "a.epub"),
    (OPAQUE, b"nothing that anybody knows", "a.bin"),
    (OPAQUE, b"", "empty.bin"),
    ("text/plain", b"", "empty.txt"),
]  # fmt: skip

BAD = [
    ("malware", "text/plain", EICAR),
    ("malware", SEGMENT, media.segment(bytes(300_000) + EICAR + bytes(300_000))),
    ("type-mismatch", PNG, picture("JPEG")),
    ("type-mismatch", "text/plain", b"<html><script>alert(1)</script>"),
    ("type-mismatch", "text/plain", b"\x7fELF\x02\x01\x01\0"),
    ("type-mismatch", OPAQUE, b"\x7fELF" + bytes(100)),
    ("type-mismatch", OPAQUE, packed({})),
    ("type-mismatch", OPAQUE, pdf().replace(b"%PDF", b"%PDX")[:0] + b"%!PS-Adobe"),
    ("type-mismatch", TS, b"\x47" + bytes(187)[:100] + b"x" * 87 + b"x" * 188),
    ("type-mismatch", SEGMENT, b"GIF89a" + bytes(100)),
    ("type-mismatch", "application/json", b"{"),
    ("type-mismatch", HLS, b"\xef\xbb\xbf#EXTM3U\n"),
    ("type-mismatch", VTT, b"00:00.000 --> 00:01.000\n"),
    ("unknown-type", "application/x-msdownload", b"MZ"),
    ("malformed", SEGMENT, media.segment(b"x")[:-1]),
    ("malformed", SEGMENT, media.segment(b"x") + media.box(b"evil", b"x")),
    ("malformed", SEGMENT, media.segment(b"x") + (1 << 31).to_bytes(4, "big") + b"mdat"),
    ("malformed", SEGMENT, media.segment(b"x") + b"\0\0\0\1mdat" + ((1 << 63) - 1).to_bytes(8, "big")),
    ("malformed", "video/mp4", BRANDS + media.box(b"moov", (100).to_bytes(4, "big") + b"trak")),
    ("malformed", TS, media.transport()[188:]),
    ("malformed", PNG, picture("PNG")[:-20]),
    ("malformed", HLS, b"#EXTM3U\n#EXTINF:4,\na.m3u8\n"),  # the playlist's own name
    ("polyglot", JPEG, picture("JPEG") + packed({"a": b"b"})),
    ("polyglot", JPEG, picture("JPEG") + b"<script>alert(1)</script>"),
    ("polyglot", PNG, picture("PNG") + b"x"),
    ("polyglot", "image/gif", picture("GIF") + b"x"),
    ("polyglot", "text/plain", b"hello %PDF-1.7"),
    ("polyglot", PDF, b"<html><script>alert(1)</script>" + pdf()),
    ("polyglot", PDF, pdf() + b"<script>alert(1)</script>"),
    ("polyglot", SEGMENT, media.segment(packed({"a": b"b"}))),
    ("active-content", PDF, pdf(acting)),
    ("active-content", PDF, pdf(launching)),
    ("active-content", PDF, pdf(bringing)),
    ("active-content", SVG, DRAWN.format("<script>1</script>").encode()),
    ("active-content", SVG, DRAWN.format('<rect onload="a()"/>').encode()),
    ("active-content", "text/html", b"<html></html>"),
    ("active-content", "text/javascript", b"1"),
    ("active-content", "application/wasm", b"\0asm\1\0\0\0"),
    ("active-content", EPUB, packed({"a.xhtml": b"<script>1</script>"})),
    ("active-content", EPUB, packed({"a.exe": b"MZ" + bytes(100)})),
    ("encrypted", PDF, locked()),
    ("bomb", PNG, huge_png()),
    ("bomb", EPUB, packed({"a": bytes(50 << 20)})),
    ("bomb", EPUB, packed({"a": packed({"b": b"c"})})),
    ("bomb", DASH, LAUGHS.encode()),
    ("bomb", "application/json", b"[" * 100 + b"]" * 100),
    ("outside-reference", HLS, b"#EXTM3U\n#EXTINF:4,\nhttp://evil/1.ts\n"),
    ("outside-reference", HLS, b"#EXTM3U\n#EXTINF:4,\n//evil/1.ts\n"),
    ("outside-reference", HLS, b"#EXTM3U\n#EXTINF:4,\n../1.ts\n"),
    ("outside-reference", HLS, b"#EXTM3U\n#EXTINF:4,\na/%2e%2e/%2e%2e/1.ts\n"),
    ("outside-reference", HLS, b'#EXTM3U\n#EXT-X-MAP:URI="https://evil/init.mp4"\n#EXTINF:4,\n1.ts\n'),
    ("encrypted-content", HLS, b'#EXTM3U\n#EXT-X-KEY:METHOD=AES-128,URI="key"\n#EXTINF:4,\n1.ts\n'),
    ("encrypted-content", HLS, b'#EXTM3U\n#EXT-X-KEY:URI="key",METHOD=SAMPLE-AES\n#EXTINF:4,\n1.ts\n'),
    ("encrypted-content", HLS, b'#EXTM3U\n#EXT-X-SESSION-KEY:METHOD=SAMPLE-AES-CTR,URI="key"\n'),
    ("encrypted-content", TS, media.transport()[:379] + b"\x90" + media.transport()[380:]),
    ("encrypted-content", DASH, MPD.format("x/").replace("<Period>", "<Period><ContentProtection/>").encode()),
    ("encrypted-content", "video/mp4", BRANDS + stsd(b"encv")),
    ("encrypted-content", "video/mp4", BRANDS + media.box(b"moov", media.box(b"pssh", bytes(20)))),
    ("outside-reference", HLS, b"#EXTM3U\n#EXTINF:4,\nfile:///etc/passwd\n"),
    ("outside-reference", DASH, MPD.format("https://evil/").encode()),
    ("outside-reference", DASH, MPD.format("../x/").encode()),
    ("outside-reference", SVG, DRAWN.format('<image href="http://evil/a.png"/>').encode()),
    ("outside-reference", "video/mp4", BRANDS + FOREIGN),
    ("outside-reference", EPUB, packed({"../../etc/passwd": b"x"})),
    ("outside-reference", "model/gltf+json", json.dumps({"asset": {}, "buffers": [{"uri": "http://evil"}]}).encode()),
]  # fmt: skip


def verdict(kind: str, data: bytes, path: str = "a.m3u8", step: int = 1 << 18, *, application: bool = False) -> str:
    refused = scan(Told(kind, path, len(data), application), data, step)
    return refused.reason if refused else "passed"


@pytest.mark.parametrize(("kind", "data", "path"), GOOD, ids=[path for _, _, path in GOOD])
@pytest.mark.parametrize("step", [1, 97, 1 << 18])
def test_what_is_what_it_says_passes(kind, data, path, step):
    """However the bytes are cut into pieces."""
    assert verdict(kind, data, path, step) == "passed"


@pytest.mark.parametrize(("reason", "kind", "data"), BAD, ids=[f"{n}-{row[0]}" for n, row in enumerate(BAD)])
def test_what_is_not_is_refused_with_its_reason(reason, kind, data):
    """Whole or in small pieces."""
    assert verdict(kind, data) == reason
    assert verdict(kind, data, step=4099) == reason


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("text/html", b"<!doctype html><script>1</script>"), ("text/javascript", b"alert(1)"),
        ("text/css", b"a { color: red }"), ("application/wasm", b"\0asm\1\0\0\0"),
    ],
)  # fmt: skip
def test_applications_may_run(kind, data):
    """What runs passes where release and lane are for that; it still has to be what it says."""
    assert verdict(kind, data, application=True) == "passed"
    assert verdict(kind, b"\x7fELF" + bytes(60), application=True) == "type-mismatch"


@pytest.mark.parametrize("cut", [1, 34, 67])
def test_the_test_virus_is_found_across_pieces_before_its_beginning_is_shown(cut):
    """What could still be its beginning is held back, so that no screen gets a byte of it."""
    before = media.segment(bytes(100_000))[:-50_000]
    data = before + EICAR + bytes(50_000 - len(EICAR))
    whole = Scan(Told(SEGMENT, "a", len(data)))
    whole.feed(data[: len(before) + cut])
    assert whole.verified <= len(before)
    with pytest.raises(Refused, match="EICAR"):
        whole.feed(data[len(before) + cut :])


def test_what_is_judged_whole_is_shown_at_its_end_only():
    """A picture is not shown before it decoded, a film is shown as it passes."""
    for kind, data, streams in ((PNG, picture("PNG"), False), (SEGMENT, media.segment(bytes(1000)), True)):
        whole = Scan(Told(kind, "a", len(data)))
        whole.feed(data)
        assert (whole.verified > 0) is streams
        assert whole.finish() == len(data)


@pytest.mark.parametrize("kind", sorted(KINDS))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_any_bytes_pass_or_are_refused(kind, data):
    """Whatever comes, each kind answers with a verdict, never with a failure of its own."""
    seeds = [good for each, good, _ in GOOD if each == kind] or [b"", b"\0" * 40]
    seed = data.draw(st.sampled_from(seeds))
    at = data.draw(st.integers(0, len(seed)))
    junk = data.draw(st.binary(max_size=300))
    told = data.draw(st.sampled_from([junk, seed[:at] + junk, seed[:at] + junk + seed[at + len(junk) :], seed[:at]]))
    assert isinstance(verdict(kind, told, "a/b.x", application=data.draw(st.booleans())), str)
