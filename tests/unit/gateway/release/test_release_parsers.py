"""Any bytes are a playlist, a presentation, a grant, a description, or a typed refusal; nothing else comes out."""

from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.runtime import config
from appliance.runtime.errors import ConfigError, Corrupt
from gateway.release import grants, marks, playlists, presentations, references
from gateway.release.description import Written

TAGS = ["EXT-X-STREAM-INF:", "EXTINF:", "EXT-X-BYTERANGE:", "EXT-X-MAP:", "EXT-X-KEY:", "EXT-X-MEDIA:", "EXT-X-PART:",
        "EXT-X-PROGRAM-DATE-TIME:", "EXT-X-DATERANGE:", "EXT-X-SERVER-CONTROL:", "EXT-X-START:", "EXT-X-SKIP:", "EXT-X-DEFINE:",
        "EXT-X-MEDIA-SEQUENCE:", "EXT-X-VERSION:", "EXT-X-IMAGE-STREAM-INF:", "EXT-X-I-FRAME-STREAM-INF:", "EXT-X-CUE-OUT:",
        "EXT-OATCLS-SCTE35:", "EXT-X-SESSION-DATA:", "EXT-X-PRELOAD-HINT:", "EXT-X-RENDITION-REPORT:", "EXT-X-TILES:",
        "EXT-X-BITRATE:", "EXT-X-ENDLIST", "EXT-X-DISCONTINUITY", "EXT-X-BLACKOUT", "EXT-X-CONTENT-STEERING:"]  # fmt: skip
WORDS = [
    "BANDWIDTH=1,RESOLUTION=1x1",
    "BANDWIDTH=x",
    'URI="a"',
    "RESOLUTION=1",
    "1@2",
    "9" * 30,
    "NaN",
    "-1",
    "TYPE=AUDIO",
    "=",
]
WORDS += ["2026-10-01T00:00:00Z", 'ID="a",START-DATE="x"', "PART-HOLD-BACK=1"]
VALUES = st.sampled_from(WORDS) | st.text(max_size=30)
LINES = st.tuples(st.sampled_from(TAGS), VALUES).map(lambda pair: f"#{pair[0]}{pair[1]}") | st.text(max_size=20)
ATTRIBUTES = st.dictionaries(
    st.sampled_from(
        ["d", "t", "r", "duration", "timescale", "media", "bandwidth", "width", "id", "range", "startNumber"]
    ),
    st.sampled_from(["0", "1", "-1", "9" * 19, "x", "$Number%09999d$", "$$", "PT1S", "a.m4s", "0-1"]),
    max_size=5,
)
NAMES = [
    "Period",
    "AdaptationSet",
    "Representation",
    "SegmentTemplate",
    "SegmentTimeline",
    "S",
    "BaseURL",
    "SegmentList",
    "SegmentURL",
]


@settings(max_examples=300, deadline=None)
@given(
    st.lists(LINES, max_size=12).map("\n".join).map(lambda text: f"#EXTM3U\n{text}".encode(errors="replace"))
    | st.binary(max_size=200)
)
def test_any_bytes_are_a_playlist_or_corrupt(data):
    """Whatever stands in the lines, the library's failures come out as Corrupt."""
    try:
        found = playlists.parse(data)
    except Corrupt:
        return
    assert found.seconds >= 0


@st.composite
def documents(draw, depth=0):
    name = draw(st.sampled_from(NAMES)) if depth else "MPD"
    told = draw(ATTRIBUTES)
    inner = draw(st.lists(documents(depth + 1), max_size=3)) if depth < 4 else []
    attributes = "".join(f' {key}="{value}"' for key, value in told.items())
    return f"<{name}{attributes}>{''.join(inner)}</{name}>"


@settings(max_examples=100, deadline=None)
@given(documents().map(str.encode) | st.binary(max_size=200))
def test_any_bytes_are_a_presentation_or_corrupt(data):
    """Whatever stands in an MPD, it is read within bounds or is Corrupt."""
    try:
        found = presentations.parse(data)
    except Corrupt:
        return
    assert len(found.references) <= references.MOST


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300) | st.text(max_size=100).map(str.encode))
def test_any_bytes_are_a_grant_or_corrupt(data):
    """Neither payload nor envelope fails in another way."""
    for read in (grants.parse, grants.claimed):
        try:
            read(data)
        except Corrupt:
            continue
        raise AssertionError("random bytes are no grant")


@settings(max_examples=200, deadline=None)
@given(
    st.binary(max_size=200)
    | st.tuples(st.sampled_from([*Written.model_fields]), st.text(max_size=30)).map(
        lambda pair: f"{pair[0]}: {pair[1]}".encode(errors="replace")
    )
)
def test_any_bytes_are_a_description_or_faults(data):
    """A release.yaml is right, or its faults are told with their places."""
    faults = []
    try:
        config.parse(data, Written, "release.yaml")
    except ConfigError as error:
        faults = error.faults
    assert all(fault.file == "release.yaml" and fault.line >= 1 for fault in faults)


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=60), st.sampled_from(["master.m3u8", "a/b/index.m3u8"]))
def test_an_address_stays_in_the_folder_or_is_refused(text, base):
    """Whatever a playlist says, what comes out is a right name below the folder."""
    try:
        path = references.resolve(base, text)
    except ValueError:
        return
    assert ".." not in path.split("/")
    assert not path.startswith("/")


@given(
    st.sampled_from(["image/png", "text/vtt; charset=utf-8", "video/mp2t", "application/xml", "a/b"]),
    st.binary(max_size=600),
)
def test_any_first_bytes_are_judged(kind, head):
    """The first bytes of anything give a sentence or none."""
    assert isinstance(marks.fault_in(kind, head), str)
