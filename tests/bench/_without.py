"""``headgate`` whose delivery does without an extra: what the extra costs is told by leaving it out.

python -m tests.bench._without metering|permission run delivery --zone ZONE --config POLICY
"""

from __future__ import annotations

import sys
from typing import Any, Self

from gateway.delivery import daemon
from gateway.delivery.metering.delivery import What
from gateway.delivery.metering.meter import Meter
from provisioning.main import main


class Nothing:
    """A delivery that nobody counts."""

    what = What(release="", path="", body="", zone="", screen="", status=0, cache="")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def content(self, *_: Any) -> None: ...

    def progress(self, *_: Any) -> None: ...

    def end(self, *_: Any) -> None: ...


NOTHING = Nothing()

if __name__ == "__main__":
    match sys.argv.pop(1):
        case "metering":
            Meter.begin = lambda *_, **__: NOTHING  # type: ignore[method-assign, assignment, return-value]
        case "permission":
            daemon.door_of = lambda *_: None
    main()
