"""What the exchange asks of admission: ``/admit``, ``/metadata``, ``/pass``, ``/digest`` (docs/architecture.md)."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from appliance.runtime import http
from appliance.runtime.errors import ConfigError, Corrupt, Refused
from gateway.filters.admission import decide, metrics
from gateway.filters.admission.decide import Admitted, Known, Refuse
from gateway.filters.admission.digests import Digests, read_incoming, read_kept
from gateway.isolation.policy import Policy
from gateway.release import manifest, signed
from gateway.release.live import judging, signing
from gateway.release.manifest import NEWEST
from gateway.release.trust import layout
from gateway.release.trust.admitting import Trusting
from gateway.release.trust.layout import Needed

LONGEST = 32 << 10  # bytes of a request
MOST = 500  # releases in memory; the exchange shows the others again
JUDGES = {"out": decide.pass_into, "in": decide.pass_in, "boxes": decide.pass_to_boxes}
Text = Annotated[str, StringConstraints(min_length=1, max_length=512)]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Count = Annotated[int, Field(ge=0, le=NEWEST)]


class _Ask(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)


class Before(_Ask):
    """The version of a release that the exchange verified before."""

    version: Count
    digest: Sha256


class AskAdmit(_Ask):
    """``POST /admit``: is the incoming file the release ``code``, admitted under the policy of this digest?

    No ``incoming``: the envelope that the store keeps of it, read where it lies; it needs no disk that takes anything in.
    """

    policy: Sha256
    code: Text
    incoming: Text | None = None
    known: Before | None = None
    away: bool = False  # the trust's origin does not answer, and the release was admitted before


class AskMetadata(_Ask):
    """``POST /metadata``: the file of trust metadata that was needed; no ``incoming`` where the origin has none."""

    policy: Sha256
    file: Text
    incoming: Text | None = None


class AskPass(_Ask):
    """``POST /pass``: may the release, or one file of it, go out into the zone, come in from there, or to other boxes?"""

    policy: Sha256
    release: Sha256
    zone: Text
    direction: Literal["out", "in", "boxes"] = "out"
    path: Text | None = None


class AskDigest(_Ask):
    """``POST /digest``: are these bytes of the incoming file what the release signs for ``path``?"""

    release: Sha256
    path: Text
    incoming: Text
    first: Count
    bytes: Count
    last: bool


class AskLive(_Ask):
    """``POST /live``: what does the channel's packager say of the incoming file, by the incoming file ``fields``?"""

    release: Sha256
    path: Text
    incoming: Text
    fields: Text
    floor: Count


Ask = TypeVar("Ask", bound=_Ask)


