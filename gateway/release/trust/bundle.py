"""What a body signed so that a release is listed, in one file beside it: its bin, and its role where that is new."""

from __future__ import annotations

import json
from collections.abc import Mapping

from appliance.runtime.errors import Refused
from gateway.release.trust import layout
from gateway.release.trust.layout import Name

MOST = 4  # files
LARGEST = 700 << 10  # bytes of one of them: in base64 it goes to the centre in one message, which has at most 1 MiB
LONGEST = 2 * MOST * LARGEST  # bytes of the whole: quotation marks are told by two


def written(files: Mapping[Name, bytes]) -> bytes:
    """Return the bytes of ``release.listing.json``.

    Raises:
        Refused: a file is longer than may be handed in (``too-large``).
    """
    for name, data in files.items():
        _fits(name, data)
    return json.dumps(
        {"files": {name.file: data.decode() for name, data in files.items()}}, ensure_ascii=False
    ).encode()


def parse(data: bytes, body: str) -> dict[Name, bytes]:
    """Return the files in ``data``, which are of ``body`` by their names; whoever calls verifies them.

    Raises:
        Refused: it is no such file (``damaged-metadata``), or names what the body does not sign (``outside-identifiers``), or is
            too long (``too-large``).
    """
    if len(data) > LONGEST:
        raise Refused("too-large", f"a listing has at most {LONGEST} bytes", 413)
    try:
        told = json.loads(data)
        files = {layout.parse(str(file)): text.encode() for file, text in told["files"].items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, Refused) as error:
        raise Refused("damaged-metadata", f"this is no listing of a release: {str(error)[:200]}", 400) from error
    if not 0 < len(files) <= MOST:
        raise Refused("damaged-metadata", f"a listing holds 1 to {MOST} files", 400)
    for name, content in files.items():
        if name.kind not in ("body", "bin") or name.body != body:
            raise Refused(
                "outside-identifiers", f"'{body}' signs no {name.file}: it lists its own releases and no more"
            )
        _fits(name, content)
    return files


def _fits(name: Name, data: bytes) -> None:
    if len(data) > min(LARGEST, name.largest):
        most = min(LARGEST, name.largest)
        told = f"{name.file} has {len(data)} bytes, and at most {most} are handed in: the operator admits the body with more bins"
        raise Refused("too-large", told, 413)
