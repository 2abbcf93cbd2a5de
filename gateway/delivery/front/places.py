"""Where nginx and the delivery of one zone meet, and what they say to each other beside the request."""

from __future__ import annotations

from pathlib import Path

from appliance.runtime.places import RUN

# Of requests: said by nginx alone, which takes away what a screen says under these names.
ASK = "Headgate-Ask"  # ``permit``, ``object`` or ``end``: a question of nginx's own or of who runs it, no screen's request
TARGET = "Headgate-Target"  # the path that is asked about
METHOD = "Headgate-Method"  # how
GENERATION = "Headgate-Generation"  # of the policy that nginx's configuration was written from
SCREEN, PORT = "Headgate-Screen", "Headgate-Port"  # the screen's end of its connection
SCHEME = "Headgate-Scheme"  # how it asked
SAID = (ASK, TARGET, METHOD, GENERATION, SCREEN, PORT, SCHEME)
# Of answers: nginx tells no screen.
DOOR, SUBJECT = "Headgate-Door", "Headgate-Subject"
MARKS = "Headgate-Marks"  # by which a permit is known again (``permission.withdrawn.marks``)
OBJECT, SIZE, METER = "Headgate-Object", "Headgate-Size", "Headgate-Meter"
UNTIL = "Headgate-Until"  # seconds since 1970 until which it holds
HIDDEN = (DOOR, SUBJECT, MARKS, OBJECT, SIZE, METER, UNTIL)
RECALLS = "recalls"  # the memory that delivery and nginx have in common (``recalls``)


def folder(zone: str) -> Path:
    """Return the folder that delivery writes and nginx reads."""
    return RUN / "front" / zone


def own(zone: str) -> Path:
    """Return the folder that is nginx's own: its configuration and what it keeps."""
    return RUN / "nginx" / zone


def socket(zone: str) -> Path:
    """Return where delivery answers."""
    return folder(zone) / "delivery.sock"


def trees(zone: str) -> Path:
    """Return the folder of the links through which nginx reaches objects."""
    return folder(zone) / "trees"


def log(zone: str) -> Path:
    """Return the file in which nginx says what it delivers, a line when it begins and one when it is over."""
    return folder(zone) / "deliveries.log"
