"""What nginx is told to count a delivery as: it writes that beside what it sent, as it stands."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from json import dumps

from aiohttp import web
from multidict import CIMultiDict

from gateway.delivery.front import places, seen
from gateway.delivery.metering.delivery import What


def told(release: str, path: str, body: str, cache: str) -> str:
    """Return what is counted, in characters that nothing on the way changes."""
    return urlsafe_b64encode(dumps([release, path, body, cache]).encode()).decode()


def of_answer(request: web.Request, what: What) -> CIMultiDict[str]:
    """Return what delivery tells nginx with an answer to a screen; nothing where nginx is not in front, or nothing counts (HEAD)."""
    if request.method == "HEAD" or not seen.in_front(request):
        return CIMultiDict()
    return CIMultiDict(
        {places.METER: told(what.release, what.path, what.body, what.cache), places.SUBJECT: what.subject}
    )
