from dataclasses import replace

import pytest

from gateway.caching import fields, freshness, ranges, validation, variants
from gateway.caching.cache_status import Did, told
from gateway.caching.decide import Ask, Nothing, Use, decide, forwarded, helps
from gateway.caching.directives import LONGEST, cache_control, of_response
from gateway.caching.stored import Asked, Stored
from gateway.serving.choose import Part, Unsatisfiable

NOW = 1_800_000_000.0
DATE = ("Date", "Fri, 15 Jan 2027 08:00:00 GMT")  # NOW


def asked(*given: tuple[str, str], method: str = "GET") -> Asked:
    return Asked(method, "epg.example", "/now", given)


def stored(*given: tuple[str, str], status: int = 200, size: int = 10, **other) -> Stored:
    return Stored(
        "epg.example/now", status, "OK", (DATE, *given), NOW, NOW, size, ((0, size),) if size else (), **other
    )


def cc(value: str) -> tuple[str, str]:
    return ("Cache-Control", value)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("Fri, 15 Jan 2027 08:00:00 GMT", NOW),
        ("FRI, 15 JAN 2027 08:00:00 gmt", NOW),
        ("Friday, 15-Jan-27 08:00:00 GMT", NOW),
        ("Fri Jan 15 08:00:00 2027", NOW),
        ("Sunday, 06-Nov-94 08:49:37 GMT", 784111777.0),  # more than 50 years ahead is the century before
        ("Fri, 15 Jan 2027 08:00:00 UTC", None),
        ("Fri, 15 Jan 27 08:00:00 GMT", None),
        ("Fri 15 Jan 2027 08:00:00 GMT", None),
        ("Fri, 15  Jan 2027 08:00:00 GMT", None),
        ("Fri, 15-Jan-2027 08:00:00 GMT", None),
        ("Fri, 15 Jan 2027 08.00.00 GMT", None),
        ("Fri, 15 Jan 2027 8:00:00 GMT", None),
        ("Fri, 35 Jan 2027 08:00:00 GMT", None),
        ("0", None),
        (None, None),
    ],
)
def test_dates_are_read_in_three_forms_and_no_other(text, seconds):
    assert fields.date(text, NOW) == seconds


@pytest.mark.parametrize(
    ("value", "name", "seconds"),
    [
        ("max-age=60", "max-age", 60),
        ("MAX-AGE=60", "max-age", 60),
        ("max-age=0060", "max-age", 60),
        ('max-age="60"', "max-age", 60),
        ("max-age=99999999999", "max-age", LONGEST),
        ("max-age='60'", "max-age", 0),
        ("max-age=-60", "max-age", 0),
        ("max-age=6.0", "max-age", 0),
        ("max-age =60", "max-age", None),
        ('other="max-age=60", x', "max-age", None),
        ("max-age=1, max-age=60", "max-age", 1),
        ("x", "max-age", None),
    ],
)
def test_directives_are_read_strictly(value, name, seconds):
    assert cache_control([cc(value)]).seconds(name) == seconds


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        ([("CDN-Cache-Control", "max-age=60"), cc("max-age=1")], 60),
        ([("CDN-Cache-Control", "max-age=60, &&"), cc("max-age=1")], 1),
        ([("CDN-Cache-Control", "MaX-aGe=60"), cc("max-age=1")], 1),
        ([("CDN-Cache-Control", ""), cc("max-age=1")], 1),
        ([("CDN-Cache-Control", 'max-age="60", foo')], None),
        ([("Surrogate-Control", "max-age=60"), cc("max-age=1")], 1),
    ],
)
def test_a_valid_targeted_field_goes_before_cache_control(given, seconds):
    assert of_response(given).seconds("max-age") == seconds


def test_targeted_fields_are_heeded_in_the_order_of_the_site():
    given = [("CDN-Cache-Control", "max-age=60"), ("Headgate-Cache-Control", "max-age=7")]
    assert of_response(given, ("headgate-cache-control", "cdn-cache-control")).seconds("max-age") == 7


@pytest.mark.parametrize(
    ("age", "seconds"),
    [
        ("30", 30),
        ("abc", 0),
        ("-5", 0),
        ("7.0", 0),
        ("7200, 0", 7200),
        ("0, 7200", 0),
        ("7;a=b", 0),
        ("9" * 30, LONGEST),
    ],
)
def test_a_bad_age_counts_for_nothing_and_of_several_the_first(age, seconds):
    assert freshness.told_age([("Age", age)]) == seconds


