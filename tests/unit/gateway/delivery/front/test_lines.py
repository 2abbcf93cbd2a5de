"""Lines of nginx's log, and what delivery has nginx say in them."""

from __future__ import annotations

import pytest

from gateway.delivery.front import lines, opaque
from gateway.delivery.front.lines import LONGEST, Began, Ended, Turned
from gateway.delivery.front.opaque import MOST_SPANS, Carried
from tests.unit.gateway.delivery.front.said import CARRIED, METER, began, ended, told


def test_both_kinds_of_lines_are_read():
    """A line that begins names the connection and what it carries, one that ends also what the kernel took."""
    read = lines.read(began(subject="p1", marks="m.n").strip(b"\n"))
    over = lines.read(told(query="CMCD=br%3D1", cmcd=["bl=1", "", "", ""], http2="h2", passed=True).strip(b"\n"))

    assert isinstance(read, Began)
    assert (read.id, read.screen, read.port, read.meter, read.subject, read.marks, read.carried) == (
        "1", "10.20.0.50", 40000, METER, "p1", "m.n", False,
    )  # fmt: skip
    assert isinstance(over, Ended)
    assert (over.status, over.sent, over.body, over.seconds, over.at) == (200, 1200, 1000, 0.25, 1_800_000_000.5)
    assert (over.done, over.requests) == (True, 1)
    assert (over.query, over.cmcd, over.http2, over.passed) == ("CMCD=br%3D1", ("bl=1", "", "", ""), True, True)


def test_a_plain_line_says_what_another_does():
    """One in which a screen says nothing."""
    plain, other = (
        lines.read(ended(subject="p1", marks="m.n").strip(b"\n")),
        lines.read(told(subject="p1", marks="m.n").strip(b"\n")),
    )

    assert plain == other
    part = told(body=10, length="100", range="bytes 500-599/1000")
    assert lines.read(ended(body=10, length=100, spans="bytes 500-599/1000").strip(b"\n")) == lines.read(
        part.strip(b"\n")
    )
    assert lines.read(ended(done="", status=0, subject="p1", marks="m.n").strip(b"\n")) == plain._replace(
        status=0, done=False
    )  # type: ignore[union-attr]


def test_small_answers_that_are_alike_are_told_as_one():
    """Of one connection, and of none that has its name later; what has an id, or carries something else, stands alone."""
    said = [
        ended("", at=1_800_000_000.25),
        ended("", port=40001),
        ended("", at=1_800_000_000.75),
        ended("", at=1_800_000_000.75, body=500, length=1000),
        ended("1"),
        ended("", connection=8),
        ended("", subject="p1"),
        b"e  garbage\n",
        ended("", done=""),
    ]
    read = lines.read_all([line.strip(b"\n") for line in said])

    assert [one.requests if isinstance(one, Ended) else one for one in read] == [2, 1, 1, 1, 1, 1, None, 1]
    first = read[0]
    assert isinstance(first, Ended)
    assert (first.sent, first.body, first.since, first.at) == (1200, 1000, 1_800_000_000.25, 1_800_000_000.75)


def test_a_clock_that_is_set_back_lets_nothing_end_before_it_began():
    said = [ended("", at=at).strip(b"\n") for at in (1_800_000_009.5, 1_800_000_000.25)]
    (one,) = lines.read_all(said)

    assert isinstance(one, Ended)
    assert (one.requests, one.since, one.at) == (2, 1_800_000_000.25, 1_800_000_000.25)


def test_small_answers_of_a_clock_that_was_never_set_stand_alone():
    """And so does what is no line."""
    said = [ended("", at=at, body=1000).strip(b"\n") for at in (12.345, 123.456, 123.456)]
    read = lines.read_all([*said, b"e  ", b"e  x", b"e  xxxxxxxxxxxxxx y", b"e  yyyyyyyyyyyyyy y"])

    assert [one.at for one in read if isinstance(one, Ended)] == [12.345, 123.456, 123.456]
    assert read[3:6] == [None, None, None]


@pytest.mark.parametrize(
    ("more", "done"),
    [
        ({"length": "1000"}, True),
        ({"length": "1001"}, False),
        ({"length": ""}, True),
        ({"length": "1001", "meter": ""}, True),
        ({"length": "5", "status": 304, "body": 0}, True),
    ],
)
def test_what_delivery_broke_off_is_not_complete_whatever_nginx_calls_it(more, done):
    """The length that was told decides, where content was to come."""
    over = lines.read(told(passed=True, **more).strip(b"\n"))

    assert isinstance(over, Ended)
    assert over.done is done


