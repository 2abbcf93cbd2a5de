"""What players tell of themselves, as each of them writes it; and any other bytes."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.delivery.cmcd import HEADERS, LONGEST, LONGEST_EVENT, MOST_EVENTS, Told, events, parse

V1 = 'bl=21300,br=3200,bs,cid="faec",d=4004,dl=18500,mtp=48100,nor="..%2F3.m4v",ot=v,rtp=12000,sf=d,sid="6e2f",st=v,su,tb=6000'
TOLD = Told(
    "6e2f", starting=True, starved=True, buffer=21.3, bitrate=3_200_000, throughput=48_100_000, next=("../3.m4v",)
)


def test_version_1_in_the_query_and_in_headers_is_the_same():
    """hls.js, dash.js and shaka send either; by headers the fields are spread over four."""
    spread = {
        "CMCD-Request": 'bl=21300,dl=18500,mtp=48100,nor="..%2F3.m4v",su',
        "CMCD-Object": "br=3200,d=4004,ot=v,tb=6000",
        "CMCD-Status": "bs,rtp=12000",
        "CMCD-Session": 'cid="faec",sf=d,sid="6e2f",st=v',
    }
    assert parse({}, {"CMCD": V1}) == parse(spread, {}) == TOLD


def test_version_2_sends_lists():
    """Of what is told of several tracks the largest counts; a start is told in milliseconds."""
    told = parse({}, {"CMCD": 'br=(128;a 800;v),bl=(12000;v 9000;a),nor=("x";r="0-9"),sid="a",v=2,msd=1200'})
    assert told == Told("a", buffer=12.0, bitrate=800_000, next=("x",), start=1.2)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", None),
        ("br=", None),
        ("br=3200,,", None),
        ("a" * (LONGEST + 1), None),
        ('sid="é"', None),
        ("br=-1,bl=99999999999,mtp=?1", Told()),
        ('br="3200",sid=abc', Told()),
        (f'sid="{"a" * 65}"', Told()),
    ],
)
def test_what_cannot_be_is_nothing(text, told):
    """A field that is wrong is not believed, and a text that is none is no text."""
    assert parse({}, {"CMCD": text}) == told


@given(st.text(), st.sampled_from(HEADERS))
def test_any_text_is_told_or_nothing(text, name):
    """Nothing that a screen sends raises."""
    parse({name: text}, {"CMCD": text})


KEYS = ("br", "bs", "su", "sid", "bl", "nor", "*a")
VALUES = ("1", "-7", "0", "123456789012345", "1.5", '"a b"', '"', "tok/en", "?0", "(1 2)")
PIECES = (*KEYS, *VALUES, "=", "=", ",", ", ", ";", " ", "\t")


@given(st.lists(st.sampled_from(PIECES), max_size=12).map("".join))
@example('bl=21300,br=3200,bs,cid="fa,ec",nor="..%2F3.m4v",ot=v,sf=d,sid="6e2f" ,\tsu')
def test_the_usual_fields_mean_what_any_field_of_rfc_9651_does(text):
    """What is read by one look at the whole is told as where a parameter, which is heard by nobody, has it read member by member."""
    if text == text.strip():
        assert parse({}, {"CMCD": text}) == parse({}, {"CMCD": f"{text};x"} if text else {})


def test_a_report_is_events_on_lines():
    """As hls.js and dash.js write them; a stall is a change of the player's state to rebuffering, and none that an interval tells again."""
    body = (
        b'e=ps,sid="6e2f",sta=s,ts=1764400000000,v=2\n'
        b'e=ps,msd=900,sid="6e2f",sta=p,ts=1764400000900,v=2\r\n'
        b'bl=(0),br=(800;v),e=ps,sid="6e2f",sta=r,ts=1764400003000,v=2\n'
        b'e=t,nor=("x"),sid="6e2f",sta=r,ts=1764400004000,v=2\n\n'
    )
    assert events(body) == (
        [
            Told("6e2f", starting=True),
            Told("6e2f", start=0.9),
            Told("6e2f", starting=True, starved=True, buffer=0.0, bitrate=800_000),
            Told("6e2f", starting=True),
        ],
        0,
    )


@pytest.mark.parametrize("line", ["sta=p", "e=", "e=1", "\xff", "e=t," + "a" * LONGEST_EVENT])
def test_lines_that_are_no_events_are_counted(line):
    assert events(f"{line}\ne=t\n".encode()) == ([Told(starting=True)], 1)


def test_a_report_has_so_many_events_at_most():
    assert [len(each) if isinstance(each, list) else each for each in events(b"e=t\n" * 150)] == [MOST_EVENTS, 50]


@given(st.binary())
def test_any_bytes_are_events_or_not(body):
    found, unread = events(body)
    assert len(found) + unread <= body.count(b"\n") + body.count(b"\r") + len(body)
