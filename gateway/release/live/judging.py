"""May this live file be shown? Pure: what came, the channel, and what is known go in; the packager's claim comes out, or a refusal."""

from __future__ import annotations

from appliance.identity.keys import PublicKey
from appliance.runtime.errors import Refused
from gateway.release.live import freshness, signing
from gateway.release.live.signing import Claim
from gateway.release.manifest import Live


def judge(live: Live, code: str, path: str, *, fields: bytes, sha256: str, size: int, now: float, floor: int) -> Claim:
    """Return what the packager says of ``path``, if ``fields`` sign the content of this digest and size for ``now``.

    Raises:
        Refused: ``not-signed``, ``digest-mismatch``, or what ``freshness.check`` raises.
    """
    claim = signing.verify(fields, PublicKey.parse(live.key), code, path)
    if (claim.sha256, claim.size) != (sha256, size):
        raise Refused("digest-mismatch", f"what came as '{path}' is not what its packager signed", 502)
    freshness.check(claim, live, path, now, floor)
    return claim
