"""nginx's configuration for one zone, written from the site's policy; pure."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from appliance.runtime.places import ETC
from gateway.delivery import cmcd, fields
from gateway.delivery.front import places
from gateway.isolation.policy import Policy
from gateway.permission.door import NAME

if TYPE_CHECKING:
    from jinja2 import Template

TLS = ETC / "front"  # the certificates and keys that a policy names
STATE = "state.sock"  # where nginx says which generation it works by
HEAD = "4 8k"  # lines of a request's head: delivery takes no longer ones either
BODY = 1024  # bytes of a request's body: screens send none, except to origins of plain HTTP
KEYS = "16m"  # of memory: a hundred thousand of delivery's answers
KEPT = "64m"  # bytes of answers
OF_ADDRESS = 500  # requests of one address at once: a household behind one has dozens of screens
# Bytes of an object that the kernel takes in one piece where nothing waits in the connection: nginx is never in the middle of one, so
# that nobody has to know when it begins in order to break it off.
AT_ONCE = 32 << 10
OPEN = 10_000  # of answers that each worker holds open
HELD = 1000  # objects that each worker holds open
CONNECTIONS = 16_384  # of each worker; a request that is passed on takes two

# What a screen may ask that nginx answers: a name in a release that can be read in one way, and nothing in the query but what a
# player tells. An escape says a byte; one that says a dot, a slash or a control character could be read in two ways.
_BYTE = r"[0-9A-Za-z_~+@=,()-]|%(?![01]|2[EFef])[0-9A-Fa-f]{2}"
WRITTEN = rf"~^/r/(?![.])[0-9A-Za-z.:-]{{1,100}}(?:/(?:{_BYTE})(?:{_BYTE}|[.])*){{1,8}}(?:\?CMCD=[^&]*)?$"
# The same name without its escapes, in UTF-8: as ``gateway/release/paths.py`` has names, and no playlist.
BEYOND_ASCII = r"\x80-\xff"
_LETTER = rf"0-9A-Za-z_~+@=,(){BEYOND_ASCII}-"
PLAIN = (
    rf"~^(/r/(?![.])[0-9A-Za-z.:-]{{1,100}}/(?:[{_LETTER}][.{_LETTER}]*/){{0,7}}"
    rf"(?![^/]*\.(?:m3u8|mpd)$)[{_LETTER}][.{_LETTER}]*)$"
)
# What nginx says of a request that asks for a whole file, in no special way, and tells nothing: each of these is empty.
UNSAID = ("http2", "args", "http_range", "http_if_range", "http_if_none_match", "http_if_match", "http_if_modified_since",
          "http_if_unmodified_since", "http_expect", "http_content_length", "http_transfer_encoding")  # fmt: skip
# Whether A < B in "A/B", decimal numbers of 18 digits or more whose last 18 count: by the first digit in which they differ.
LESS = r"~^\d*(?=\d{18}/)(\d*)(?:" + "|".join(rf"{d}\d*/\d*(?=\d{{18}}$)\1[{d + 1}-9]" for d in range(9)) + ")"
# What nginx refuses by itself, by who answered (nobody, or delivery was asked and did not) and the status: the reason it is counted with.
REFUSED = {
    "^:400": "bad-http",
    "^:404": "unknown-path",
    "^:405": "method-not-allowed",
    "^:408": "too-slow",
    "^:413": "too-large",
    "^:414": "head-too-long",
    "^:50[15]": "bad-http",
    r"^:4(?!99)\d\d": "bad-request",
    "^:503": "too-many-of-address",
    "50[24]:503": "unreachable",
}
# Of Debian's libnginx-mod-http-lua: with them a worker remembers what it was answered.
MODULES = tuple(Path("/usr/lib/nginx/modules") / name for name in ("ndk_http_module.so", "ngx_http_lua_module.so"))
LUA = Path(__file__).parent / "templates"
# Of a file, as delivery says them: each is asked for with the object.
SAID = ("Cache-Control", "ETag", "Repr-Digest", "Cache-Status", "CMSD-Static", "CMSD-Dynamic")


def generation(policy: Policy) -> str:
    """Return what both ends know a policy by: answers that delivery gave under another one count no more."""
    return policy.digest[:16]


def render(policy: Policy, zone: str, folder: Path, own: Path, *, quick: bool, workers: int) -> str:
    """Return the configuration of the nginx in front of the delivery of ``zone``, of so many ``workers``.

    ``folder`` is where it meets delivery, ``own`` is its own; ``quick``: it has ``MODULES``.

    Raises:
        ValueError: the policy has no nginx there.
    """
    service = policy.service_of(zone, "delivery")
    if service is None or service.front != "nginx":
        raise ValueError(f"no delivery with 'front: nginx' in the zone '{zone}'")
    webs = [web for web in policy.web.values() if not web.zones or zone in web.zones]
    address = f"[{service.address}]" if ":" in service.address else service.address
    tls = service.tls
    of_object = ("found", "size", "meter", "type", *map(_variable, SAID))
    unsaid = (*UNSAID, *(f"http_{_variable(name)}" for name in cmcd.HEADERS))
    always = {**fields.CORS, **fields.SIGNED}
    return _template().render(
        workers=workers,
        zone=zone,
        generation=generation(policy),
        folder=folder,
        own=own,
        state=STATE,
        listen=f"{address}:{service.port}{' ssl http2' if tls else ''}",
        certificate=f"ssl_certificate {TLS / tls.certificate}; ssl_certificate_key {TLS / tls.key};" if tls else "",
        asks=policy.permission is not None and zone in policy.permission.zones,
        hosts=" ".join(sorted({host.partition(":")[0] for web in webs for host in web.hosts})),
        body=max([BODY, *(web.request for web in webs)]),
        written=WRITTEN,
        plain=PLAIN,
        less=LESS,
        unsaid=unsaid,
        simple=PLAIN.replace("^", f"^GET{' ' * (len(unsaid) + 1)}", 1).replace(BEYOND_ASCII, ""),
        refused=REFUSED,
        box=policy.site,
        head=HEAD,
        keys=KEYS,
        kept=KEPT,
        of_address=OF_ADDRESS,
        open=OPEN,
        held=HELD,
        quick=quick,
        modules=MODULES if quick else (),
        lua=LUA,
        small=AT_ONCE,
        of_object=", ".join(f'"{name}"' for name in of_object),
        of_session='"door", "subject", "marks"',
        connections=CONNECTIONS,
        token_name=NAME,
        token=f"http_{_variable(NAME)}",
        tells="".join(f"$http_{_variable(name)}" for name in cmcd.HEADERS),
        cmcd=",".join(f'"$http_{_variable(name)}"' for name in cmcd.HEADERS),
        said=[(name, _variable(name)) for name in SAID],
        hidden=places.HIDDEN,
        always=always,
        words=", ".join(f'{{"{name}", "{_variable(name)}"}}' for name in SAID),
        constant="".join(rf"\r\n{name}: {value}" for name, value in {**always, "Accept-Ranges": "bytes"}.items()),
    )


@cache
def _template() -> Template:
    # Here: delivery loads this file, too, and renders none.
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("gateway.delivery.front"),
        autoescape=False,  # noqa: S701 (no page, and what a policy can say has no quotes and no semicolons)
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("nginx.conf")


def _variable(field: str) -> str:
    return field.lower().replace("-", "_")
