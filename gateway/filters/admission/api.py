"""What the exchange asks of admission: ``/admit``, ``/metadata``, ``/pass``, ``/digest`` (docs/architecture.md)."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, TypeVar

from aiohttp import web
from pydantic import ValidationError

from appliance.runtime import http
from appliance.runtime.errors import ConfigError, Corrupt, Refused
from gateway.filters.admission import decide, metrics
from gateway.filters.admission.decide import Admitted, Known, Refuse
from gateway.filters.admission.digests import Digests, read_incoming, read_kept
from gateway.filters.admission.listings import Listings
from gateway.filters.admission.questions import Ask, Count, Sha256, Text, needed
from gateway.filters.admission.registrations import AskRegister, Registrations
from gateway.isolation.policy import Policy
from gateway.release import manifest, signed
from gateway.release.live import judging, signing
from gateway.release.trust import layout
from gateway.release.trust.admitting import Trusting
from gateway.release.trust.layout import Needed
from gateway.release.trust.verifying import Mark

LONGEST = 32 << 10  # bytes of a request
MOST = 500  # releases in memory; the exchange shows the others again
JUDGES = {"out": decide.pass_into, "in": decide.pass_in, "boxes": decide.pass_to_boxes}


class Before(Ask):
    """The version of a release that the exchange verified before."""

    version: Count
    digest: Sha256


class AskAdmit(Ask):
    """``POST /admit``: is the incoming file the release ``code``, admitted under the policy of this digest?

    No ``incoming``: the envelope that the store keeps of it, read where it lies; it needs no disk that takes anything in.
    """

    policy: Sha256
    code: Text
    incoming: Text | None = None
    known: Before | None = None
    away: bool = False  # the trust's origin does not answer, and the release was admitted before


class AskMetadata(Ask):
    """``POST /metadata``: the file of trust metadata that was needed; no ``incoming`` where the origin has none."""

    policy: Sha256
    file: Text
    incoming: Text | None = None


class AskPass(Ask):
    """``POST /pass``: may the release, or one file of it, go out into the zone, come in from there, or to other boxes?"""

    policy: Sha256
    release: Sha256
    zone: Text
    direction: Literal["out", "in", "boxes"] = "out"
    path: Text | None = None


class AskDigest(Ask):
    """``POST /digest``: are these bytes of the incoming file what the release signs for ``path``?"""

    release: Sha256
    path: Text
    incoming: Text
    first: Count
    bytes: Count
    last: bool


class AskLive(Ask):
    """``POST /live``: what does the channel's packager say of the incoming file, by the incoming file ``fields``?"""

    release: Sha256
    path: Text
    incoming: Text
    fields: Text
    floor: Count


class AskStill(Ask):
    """``POST /still``: would the release of this digest be admitted again now, by all but its bytes, which are the same?"""

    policy: Sha256
    release: Sha256
    away: bool = False  # nobody can be asked for trust metadata: what was admitted plays on


Asked = TypeVar("Asked", bound=Ask)


@dataclass(frozen=True)
class Held:
    """A release that was admitted under the policy of this digest, and what its listing rests on."""

    policy: str
    admitted: Admitted
    mark: Mark | None


