"""What nginx is told to count a delivery as, with delivery's own answers: it writes that beside what it sent, as it stands."""

from __future__ import annotations

from collections.abc import Iterable

from aiohttp import web
from multidict import CIMultiDict

from gateway.delivery.front import opaque, places, seen
from gateway.delivery.front.opaque import Carried
from gateway.delivery.metering.delivery import What


def of_answer(request: web.Request, what: What, spans: Iterable[tuple[int, int]] = ()) -> CIMultiDict[str]:
    """Return what delivery tells nginx with an answer to a screen; nothing where nginx is not in front, or nothing counts (HEAD).

    ``spans`` are where content is in the answer's body, first byte and count, if that is not all of it.
    """
    if request.method == "HEAD" or not seen.in_front(request):
        return CIMultiDict()
    carried = Carried(what.release, what.path, what.body, what.cache, spans=tuple(spans))
    return CIMultiDict({places.METER: opaque.told(carried), places.SUBJECT: what.subject})
