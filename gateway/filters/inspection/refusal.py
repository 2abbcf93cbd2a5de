"""Why bytes do not pass."""

from __future__ import annotations

from appliance.runtime.errors import Refused

STATUS = 502  # what came from the origin is not acceptable


def malformed(sentence: str) -> Refused:
    """Return the refusal of bytes that break the rules of their own format."""
    return Refused("malformed", sentence, STATUS)


def mismatch(sentence: str) -> Refused:
    """Return the refusal of bytes that are of another type than declared."""
    return Refused("type-mismatch", sentence, STATUS)


def unknown_type(sentence: str) -> Refused:
    """Return the refusal of a type that nothing here can look into."""
    return Refused("unknown-type", sentence, STATUS)


def active(sentence: str) -> Refused:
    """Return the refusal of what runs, where only what is shown may pass."""
    return Refused("active-content", sentence, 403)


def polyglot(sentence: str) -> Refused:
    """Return the refusal of bytes that are a file of a second type as well."""
    return Refused("polyglot", sentence, STATUS)


def bomb(sentence: str) -> Refused:
    """Return the refusal of what unpacks to more than is bearable."""
    return Refused("bomb", sentence, STATUS)


def outside(sentence: str) -> Refused:
    """Return the refusal of a reference that leads out of the release."""
    return Refused("outside-reference", sentence, STATUS)


def encrypted(sentence: str) -> Refused:
    """Return the refusal of what cannot be looked into."""
    return Refused("encrypted", sentence, STATUS)


def encrypted_content(sentence: str) -> Refused:
    """Return the refusal of media that is played with a key: nobody can look into it before it is on a screen."""
    return Refused("encrypted-content", sentence, STATUS)


def malware(sentence: str) -> Refused:
    """Return the refusal of what is known as malicious."""
    return Refused("malware", sentence, 403)


def too_large(sentence: str) -> Refused:
    """Return the refusal of a file that is larger than its type is looked into."""
    return Refused("too-large-to-inspect", sentence, 413)
