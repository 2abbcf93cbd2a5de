"""The gateway's systemd units: started and stopped as the policy's services say, told to read a new policy."""

from __future__ import annotations

from collections.abc import Iterable

from appliance.runtime import command
from gateway.isolation.policy import Policy

BY_ZONE = ("delivery", "resolver", "publish", "linking", "share")  # daemons of which each zone that is served has one
CROSSING = "headgate-exchange.service"
ADMISSION = "headgate-admission.service"  # inspection reads no policy
SINGLE = (CROSSING, ADMISSION, "headgate-replica.service", "headgate-fetch.service", "headgate-telemetry.service")


def wanted_units(policy: Policy) -> frozenset[str]:
    """Return the instance units that the policy's services name, and those of nginx in front of them."""
    services = policy.services.values()
    wanted = {f"headgate-{s.run}@{s.zone}.service" for s in services if s.run in BY_ZONE}
    return frozenset(wanted | {f"headgate-front@{s.zone}.service" for s in services if s.front is not None})


class Units:
    """systemd, through ``systemctl``; nothing waits, since the guard may itself be starting."""

    def __init__(self) -> None:
        self._shut = False

    def running(self) -> frozenset[str]:
        """Return the instance units that run or are about to."""
        states = "--state=active,activating,reloading"
        patterns = [f"headgate-{run}@*.service" for run in (*BY_ZONE, "front")]
        listed = command.run(["systemctl", "list-units", "--plain", "--no-legend", "--full", states, *patterns])
        return frozenset(line.split()[0] for line in listed.splitlines() if line.strip())

    def bring(self, policy: Policy) -> None:
        """Start what the policy names and does not run, stop what runs and is not named, and tell the rest to read it.

        Raises:
            CommandFailed: systemd did not take it.
        """
        wanted, running = wanted_units(policy), self.running()
        self._do("stop", running - wanted)
        self._do("start", wanted - running)
        self._do("try-reload-or-restart", {*SINGLE, *(wanted & running)} - ({CROSSING} if self._shut else set()))

    def shut(self, *, shut: bool) -> None:
        """Stop the exchange, so that nothing crosses, or start it again.

        Raises:
            CommandFailed: systemd did not take it.
        """
        self._do("stop" if shut else "start", [CROSSING])
        self._shut = shut

    def _do(self, verb: str, units: Iterable[str]) -> None:
        names = sorted(units)
        if names:
            command.run(["systemctl", verb, "--no-block", *names])