def test_the_age_adds_what_was_told_what_the_answer_took_and_what_it_was_kept():
    late = replace(stored(("Age", "30")), requested=NOW - 2, received=NOW)
    assert freshness.age(late, NOW + 5) == 37
    slow_clock = replace(stored(), requested=NOW + 100, received=NOW + 100)
    assert freshness.age(slow_clock, NOW + 105) == 105


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        ([cc("max-age=60, s-maxage=5")], 5),
        ([cc("max-age=60"), ("Expires", "0")], 60),
        ([("Expires", "Fri, 15 Jan 2027 08:01:00 GMT")], 60),
        ([("Expires", "never")], 0),
        ([("Last-Modified", "Fri, 15 Jan 2027 07:50:00 GMT")], 60),
        ([("Last-Modified", "Fri, 15 Jan 2016 07:50:00 GMT")], freshness.HEURISTIC_MOST),
        ([("Last-Modified", "Fri, 15 Jan 2027 07:50:00 GMT"), ("Set-Cookie", "a=b")], 0),
        ([("CDN-Cache-Control", "foo"), ("Expires", "Fri, 15 Jan 2027 08:01:00 GMT")], 0),
        ([], 0),
    ],
)
def test_lifetimes(given, seconds):
    assert freshness.lifetime(stored(*given)) == seconds


@pytest.mark.parametrize(
    ("request_", "status", "given", "kept"),
    [
        ([], 200, [cc("max-age=60")], True),
        ([], 200, [cc("no-store, max-age=60")], False),
        ([], 200, [cc("no-store, must-understand, max-age=60")], True),
        ([], 599, [cc("no-store, must-understand, max-age=60")], False),
        ([], 599, [cc("max-age=60")], True),
        ([], 200, [cc("private, max-age=60")], False),
        ([], 200, [cc('private="a", max-age=60')], True),
        ([], 200, [cc("max-age=60"), ("Vary", "Foo, *")], False),
        ([], 200, [("ETag", '"a"')], True),
        ([], 200, [], False),
        ([], 503, [("Last-Modified", "x")], False),
        ([], 599, [cc("public"), ("Last-Modified", "x")], True),
        ([cc("no-store")], 200, [cc("max-age=60")], False),
        ([("Authorization", "a")], 200, [cc("max-age=60")], False),
        ([("Authorization", "a")], 200, [cc("max-age=60, public")], True),
        ([("Authorization", "a")], 200, [cc("max-age=60, must-revalidate")], True),
        ([("Authorization", "a")], 200, [cc("s-maxage=60")], True),
        ([], 200, [cc("no-store"), ("CDN-Cache-Control", "max-age=60")], True),
    ],
)
def test_what_may_be_kept(request_, status, given, kept):
    assert freshness.storable(asked(*request_), status, given, NOW) is kept


@pytest.mark.parametrize(
    ("vary", "first", "second", "same"),
    [
        ("Foo", [("Foo", "1")], [("Foo", "1"), ("Other", "2")], True),
        ("Foo", [("Foo", "1")], [("Foo", "2")], False),
        ("Foo", [], [("Foo", "")], False),
        ("Foo", [("Foo", "1, 2")], [("Foo", "1"), ("Foo", "2")], True),
        ("foo, BAR", [("Foo", "1"), ("Bar", "2")], [("bar", "2"), ("foo", "1")], True),
        ("Accept-Language", [("Accept-Language", "en, de")], [("Accept-Language", "De ,eN")], True),
        ("Accept-Language", [("Accept-Language", "en;q=0.5, de")], [("Accept-Language", "en, de")], False),
        ("Accept-Encoding", [("Accept-Encoding", "gzip")], [("Accept-Encoding", "br")], False),
    ],
)
def test_vary_selects_by_what_the_fields_mean(vary, first, second, same):
    kept = stored(vary=variants.selecting([("Vary", vary)], first))
    assert variants.matches(kept, asked(*second)) is same


def test_a_response_in_the_language_preferred_to_all_others_is_reused():
    kept = stored(("Content-Language", "de"), vary=(("accept-language", "x"),))
    assert variants.matches(kept, asked(("Accept-Language", "fr;q=0.5, de")))
    assert not variants.matches(kept, asked(("Accept-Language", "fr, de;q=0.5")))
    assert not variants.matches(kept, asked(("Accept-Language", "fr, de")))