def test_what_a_screen_sends_in_no_encoding_does_not_keep_it_from_being_counted():
    """nginx writes a query's bytes as they came."""
    over = lines.read(told(query="@").strip(b"\n").replace(b"@", b"\xff\xfe"))

    assert isinstance(over, Ended)
    assert over.body == 1000


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"null",
        b"{}",
        b"[1]",
        b'{"began":1}',
        b"{" * 100_000,
        b'{"ended":"1","screen":"10.20.0.50","port":"40000","st',
        *[
            told(**wrong).strip(b"\n")
            for wrong in (
                {"port": "0"}, {"port": "70000"}, {"screen": 7}, {"sent": -1}, {"body": 1.5}, {"body": True}, {"body": 1 << 60},
                {"seconds": "0"}, {"at": float("nan")}, {"at": 1e300}, {"meter": 7}, {"cmcd": 7}, {"status": "200"}, {"query": None},
            )
        ],
        *[
            ended(**wrong).strip(b"\n")
            for wrong in (
                {"port": 0}, {"port": 70000}, {"screen": "screen x"}, {"body": -1}, {"body": 1 << 60}, {"at": float("nan")}, {"at": 1e300},
                {"meter": "#"}, {"status": 20000}, {"subject": "a b"}, {"done": "NO"},
            )
        ],
        *[began(**wrong).strip(b"\n") for wrong in ({"port": 0}, {"name": ""}, {"meter": ""}, {"marks": "a b"}, {"subject": "\xff"})],
        ended().strip(b"\n") + b" x",
        b" " * LONGEST + ended().strip(b"\n"),
    ],
)  # fmt: skip
def test_what_is_no_line_is_told_so(line):
    """Whatever stands in the log, reading goes on."""
    assert lines.read(line) is None


def test_a_line_says_where_content_began_and_how_much_was_to_come():
    """Of nginx's own answers, so that the disk can be looked at where one broke off; nothing of it makes it incomplete."""
    over = lines.read(told(body=10, length="100", range="bytes 500-599/1000", head=0).strip())
    head = lines.read(told(body=0, length="1000", range="", head=1).strip())

    assert isinstance(over, Ended)
    assert isinstance(head, Ended)
    assert (over.first, over.length, over.head, over.done) == (500, 100, False, True)
    assert (head.first, head.length, head.head, head.done) == (0, 1000, True, True)


def test_what_nginx_refused_has_its_reason():
    assert lines.read(b'{"refused":"too-slow"}') == Turned("too-slow")
    assert lines.read(b'{"refused":400}') is None


def test_a_line_that_is_said_again_is_known_as_such():
    """And is as good as the first one; said a third time it does not grow."""
    first = lines.read(began().strip(b"\n"))
    assert isinstance(first, Began)
    again = lines.read(lines.carried(first).encode())
    assert isinstance(again, Began)

    assert again.carried
    assert again == first._replace(carried=True)
    assert lines.carried(again) == lines.carried(first)


def test_delivery_reads_what_it_had_nginx_say():
    """The text is URL-safe, whatever a file is called."""
    named = CARRIED._replace(path='电影/"1\n', spans=((90, 1000), (1180, 5)))

    assert opaque.read(opaque.told(named)) == named
    assert opaque.told(named).replace("-", "").replace("_", "").isalnum()


LONG = opaque.told(CARRIED._replace(spans=((1, 2),) * (MOST_SPANS + 1)))


@pytest.mark.parametrize("text", ["", "####", "e30", "x" * 9000, opaque.told(CARRIED)[:-8], LONG])
def test_what_delivery_never_said_is_refused(text):
    """A text that is cut or long or another's is none."""
    with pytest.raises(ValueError):  # noqa: PT011 (of whatever kind it is)
        opaque.read(text)


def test_content_is_told_from_the_heads_of_parts():
    """Of an answer in several parts only the stretches count that are content, as far as it came."""
    parts = Carried("1", "a", "b", "hit", ((100, 50), (250, 30)))

    assert [parts.content(sent) for sent in (0, 100, 120, 200, 260, 400)] == [0, 0, 20, 50, 60, 80]
    assert CARRIED.content(7) == 7