class Admission:
    """Everything that a request needs; ``policy`` is replaced when the guard enforces another one."""

    def __init__(self, policy: Policy, load: Callable[[], Policy], incoming: Path, kept: Path, trust: Path) -> None:
        self._kept = kept
        self.policy, self._load, self._incoming, self._trusting = policy, load, incoming, Trusting(trust)
        self._turn = asyncio.Lock()
        self._held: OrderedDict[str, Held] = OrderedDict()  # by digest
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
        route("still", AskStill, self._still)
        route("metadata", AskMetadata, self._metadata)
        route("pass", AskPass, self._pass)
        route("digest", AskDigest, self._digest)
        route("live", AskLive, self._live)
        for ask, listing_model, listing_handler in Listings(self._under, self._incoming, self._trusting).answers():
            route(ask, listing_model, listing_handler)
        route("register", AskRegister, Registrations(self._under, self._trusting).register)
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
            return needed(under)
        verdict = await asyncio.to_thread(decide.admit, under.policy, data, ask.code, known, now)
        if isinstance(verdict, Refuse):
            raise verdict.error()
        if under.waits:
            told = f"'{verdict.release.body}' lists {ask.code}, and the centre has not named that listing yet"
            raise Refuse("waiting-for-listing", told).error()
        digest = manifest.digest(verdict.release)
        before = self._held.get(digest)
        mark = before.mark if before is not None and before.policy == policy.digest and ask.away else under.mark
        self._held[digest] = Held(policy.digest, verdict, mark)
        self._held.move_to_end(digest)
        while len(self._held) > MOST:
            self._held.popitem(last=False)
        release = verdict.release.model_dump(mode="json", exclude_defaults=True)
        return {"release": release, "digest": digest, "signer": str(verdict.signer)}

    def _shown(self, ask: AskAdmit) -> bytes:
        if ask.incoming is not None:
            return read_incoming(self._incoming, ask.incoming, signed.LONGEST)
        return read_kept(self._kept, ask.code, signed.LONGEST)

    async def _still(self, ask: AskStill) -> dict[str, Any]:
        policy = await self._under(ask.policy)
        held = self._held.get(ask.release)
        if held is None or held.policy != policy.digest or held.mark is None:
            return {"unchanged": False}  # it is to be shown
        self._held.move_to_end(ask.release)
        if ask.away:
            return {"unchanged": True}
        told = await asyncio.to_thread(self._trusting.unchanged, policy, held.mark, datetime.now(UTC))
        return needed(told) if isinstance(told, Needed) else {"unchanged": told}

    async def _metadata(self, ask: AskMetadata) -> dict[str, Any]:
        policy, data = await self._under(ask.policy), None
        if ask.incoming is not None:
            largest = layout.parse(ask.file).largest
            data = await asyncio.to_thread(read_incoming, self._incoming, ask.incoming, largest)
        await asyncio.to_thread(self._trusting.give, policy, ask.file, data, datetime.now(UTC))
        return {"taken": ask.file}

    async def _pass(self, ask: AskPass) -> dict[str, Any]:
        policy = await self._under(ask.policy)
        held = self._find(ask.release)
        if held.policy != policy.digest:
            raise _not_held()
        admitted = held.admitted
        allowed = JUDGES[ask.direction](policy, ask.zone, admitted.release, datetime.now(UTC))
        if isinstance(allowed, Refuse):
            raise allowed.error()
        if ask.path is not None:
            file = decide.pass_object(allowed.lane, admitted.release, ask.path)
            if isinstance(file, Refuse):
                raise file.error()
        return {"application": allowed.application}

    async def _digest(self, ask: AskDigest) -> dict[str, Any]:
        admitted = self._find(
            ask.release
        ).admitted  # whatever policy is in force: what the manifest signs stays what it is
        file = admitted.release.files.get(ask.path)
        if file is None:
            raise Refuse("unknown-path", "the release has no such file").error()
        upto = await asyncio.to_thread(
            self._digests.take, file, ask.incoming, ask.first, ask.bytes, last=ask.last
        )  # one question at a time for each incoming file
        metrics.BYTES.inc(ask.bytes)
        return {"verified": upto}

    async def _live(self, ask: AskLive) -> dict[str, Any]:
        admitted = self._find(ask.release).admitted
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

    def _find(self, digest: str) -> Held:
        found = self._held.get(digest)
        if found is None:
            raise _not_held()
        self._held.move_to_end(digest)
        return found


def _not_held() -> Refused:
    return Refused("not-held", "this release was not shown here since the start, or under another policy", 409)


def _parse(model: type[Asked], data: bytes) -> Asked:
    try:
        return model.model_validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(str(part)[:40] for part in first["loc"])
        raise Refused("bad-request", f"{where}: {first['msg']}"[:300], 400) from error
