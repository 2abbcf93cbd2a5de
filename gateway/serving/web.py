"""The exchange as delivery sees it for plain HTTP: what an admitted origin answers, its body as it comes."""

from __future__ import annotations

from gateway.web.wire import Fields as Fields
from gateway.web.wire import Interim as Interim
from gateway.web.wire import Web as Web
from gateway.web.wire import WebAnswer as WebAnswer
from gateway.web.wire import WebRequest as WebRequest
