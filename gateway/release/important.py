"""Important data (重要数据): is it, and may it go there? Pure: the policy's section and what a release says go in, a sentence comes out."""

from __future__ import annotations

from gateway.isolation.content import Important
from gateway.release.manifest import Release

REASON = "important-data"


def by_code(important: Important | None, identifier: str, zone: str) -> str:
    """Return why the release of this canonical ``identifier`` may not go into ``zone``, or an empty text: the catalogue alone decides."""
    if important is None or zone not in important.outside:
        return ""
    if any(identifier.startswith(leading) for leading in important.identifiers):
        return f"{identifier} is important data in the operator's catalogue, and {zone} is outside"
    return ""


def by_release(important: Important | None, release: Release, zone: str) -> str:
    """Return why ``release`` may not go into ``zone``, or an empty text: by catalogue, by label, and by what it is made of."""
    if important is None or zone not in important.outside:
        return ""
    if told := by_code(important, release.identifier, zone):
        return told
    for label in release.labels:
        if label in important.labels:
            return f"{release.identifier} is labelled '{label}', which is important data, and {zone} is outside"
    for source in release.sources:  # what is made of important data is important data
        if told := by_code(important, source.release, zone):
            return f"{release.identifier} makes use of another release: {told}"
    return ""