class Admission:
    """Everything that a request needs; ``policy`` is replaced when the guard enforces another one."""

    def __init__(self, policy: Policy, load: Callable[[], Policy], incoming: Path, kept: Path, trust: Path) -> None:
        self._kept = kept
        self.policy, self._load, self._incoming, self._trusting = policy, load, incoming, Trusting(trust)
        self._turn = asyncio.Lock()
        self._held: OrderedDict[str, tuple[str, Admitted]] = OrderedDict()  # by digest: under which policy, and what
        self._digests = Digests(incoming)

    def application(self) -> web.Application:
        """Return what answers on the socket."""
        app = http.application(LONGEST)

        def route(ask: str, model: type[Ask], handler: Any) -> None:
            async def counted(request: web.Request) -> web.StreamResponse:
                try:
                    told = await handler(_parse(model, await request.read()))
                except Refused as error:
                    metrics.VERDICTS.labels(ask, error.reason).inc()
                    raise
                metrics.VERDICTS.labels(ask, "metadata-needed" if "needed" in told else "passed").inc()
                return web.json_response(told)

            app.router.add_post(f"/{ask}", counted)

        route("admit", AskAdmit, self._admit)
        route("metadata", AskMetadata, self._metadata)
        route("pass", AskPass, self._pass)
        route("digest", AskDigest, self._digest)
        route("live", AskLive, self._live)
        return app

    async def _admit(self, ask: AskAdmit) -> dict[str, Any]:
        policy = await self._under(ask.policy)
        data = await asyncio.to_thread(self._shown, ask)
        known = Known(ask.known.version, ask.known.digest) if ask.known else None
        now = datetime.now(UTC)
        try:
            under = await asyncio.to_thread(self._trusting.policy_for, policy, data, ask.code, now, away=ask.away)
        except Corrupt as error:
            raise Refuse("not-signed", f"what the origin has is no signed release: {error}").error() from error
        if isinstance(under, Needed):
            return {"needed": {"file": under.file, "largest": under.largest}}
        verdict = await asyncio.to_thread(decide.admit, under, data, ask.code, known, now)
        if isinstance(verdict, Refuse):
            raise verdict.error()
        digest = manifest.digest(verdict.release)
        self._held[digest] = (policy.digest, verdict)
        self._held.move_to_end(digest)
        while len(self._held) > MOST:
            self._held.popitem(last=False)
        release = verdict.release.model_dump(mode="json", exclude_defaults=True)
        return {"release": release, "digest": digest, "signer": str(verdict.signer)}

    def _shown(self, ask: AskAdmit) -> bytes:
        if ask.incoming is not None:
            return read_incoming(self._incoming, ask.incoming, signed.LONGEST)
        return read_kept(self._kept, ask.code, signed.LONGEST)

    async def _metadata(self, ask: AskMetadata) -> dict[str, Any]:
        policy, data = await self._under(ask.policy), None
        if ask.incoming is not None:
            largest = layout.parse(ask.file).largest
            data = await asyncio.to_thread(read_incoming, self._incoming, ask.incoming, largest)
        await asyncio.to_thread(self._trusting.give, policy, ask.file, data, datetime.now(UTC))
        return {"taken": ask.file}

    async def _pass(self, ask: AskPass) -> dict[str, Any]:
        policy = await self._under(ask.policy)
        under, admitted = self._find(ask.release)
        if under != policy.digest:
            raise _not_held()
        allowed = JUDGES[ask.direction](policy, ask.zone, admitted.release, datetime.now(UTC))
        if isinstance(allowed, Refuse):
            raise allowed.error()
        if ask.path is not None:
            file = decide.pass_object(allowed.lane, admitted.release, ask.path)
            if isinstance(file, Refuse):
                raise file.error()
        return {"application": allowed.application}

    async def _digest(self, ask: AskDigest) -> dict[str, Any]:
        _, admitted = self._find(ask.release)  # whatever policy is in force: what the manifest signs stays what it is
        file = admitted.release.files.get(ask.path)
        if file is None:
            raise Refuse("unknown-path", "the release has no such file").error()
        upto = await asyncio.to_thread(
            self._digests.take, file, ask.incoming, ask.first, ask.bytes, last=ask.last
        )  # one question at a time for each incoming file
        metrics.BYTES.inc(ask.bytes)
        return {"verified": upto}

    async def _live(self, ask: AskLive) -> dict[str, Any]:
        _, admitted = self._find(ask.release)
        release = admitted.release
        if release.live is None:
            raise Refuse("unknown-path", "the release is no channel").error()
        fields = await asyncio.to_thread(read_incoming, self._incoming, ask.fields, signing.LONGEST)
        data = await asyncio.to_thread(read_incoming, self._incoming, ask.incoming, release.live.largest)
        sha256 = (await asyncio.to_thread(hashlib.sha256, data)).hexdigest()
        metrics.BYTES.inc(len(data))
        return dataclasses.asdict(
            judging.judge(
                release.live,
                release.code,
                ask.path,
                fields=fields,
                sha256=sha256,
                size=len(data),
                now=time.time(),
                floor=ask.floor,
            )
        )

    async def _under(self, digest: str) -> Policy:
        """Return the policy in force, which is read again where the exchange has another one: a signal may still be on its way."""
        if digest != self.policy.digest:
            async with self._turn:
                if digest != self.policy.digest:
                    with contextlib.suppress(ConfigError):
                        self.policy = await asyncio.to_thread(self._load)
        if digest != self.policy.digest:
            raise Refused("other-policy", "another policy is in force here than at the exchange: ask again", 409)
        return self.policy

    def _find(self, digest: str) -> tuple[str, Admitted]:
        found = self._held.get(digest)
        if found is None:
            raise _not_held()
        self._held.move_to_end(digest)
        return found


def _not_held() -> Refused:
    return Refused("not-held", "this release was not shown here since the start, or under another policy", 409)


def _parse(model: type[Ask], data: bytes) -> Ask:
    try:
        return model.model_validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(str(part)[:40] for part in first["loc"])
        raise Refused("bad-request", f"{where}: {first['msg']}"[:300], 400) from error
