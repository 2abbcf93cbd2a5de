"""Refusals that whoever only carries files has to tell apart; words alone, so that nobody needs more to know them."""

from __future__ import annotations

# The metadata is good, and does not list the release: what was admitted before goes too.
SAYS_NO = ("not-listed", "not-admitted", "outside-identifiers", "revoked-key")
# What a listing that its body hands in mends, once the centre names it.
UNLISTED = ("not-listed", "not-as-listed")
# There is no metadata to trust: nothing new is admitted, and what was admitted before plays on.
NO_TRUST = (
    "older-metadata",
    "frozen",
    "mixed-metadata",
    "wrong-key",
    "expired-metadata",
    "damaged-metadata",
    "missing-metadata",
    "wrong-clock",
    "too-large",
)
MOST_FILES = 80  # of one look: new roots, and the six below them
