"""The part of tus 1.0.0 (https://tus.io) that is spoken: core, creation, termination, expiration. Pure: headers in, values out."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping

from appliance.runtime.errors import Refused
from gateway.release.manifest import LARGEST_FILE

VERSION = "1.0.0"
EXTENSIONS = "creation,termination,expiration"
KIND = "application/offset+octet-stream"
LONGEST_METADATA = 4096  # characters
OFFERS = {
    "Tus-Version": VERSION,
    "Tus-Resumable": VERSION,
    "Tus-Extension": EXTENSIONS,
    "Tus-Max-Size": str(LARGEST_FILE),
}


def agree(headers: Mapping[str, str]) -> None:
    """Judge whether the client speaks our version.

    Raises:
        Refused: it does not (``bad-request``, 412 as tus asks for).
    """
    if headers.get("Tus-Resumable") != VERSION:
        raise Refused("bad-request", f"send 'Tus-Resumable: {VERSION}'", 412)


def number(headers: Mapping[str, str], name: str) -> int:
    """Return the bytes that the header ``name`` tells.

    Raises:
        Refused: it is missing, no number, or larger than any file (``bad-request``).
    """
    text = headers.get(name, "")
    if not (text.isascii() and text.isdigit() and len(text) <= 19):
        raise Refused("bad-request", f"'{name}' is a number of bytes", 400)
    value = int(text)
    if value > LARGEST_FILE:
        raise Refused("too-large", f"'{name}': a file has at most {LARGEST_FILE} bytes", 413)
    return value


def append(headers: Mapping[str, str]) -> int:
    """Return the offset at which a PATCH appends.

    Raises:
        Refused: its headers are wrong (``bad-request``).
    """
    agree(headers)
    if headers.get("Content-Type", "").partition(";")[0].strip().lower() != KIND:
        raise Refused("bad-request", f"send 'Content-Type: {KIND}'", 415)
    return number(headers, "Upload-Offset")


def metadata(headers: Mapping[str, str]) -> dict[str, str]:
    """Return ``Upload-Metadata``: name -> text.

    Raises:
        Refused: it is not as tus writes it (``bad-request``).
    """
    text = headers.get("Upload-Metadata", "")
    if len(text) > LONGEST_METADATA:
        raise Refused("bad-request", f"'Upload-Metadata' has at most {LONGEST_METADATA} characters", 400)
    told = {}
    for pair in filter(None, (part.strip() for part in text.split(","))):
        name, _, value = pair.partition(" ")
        try:
            told[name] = base64.b64decode(value, validate=True).decode()
        except (binascii.Error, ValueError) as error:
            raise Refused("bad-request", "'Upload-Metadata' is pairs of a name and base64 text", 400) from error
    return told