@pytest.mark.parametrize(
    ("request_", "given", "after", "decision"),
    [
        ([], [cc("max-age=60")], 59, "use"),
        ([], [cc("max-age=60")], 60, "stale"),
        ([], [cc("no-cache, max-age=60")], 1, "stale"),
        ([], [cc('no-cache="a", max-age=60')], 1, "use"),
        ([cc("no-cache")], [cc("max-age=60")], 1, "request"),
        ([("Pragma", "no-cache")], [cc("max-age=60")], 1, "request"),
        ([cc("max-age=600"), ("Pragma", "no-cache")], [cc("max-age=60")], 1, "use"),
        ([cc("max-age=5")], [cc("max-age=60")], 6, "request"),
        ([cc("min-fresh=30")], [cc("max-age=60")], 40, "request"),
        ([cc("min-fresh=10")], [cc("max-age=60")], 40, "use"),
        ([cc("max-stale=30")], [cc("max-age=60")], 80, "use"),
        ([cc("max-stale")], [cc("max-age=60")], 8000, "use"),
        ([cc("max-stale=10")], [cc("max-age=60")], 80, "stale"),
        ([cc("max-stale=30")], [cc("max-age=60, must-revalidate")], 80, "stale"),
        ([], [cc("max-age=60, stale-while-revalidate=30")], 80, "refresh"),
        ([], [cc("max-age=60, stale-while-revalidate=30")], 91, "stale"),
        ([], [cc("max-age=60, stale-while-revalidate=30, proxy-revalidate")], 80, "stale"),
        ([cc("only-if-cached")], [cc("max-age=60")], 80, "nothing"),
        ([cc("only-if-cached")], [cc("max-age=60")], 10, "use"),
    ],
)
def test_what_becomes_of_a_request(request_, given, after, decision):
    match decide(asked(*request_), [stored(*given)], NOW + after):
        case Use(_, refresh):
            found = "refresh" if refresh else "use"
        case Ask(why, kept):
            assert kept is not None
            found = why
        case Nothing():
            found = "nothing"
    assert found == decision


def test_nothing_kept_and_nothing_that_fits_are_told_apart():
    assert decide(asked(), [], NOW) == Ask("uri-miss")
    assert decide(asked(), [stored(cc("max-age=60"), vary=(("foo", "1"),))], NOW) == Ask("vary-miss")
    assert decide(asked(cc("only-if-cached")), [], NOW) == Nothing()


def test_of_two_that_fit_the_later_one_is_used():
    older, newer = stored(cc("max-age=600")), replace(stored(cc("max-age=600"), status=404), received=NOW + 1)
    assert decide(asked(), [newer, older], NOW + 2) == Use(newer)


def test_what_was_purged_softly_is_asked_for_again_and_helps_out():
    soft = replace(stored(cc("max-age=600"), ("ETag", '"a"')), soft=True)
    assert decide(asked(), [soft], NOW + 1) == Ask("stale", soft)
    assert helps(soft, asked(), NOW + 1, None)
    assert not validation.updated(soft, [], NOW, NOW).soft


@pytest.mark.parametrize(
    ("given", "after", "answered", "good"),
    [
        ("max-age=1", 100, None, True),
        ("max-age=1", 100, 503, True),
        ("max-age=1", 100, 404, False),
        ("max-age=1", freshness.ON_ERROR + 2, None, False),
        ("max-age=1, stale-if-error=60", 60, 500, True),
        ("max-age=1, stale-if-error=60", 62, 500, False),
        ("max-age=1, must-revalidate", 100, None, False),
        ("max-age=1, proxy-revalidate", 100, None, False),
        ("s-maxage=1", 100, None, False),
        ("no-cache", 100, None, False),
    ],
)
def test_a_stale_response_helps_out_where_that_is_not_forbidden(given, after, answered, good):
    assert helps(stored(cc(given)), asked(), NOW + after, answered) is good


@pytest.mark.parametrize(
    ("request_", "given", "same"),
    [
        ([("If-None-Match", '"a"')], [("ETag", '"a"')], True),
        ([("If-None-Match", '"b", W/"a"')], [("ETag", '"a"')], True),
        ([("If-None-Match", '"b"')], [("ETag", '"a"')], False),
        ([("If-None-Match", "*")], [("ETag", '"a"')], True),
        (
            [("If-None-Match", '"b"'), ("If-Modified-Since", DATE[1])],
            [("ETag", '"a"'), ("Last-Modified", DATE[1])],
            False,
        ),
        ([("If-Modified-Since", DATE[1])], [("Last-Modified", DATE[1])], True),
        ([("If-Modified-Since", DATE[1])], [], True),  # its Date, where it has no Last-Modified
        ([("If-Modified-Since", "Fri, 15 Jan 2027 07:00:00 GMT")], [], False),
        ([("If-Modified-Since", "yesterday")], [("Last-Modified", DATE[1])], False),
    ],
)
def test_the_screens_own_conditions(request_, given, same):
    assert validation.not_modified(asked(*request_), stored(*given), NOW) is same


