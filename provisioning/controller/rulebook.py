"""Who may register what: the wanted policies' bodies, as far as the trust metadata admits them too, and the operators who give orders."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from provisioning.controller.settings import Controller
from provisioning.controller.trust import Keeper
from provisioning.controller.wanted import NOBODY, Wanted
from provisioning.registry.delegations import Delegations
from provisioning.registry.judging import Rules

FRESH = 1.0  # seconds for which one look at the folders answers


class Rulebook:
    """Reads the operator's folders, at most once a second."""

    def __init__(self, settings: Controller, wanted: Wanted, trust: Keeper | None) -> None:
        self._settings, self._wanted = settings, wanted
        self._delegations = Delegations(trust.files) if trust is not None else None
        self._read: tuple[float, Rules] | None = None

    def read(self) -> Rules:
        """Return who may register what, now; without policies nobody may."""
        now = time.monotonic()
        if self._read is None or now - self._read[0] >= FRESH:
            delegated = self._delegations.read(datetime.now(UTC)) if self._delegations else NOBODY
            operators = dict(self._settings.orders.keys)
            keys = [*operators.values(), *(key for one in self._wanted.order_keys() for key in one.values())]
            self._read = (now, Rules(self._wanted.admitted(delegated), tuple(dict.fromkeys(keys))))
        return self._read[1]
