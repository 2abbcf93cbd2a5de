"""What python-tuf finds wrong with metadata, in our words."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import datetime

from tuf.api import exceptions

from appliance.runtime.errors import Corrupt, Refused
from gateway.release.trust.layout import Name


@contextlib.contextmanager
def told(name: Name, now: datetime) -> Iterator[None]:
    """Turn what is wrong with the file ``name`` into a refusal.

    Raises:
        Refused: ``older-metadata``, ``frozen``, ``expired-metadata``, ``mixed-metadata``, ``wrong-key`` or ``damaged-metadata``.
    """
    try:
        yield
    except exceptions.ExpiredMetadataError as error:
        raise expired(name, now) from error
    except exceptions.BadVersionNumberError as error:
        reason = "mixed-metadata" if name.kind in ("targets", "body", "bin") else "older-metadata"
        raise Refused(reason, f"{name.file} may not be taken: {str(error)[:200]}", 502) from error
    except exceptions.LengthOrHashMismatchError as error:
        raise Refused(
            "mixed-metadata", f"{name.file} is not the file that the metadata before it names: {str(error)[:200]}", 502
        ) from error
    except exceptions.UnsignedMetadataError as error:
        raise Refused(
            "wrong-key", f"{name.file} lacks signatures of keys that count: {str(error)[:200]}", 502
        ) from error
    except (
        exceptions.RepositoryError,
        Corrupt,
        ValueError,
        TypeError,
        KeyError,
        AttributeError,
        RecursionError,
    ) as error:
        older = "missing info" in str(error)  # a snapshot that no longer names what the one before did
        reason = "older-metadata" if older else "damaged-metadata"
        raise Refused(reason, f"{name.file} is no metadata to trust: {str(error)[:200]}", 502) from error


def expired(name: Name, now: datetime, at: datetime | None = None) -> Refused:
    """Return the refusal of metadata that has expired; where that is the timestamp, somebody may be freezing us."""
    when = f" at {at.isoformat()}" if at is not None else ""
    clock = f"this box's clock says {now.isoformat(timespec='seconds')}"
    if name.kind == "timestamp":
        may = "the origin shows an old one, the centre signs no new ones, or the clock is wrong"
        return Refused("frozen", f"the timestamp expired{when}, and {clock}: {may}", 503)
    return Refused("expired-metadata", f"{name.file} expired{when}, and {clock}; its holder has to sign it anew", 503)


def missing(name: Name) -> Refused:
    """Return the refusal where the origin lacks a file that it must have."""
    return Refused("missing-metadata", f"the origin has no /trust/{name.file}", 503)
