"""nginx's configuration, as the policy makes it: what is asked, what is nobody's but delivery's, where TLS is."""

import re
from pathlib import Path
from urllib.parse import unquote_to_bytes

import pytest

from appliance.identity.keys import PrivateKey
from gateway.delivery.front.configuration import LESS, PLAIN, REFUSED, WRITTEN, generation, render
from gateway.isolation import policy as policies

KEY = PrivateKey.generate().public
POLICY = f"""
site: box
zones:
  management: {{port: "02:68:67:28:00:0b", addresses: [10.40.0.1/24]}}
  culture: {{port: "02:68:67:0a:00:0b", addresses: [10.10.0.1/24]}}
  bigscreen: {{port: "02:68:67:14:00:0b", addresses: ["fd00:20::1/64"]}}
bodies:
  library: {{name: 图书馆, keys: ["{KEY}"], identifiers: ["isli:999999-1"], acts: [share]}}
services:
  delivery: {{zone: bigscreen, run: delivery, listen: tcp/80, from: ["fd00:20::/64"], front: nginx}}
never:
  - {{from: bigscreen, to: management}}
"""
DOOR = f'permission: {{zones: [bigscreen], issuers: {{portal: {{keys: ["{KEY}"]}}}}}}\n'
WEB = """
reach:
  web: {zone: culture, run: fetch, to: [10.10.0.20], port: tcp/80}
web:
  portal: {hosts: [portal.example, "epg.example:8080"], address: 10.10.0.20, request: 2 MiB}
lanes:
  web: {from: culture, to: bigscreen, kind: web}
"""


def rendered(text: str, *, quick: bool = True) -> str:
    return render(policies.parse(text.encode()), "bigscreen", Path("/run/f"), Path("/run/n"), quick=quick, workers=2)


def blocks(text: str, opening: str) -> list[str]:
    """Return what stands in the blocks that open with a line, up to the line that closes them."""
    return [
        found[1] for found in re.finditer(rf"^ *{re.escape(opening)} {{\n(.*?)^ *}}$", text, re.MULTILINE | re.DOTALL)
    ]


def test_without_tokens_an_object_is_asked_for_and_no_permission():
    text = rendered(POLICY)
    assert "listen [fd00:20::1]:80 default_server;" in text
    assert "/-/permit" not in text
    assert "alias /run/f/trees$object;" in text
    assert generation(policies.parse(POLICY.encode())) in text


def test_with_tokens_nothing_is_reached_but_by_what_was_permitted():
    text = rendered(POLICY + DOOR)
    assert "alias /run/f$door$object;" in text
    assert "/trees$object" not in text
    key = re.search(r'proxy_cache_key "(.* permit .*)";', text)
    assert key is not None
    for part in ("$remote_addr", "$scheme", "$http_host", "$folder", "$http_cta_common_access_token", "$http_cookie"):
        assert part in key[1]


def test_without_its_modules_nginx_asks_each_time():
    text = rendered(POLICY + DOOR, quick=False)
    assert not [word for word in ("lua", "load_module", "$way", "$session", "/-/small") if word in text]
    assert "if ($target) { rewrite ^ /-/door last; }" in text
    assert "'e $request_id $msec" in text


def test_what_is_remembered_of_a_session_depends_on_all_that_delivery_is_told_of_it():
    text = rendered(POLICY + DOOR)
    asked = blocks(text, "location = /-/permit")[0]
    known = re.search(r'map "" \$session { default "(.*)"; }', text)
    assert known is not None
    told = set(re.findall(r"proxy_set_header \S+ (\$\w+);", asked))
    assert told == {*known[1].split(r"\n"), "$folder"}  # that one is of the object
    assert '{ "door", "subject", "marks" }' in text
    assert "{  }, {" in rendered(POLICY)  # no permission is asked for


@pytest.mark.parametrize(
    ("path", "plain"),
    [
        ("/r/999999-1-4/video/720p/seg-1.m4s", True),
        ("/r/999999-1-4/a(1),(2)=3@4+5~.m4s", True),
        ("/r/999999-1-4/../b.m4s", False),
        ("/r/999999-1-4/%2e%2e/b.m4s", False),
        ("/r/999999-1-4/%61.m4s", False),
        ("/r/999999-1-4//b.m4s", False),
        ("/r/999999-1-4/b.m4s?CMCD=br%3D1", False),
        ("/r/999999-1-4/a.m3u8", False),
        ("/r/999999-1-4/\u5218.m4s", False),
        ("http://box/r/999999-1-4/b.m4s", False),
    ],
)
def test_a_plain_request_is_one_that_names_a_file_and_says_nothing_else(path, plain):
    """Whatever it says besides makes it another one."""
    found = re.search(
        r'map "\$request_method ((?:\$\w+ )+)\$request_uri" \$plain \{ "(.*)" \$1;', rendered(POLICY + DOOR)
    )
    assert found is not None
    names = found[1].split()
    assert {"$http2", "$args", "$http_range", "$http_if_none_match", "$http_cmcd_request"} < set(names)
    for said in range(-1, len(names)):
        values = ["x" if place == said else "" for place in range(len(names))]
        one = matched(found[2], " ".join(("GET", *values, path)).encode())
        assert (one is not None) == (plain and said < 0)
        assert one is None or one[1] == path.encode()
    assert matched(found[2], " ".join(("HEAD", *[""] * len(names), path)).encode()) is None


