"""Object identifiers (ITU-T X.660), and schemes whose inner form is not public: bounded printable strings."""

from __future__ import annotations

import re
from collections.abc import Callable

from gateway.resolver.codes.code import Code, WrongCode, made
from gateway.resolver.codes.scheme import Scheme
from gateway.resolver.codes.written import plain

LONGEST = 128  # characters of an opaque code
MOST_ARCS = 64
LONGEST_ARC = 39  # digits: arcs below 2.25 hold numbers of 128 bits
OID_SHAPE = "an object identifier is numbers between dots, the first of them 0, 1 or 2"

_OID = re.compile(r"[012](?:\.(?:0|[1-9][0-9]*)){1,}")


def read_oid(written: str) -> Code:
    """Return the object identifier that is written.

    Raises:
        WrongCode: it is none.
    """
    text = plain(written).strip()
    if not _OID.fullmatch(text):
        raise WrongCode("not-a-code", f"{OID_SHAPE}, such as 1.2.156.10197")
    arcs = text.split(".")
    if len(arcs) > MOST_ARCS or max(map(len, arcs)) > LONGEST_ARC:
        raise WrongCode("too-long", f"an object identifier has at most {MOST_ARCS} numbers of {LONGEST_ARC} digits")
    if arcs[0] != "2" and int(arcs[1]) > 39:
        raise WrongCode("not-a-code", f"below {arcs[0]} the second number of an object identifier is 39 at most")
    return made("oid", text)


def _reader(name: str) -> Callable[[str], Code]:
    def read(written: str) -> Code:
        text = written.strip()
        if not text or not text.isprintable() or any(c.isspace() for c in text):
            raise WrongCode("not-a-code", f"a code of the scheme {name} is printable characters without a space")
        if len(text) > LONGEST:
            raise WrongCode("too-long", f"a code of the scheme {name} has at most {LONGEST} characters here")
        if any(part in ("", ".", "..") for part in text.split("/")):
            raise WrongCode("not-a-code", "empty, '.' or '..' parts between slashes: HTTP clients would fold them away")
        return made(name, text)

    return read


def _opaque(name: str, title: str, chinese: str, standard: str, example: str) -> Scheme:
    return Scheme(
        name=name,
        title=title,
        chinese=chinese,
        standard=standard,
        check="not known here",
        example=f"{name}:{example}",
        read=_reader(name),
        show=lambda text: f"{name}:{text}",
        parts=lambda text: {"text": text},
        raw=True,
    )


OID = Scheme(
    name="oid",
    title="Object Identifier",
    chinese="对象标识符",
    standard="ITU-T X.660, ISO/IEC 9834-1",
    check="none",
    example="oid:1.2.156.10197",
    read=read_oid,
    show=lambda text: f"OID {text}",
    parts=lambda text: {"arcs": text.replace(".", " ")},
    uri=lambda text: f"urn:oid:{text}",
    bare=re.compile(r"[012](?:\.[0-9]+){2,}"),
)
# Their inner form could not be read; nothing is checked that is not known.
DCI = _opaque("dci", "Digital Copyright Identifier", "数字版权唯一标识符", "GB/T 45913-2025", "A1B2C3")
DFI = _opaque("dfi", "Document Fragment Identifier", "文献片段标识符", "CY/T 208-2020", "A1B2C3")
