"""What bodies signed at their institutions' boxes, as the boxes bring it: into the trust repository, judged like any upload."""

from __future__ import annotations

import base64
import binascii
import logging
from dataclasses import dataclass

from appliance.runtime.errors import Corrupt, HeadgateError, Refused
from appliance.telemetry.records import plain_json, to_json
from gateway.release.trust import bundle, layout
from gateway.release.trust.layout import Name
from provisioning.controller.trust import Keeper

LARGEST = 1 << 20  # bytes of a message

log = logging.getLogger("headgate.controller")


@dataclass(frozen=True)
class Brought:
    """A file that a box brought; whoever takes it in verifies it."""

    name: Name
    data: bytes


def parse(payload: bytes) -> Brought:
    """Return what a message on ``headgate/v1/SITE/listings`` brings: a body's role or bin, and nothing of the operator's.

    Raises:
        Corrupt: it is none.
    """
    told = plain_json(payload) if len(payload) <= LARGEST else None
    if isinstance(told, dict) and told.keys() == {"file", "data"} and all(isinstance(v, str) for v in told.values()):
        try:
            name, data = layout.parse(told["file"]), base64.b64decode(told["data"], validate=True)
        except (Refused, binascii.Error, ValueError) as error:
            raise Corrupt(f"this is no listing: {error}") from error
        if name.kind in ("body", "bin") and len(data) <= bundle.LARGEST:
            return Brought(name, data)
    raise Corrupt("this is no listing that a body signed")


async def take(trust: Keeper, box: str, brought: Brought) -> bytes | None:
    """Take a file in, as ``headgate release trust send`` does; return what the box is told, None where it was taken."""
    try:
        done = await trust.put(brought.name, brought.data)
    except OSError as error:  # the box sends it again
        log.error("%s, which %s brought, cannot be kept: %s", brought.name.file, box, error)
        return None
    except HeadgateError as error:
        reason = error.reason if isinstance(error, Refused) else "damaged-metadata"
        log.warning("%s, which %s brought, is not taken: %s", brought.name.file, box, error)
        return to_json({"file": brought.name.file, "reason": reason, "error": str(error)[:300]})
    if done.new:
        log.info("%s came in by %s", ", ".join(done.new), box)
    return None