def test_every_way_on_to_delivery_says_nothing_that_a_screen_said_for_nginx():
    text = rendered(POLICY + DOOR + WEB)
    ways = text.count("proxy_pass http://delivery$request_uri;")
    assert ways == 5
    for name in ('Headgate-Ask ""', 'Headgate-Target ""', 'Headgate-Generation ""', "Headgate-Screen $remote_addr"):
        assert text.count(f"proxy_set_header {name};") >= ways
    assert text.count("proxy_ignore_headers X-Accel-Redirect") == ways
    assert text.count("proxy_hide_header Headgate-Meter;") == ways


def test_the_hosts_of_plain_http_origins_have_a_server_of_their_own():
    text = rendered(POLICY + WEB)
    assert "server_name epg.example portal.example;" in text
    assert f"client_max_body_size {2 << 20};" in text
    assert "server_name" not in rendered(POLICY)


def test_tls_brings_http_2():
    text = rendered(POLICY.replace("front: nginx", "front: nginx, tls: {certificate: a.crt, key: a.key}") + WEB)
    assert text.count("listen [fd00:20::1]:80 ssl http2") == 2
    assert text.count("ssl_certificate /etc/headgate/front/a.crt; ssl_certificate_key /etc/headgate/front/a.key;") == 2


def test_no_nginx_no_configuration():
    with pytest.raises(ValueError, match="front: nginx"):
        rendered(POLICY.replace(", front: nginx", ""))


def matched(pattern, text):
    """Return what nginx's PCRE, which knows bytes, finds."""
    return re.search(pattern.removeprefix("~").encode(), text)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/r/999999-1-4/1.m4s", "/r/999999-1-4/1.m4s"),
        ("/r/999999-1-4/video/720p/seg-1.m4s?CMCD=br%3D800", "/r/999999-1-4/video/720p/seg-1.m4s"),
        ("/r/999999-1-4/%61.m4s", "/r/999999-1-4/a.m4s"),
        ("/r/999999-1-4/a%281%29,(2)=3@4+5~.m4s", "/r/999999-1-4/a(1),(2)=3@4+5~.m4s"),
        ("/r/999999-1-4/%E5%88%98%e4%b8%89%E5%A7%90/1.m4s", "/r/999999-1-4/刘三姐/1.m4s"),
        ("/r/999999-1-4/a.m%33u8", None),
        ("/r/999999-1-4/%2561.m4s", None),
        ("/r/999999-1-4/a%2fb.m4s", None),
        ("/r/999999-1-4/a%2Fb.m4s", None),
        ("/r/999999-1-4/%2e%2e/b.m4s", None),
        ("/r/999999-1-4/a%2E/b.m4s", None),
        ("/r/999999-1-4/a%00.m4s", None),
        ("/r/999999-1-4/a%20b.m4s", None),
        ("/r/999999-1-4/a%3Fb.m4s", None),
        ("/r/999999-1-4/a%.m4s", None),
        ("/r/%39-1-4/a.m4s", None),
        ("/r/999999-1-4/刘.m4s", None),
        ("/r/999999-1-4/a#b.m4s", None),
        ("/r/999999-1-4/./b.m4s", None),
        ("/r/./999999-1-4/b.m4s", None),
        ("/r/../999999-1-4/b.m4s", None),
        ("/r/.hidden/b.m4s", None),
        ("/r/999999-1-4/a.m3u8.ts", "/r/999999-1-4/a.m3u8.ts"),
        ("/r/999999-1-4/a.m3u8", None),
        ("/r/999999-1-4/a.mpd?CMCD=x", None),
        ("/r/999999-1-4/a.m4s?CAT=token", None),
        ("/r/999999-1-4/a.m4s?CMCD=x&CAT=token", None),
        ("/r/999999-1-4/a.m4s?", None),
        ("/r/999999-1-4/a/../b.m4s", None),
        ("/r/999999-1-4/.hidden", None),
        ("/r/999999-1-4/a//b.m4s", None),
        ("/r/999999-1-4/", None),
        ("/r//a.m4s", None),
        ("1/r/999999-1-4/a.m4s", None),
        ("http://box/r/999999-1-4/a.m4s", None),
        ("/r/999999-1-4/a.m4s%0a", None),
    ],
)
def test_only_names_that_can_be_read_in_one_way_are_nginx_own(path, name):
    """As it is written, and as nginx reads it (``$uri``)."""
    read = unquote_to_bytes(path.partition("?")[0])
    found = matched(PLAIN, read) if matched(WRITTEN, path.encode()) else None
    assert (found[1].decode() if found else None) == name


@pytest.mark.parametrize(
    ("one", "other"),
    [
        *((0, 0), (0, 1), (1, 0), (9, 10), (10, 9), (16383, 16384), (16384, 16384), (20000, 16384), (109, 190)),
        *((10**18 - 2, 10**18 - 1), (10**18 - 1, 10**18 - 1), (0, 10**18 - 1), (10**17, 99)),
    ],
)
def test_numbers_are_compared_by_their_digits(one, other):
    assert bool(re.match(LESS.removeprefix("~"), f"{0:018}{one}/{0:018}{other}")) == (one < other)


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        (":400", "bad-http"),
        (":505", "bad-http"),
        (":408", "too-slow"),
        (":421", "bad-request"),
        (":503", "too-many-of-address"),
        ("502:503", "unreachable"),
        ("502, 504:503", "unreachable"),
        (":499", None),  # the screen left
        (":200", None),
        (":206", None),
        ("400:400", None),  # delivery counted it
        ("503:503", None),
        ("504:504", None),
    ],
)
def test_what_nginx_refuses_has_a_reason_and_what_delivery_refused_is_not_counted_twice(told, reason):
    found = (why for how, why in REFUSED.items() if matched(f"~{how}$", told.encode()))
    assert next(found, None) == reason