def test_a_304_changes_all_but_what_describes_the_bytes():
    kept = stored(("ETag", '"a"'), ("X", "1"), ("Y", "1"), ("Age", "9"), ("Content-Encoding", "br"))
    fresh = validation.updated(
        kept,
        [("X", "2"), ("Content-Encoding", "gzip"), ("Content-Length", "3"), ("Connection", "z"), ("Z", "1")],
        NOW,
        NOW + 9,
    )
    assert dict(fresh.fields) == {"Date": DATE[1], "ETag": '"a"', "X": "2", "Y": "1", "Content-Encoding": "br"}
    assert fresh.received == NOW + 9


def test_validators_are_sent_instead_of_the_screens_conditions():
    kept = stored(("ETag", 'W/"a"'), ("Last-Modified", "then"))
    sent = forwarded(asked(("If-None-Match", '"old"'), ("X", "1"), ("Connection", "close")), Ask("stale", kept))
    assert sent == (("X", "1"), ("If-None-Match", 'W/"a"'), ("If-Modified-Since", "then"))


def test_a_part_is_used_completed_and_combined_by_a_strong_validator_alone():
    part = replace(stored(("ETag", '"a"'), cc("max-age=60"), status=206), spans=((0, 5),))
    assert decide(asked(("Range", "bytes=1-3")), [part], NOW) == Use(part)
    assert decide(asked(("Range", "bytes=20-")), [part], NOW) == Use(part)  # 416, from the length alone
    assert decide(asked(("Range", "bytes=3-7")), [part], NOW) == Ask("partial", part)
    assert decide(asked(), [part], NOW) == Ask("partial", part)
    assert forwarded(asked(), Ask("partial", part)) == (("Range", "bytes=5-"), ("If-Range", '"a"'))
    assert ranges.combinable(part, [("ETag", '"a"'), ("Content-Range", "bytes 5-9/10")])
    assert not ranges.combinable(part, [("ETag", '"b"'), ("Content-Range", "bytes 5-9/10")])
    assert not ranges.combinable(part, [("ETag", '"a"'), ("Content-Range", "bytes 5-10/11")])
    weak = replace(part, fields=(("ETag", 'W/"a"'),))
    assert not ranges.combinable(weak, [("ETag", 'W/"a"'), ("Content-Range", "bytes 5-9/10")])


@pytest.mark.parametrize("value", ["bytes 4-9/9", "bytes 9-4/10", "bytes 4-9/*", "bits 4-9/10", "bytes 4-9"])
def test_a_content_range_that_cannot_be_is_none(value):
    assert ranges.told([("Content-Range", value)]) is None


def test_spans_join_where_they_touch():
    assert ranges.joined([(5, 9), (0, 5), (20, 30)]) == ((0, 9), (20, 30))


def test_ranges_of_what_is_kept_heed_if_range():
    whole = stored(("ETag", '"a"'))
    assert ranges.wanted(asked(("Range", "bytes=-3")), whole) == Part(7, 9)
    assert ranges.wanted(asked(("Range", "bytes=10-")), whole) == Unsatisfiable()
    assert ranges.wanted(asked(("Range", "bytes=0-1"), ("If-Range", '"a"')), whole) == Part(0, 1)
    assert ranges.wanted(asked(("Range", "bytes=0-1"), ("If-Range", 'W/"a"')), whole) != Part(0, 1)


def test_hop_by_hop_fields_go_no_further():
    given = [("Connection", "close, X"), ("X", "1"), ("Proxy-Authenticate", "a"), ("Upgrade", "h2"), ("Y", "1")]
    assert fields.end_to_end(given) == (("Y", "1"),)


@pytest.mark.parametrize(
    ("did", "text"),
    [
        (Did(hit=True, ttl=-3, key="h/a"), 'headgate;hit;ttl=-3;key="h/a"'),
        (Did(fwd="uri-miss", stored=True), "headgate;fwd=uri-miss;stored"),
        (Did(fwd="uri-miss", collapsed=True), "headgate;fwd=uri-miss;collapsed"),
        (Did(fwd="stale", fwd_status=304, stored=True), "headgate;fwd=stale;fwd-status=304;stored"),
    ],
)
def test_cache_status(did, text):
    assert told(did) == text
