"""What the exchange asks the first filter over HTTP: each question, each refusal with its reason, and any bytes at all."""

import hashlib
import json

import pytest
from aiohttp.test_utils import TestClient, TestServer
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.identity.keys import PrivateKey
from appliance.runtime.errors import ConfigError, Fault, Refused
from gateway.filters.admission import api, metrics
from gateway.filters.admission.api import Admission
from gateway.isolation import policy as policies
from gateway.release import manifest, signed
from gateway.release.manifest import File, Release, Rights

CODE = "999999-100000000000001-4"
LIBRARY = PrivateKey.generate()
FILM = b"a film of some bytes"
TEXT = f"""
site: testbox
zones:
  management: {{port: "02:68:67:28:00:0b", addresses: [127.40.0.1/24]}}
  culture: {{port: "02:68:67:0a:00:0b", addresses: [127.10.0.1/24]}}
  bigscreen: {{port: "02:68:67:14:00:0b", addresses: [127.20.0.1/24]}}
bodies:
  library: {{name: 图书馆, keys: ["{LIBRARY.public}"], identifiers: ["isli:999999-10"], acts: [share]}}
origins:
  centre: {{address: 127.10.0.20}}
reach:
  origin: {{zone: culture, run: fetch, to: [127.10.0.20], port: tcp/80}}
lanes:
  films: {{from: culture, to: bigscreen, kind: release, largest: 1 MiB}}
never: [{{from: bigscreen, to: management}}]
"""
POLICY = policies.parse(TEXT.encode())
NEXT = policies.parse(TEXT.replace("1 MiB", "2 MiB").encode())
RELEASE = Release(
    identifier=f"isli:{CODE}",
    version=1,
    body="library",
    title="刘三姐",
    rights=Rights(zones=("bigscreen",)),
    entry="a.mp4",
    files={
        "a.mp4": File(sha256=hashlib.sha256(FILM).hexdigest(), size=len(FILM), type="video/mp4"),
        "big.mp4": File(sha256="1" * 64, size=(1 << 20) + 1, type="video/mp4"),
    },
)
DIGEST = manifest.digest(RELEASE)
ENVELOPE = signed.seal(RELEASE, LIBRARY)


class Asked:
    """The filter with its folders, and whoever asks it."""

    def __init__(self, root):
        for name in ("incoming", "kept", "trust"):
            (root / name).mkdir()
        self.root, self.loads = root, []
        self.filter = Admission(POLICY, self._load, root / "incoming", root / "kept", root / "trust")
        (root / "incoming" / "shown").write_bytes(ENVELOPE)
        (root / "incoming" / "film").write_bytes(FILM)

    def _load(self):
        found = self.loads.pop(0)
        if isinstance(found, ConfigError):
            raise found
        return found

    async def post(self, ask, told):
        data = told if isinstance(told, bytes) else json.dumps(told).encode()
        async with self.client.post(f"/{ask}", data=data) as response:
            return response.status, await response.json()

    async def admit(self, **told):
        return await self.post("admit", {"policy": POLICY.digest, "code": CODE, "incoming": "shown", **told})

    async def may_pass(self, **told):
        return await self.post("pass", {"policy": POLICY.digest, "release": DIGEST, "zone": "bigscreen", **told})

    async def digest(self, **told):
        asked = {"release": DIGEST, "path": "a.mp4", "incoming": "film", "first": 0, "bytes": len(FILM), "last": True}
        return await self.post("digest", asked | told)


@pytest.fixture
async def asked(tmp_path):
    made = Asked(tmp_path)
    async with TestClient(TestServer(made.filter.application())) as made.client:
        yield made


def counted(ask, reason):
    return metrics.REGISTRY.get_sample_value("headgate_admission_verdicts_total", {"ask": ask, "reason": reason}) or 0


async def test_what_is_admitted_may_pass_byte_by_byte(asked):
    """The three questions of a release that crosses, with the key that signed it, and each is counted."""
    before = [counted(ask, "passed") for ask in ("admit", "pass", "digest")]
    status, told = await asked.admit()
    assert (status, told["digest"], told["signer"]) == (200, DIGEST, str(LIBRARY.public))
    assert Release.model_validate(told["release"]) == RELEASE
    assert await asked.may_pass() == (200, {"application": False})
    assert await asked.may_pass(path="a.mp4") == (200, {"application": False})
    assert await asked.digest() == (200, {"verified": len(FILM)})
    assert [counted(ask, "passed") for ask in ("admit", "pass", "digest")] == [
        old + new for old, new in zip(before, (1, 2, 1), strict=True)
    ]


async def test_a_kept_envelope_is_read_where_it_lies(asked):
    """Without an incoming file it is the store's own; where there is none, that is told."""
    told = {"policy": POLICY.digest, "code": CODE}
    status, refused = await asked.post("admit", told)
    assert (status, refused["reason"]) == (400, "bad-request")
    (asked.root / "kept" / f"{CODE}.json").write_bytes(ENVELOPE)
    assert (await asked.post("admit", told))[0] == 200


@pytest.mark.parametrize(
    ("envelope", "reason"),
    [
        (b"", "not-signed"),
        (b"{}", "not-signed"),
        (signed.seal(RELEASE, PrivateKey.generate()), "not-signed"),
        (signed.seal(RELEASE.model_copy(update={"body": "museum"}), LIBRARY), "not-admitted"),
    ],
    ids=["empty", "no envelope", "another's key", "an unknown body"],
)
async def test_what_is_refused_is_refused_with_its_reason(asked, envelope, reason):
    """The reason is in the answer and in the count, and nothing is held of it."""
    (asked.root / "incoming" / "shown").write_bytes(envelope)
    before = counted("admit", reason)
    status, told = await asked.admit()
    assert (status >= 400, told["reason"], counted("admit", reason)) == (True, reason, before + 1)
    assert (await asked.may_pass())[1]["reason"] == "not-held"


async def test_a_longer_envelope_than_any_is_not_read(asked, monkeypatch):
    """Its length alone is the reason."""
    monkeypatch.setattr(signed, "LONGEST", len(ENVELOPE) - 1)
    status, told = await asked.admit()
    assert (status, told["reason"]) == (413, "too-large")


async def test_an_older_version_is_refused(asked):
    """What was verified before is not taken back."""
    status, told = await asked.admit(known={"version": 2, "digest": "0" * 64})
    assert (status >= 400, told["reason"]) == (True, "older-version")


@pytest.mark.parametrize(
    ("path", "reason"), [("none.mp4", "unknown-path"), ("big.mp4", "too-large"), ("../a.mp4", "unknown-path")]
)
async def test_a_file_passes_by_itself(asked, path, reason):
    """It is one of the release, and no larger than the lane lets pass."""
    await asked.admit()
    assert (await asked.may_pass(path=path))[1]["reason"] == reason


async def test_bytes_that_are_not_the_manifests_are_refused(asked):
    """Other bytes, and a file that the release has not."""
    await asked.admit()
    (asked.root / "incoming" / "film").write_bytes(FILM.upper())
    assert (await asked.digest())[1]["reason"] == "digest-mismatch"
    assert (await asked.digest(path="none.mp4"))[1]["reason"] == "unknown-path"


async def test_a_policy_that_is_on_its_way_is_read_at_once(asked):
    """The exchange may have it first; what was admitted under the one before has to be shown again."""
    await asked.admit()
    asked.loads = [NEXT]
    status, told = await asked.may_pass(policy=NEXT.digest)
    assert (status, told["reason"]) == (409, "not-held")
    assert (await asked.admit(policy=NEXT.digest))[0] == 200
    assert (await asked.may_pass(policy=NEXT.digest))[0] == 200


@pytest.mark.parametrize("load", [POLICY, ConfigError([Fault("f", 1, 1, "", "wrong")])], ids=["the same", "a bad one"])
async def test_no_verdict_is_given_under_another_policy(asked, load):
    """Neither by an old policy here nor by one that cannot be read; the one in force stays."""
    asked.loads = [load]
    status, told = await asked.may_pass(policy=NEXT.digest)
    assert (status, told["reason"]) == (409, "other-policy")
    assert (await asked.admit())[0] == 200


async def test_what_was_not_shown_since_the_start_is_asked_for(asked):
    """A filter that was started anew knows no release, and says so for each question about one."""
    for answer in (await asked.may_pass(), await asked.digest()):
        assert (answer[0], answer[1]["reason"]) == (409, "not-held")
    still = {"policy": POLICY.digest, "release": DIGEST}
    assert await asked.post("still", still) == (200, {"unchanged": False})


async def test_it_remembers_so_many_releases(asked, monkeypatch):
    """The one that was asked for last longest ago is forgotten."""
    monkeypatch.setattr(api, "MOST", 1)
    await asked.admit()
    other = signed.seal(RELEASE.model_copy(update={"version": 2}), LIBRARY)
    (asked.root / "incoming" / "shown").write_bytes(other)
    assert (await asked.admit())[0] == 200
    assert (await asked.may_pass())[1]["reason"] == "not-held"


async def test_only_channels_have_live_files(asked):
    """A release of films is asked for none."""
    await asked.admit()
    told = {"release": DIGEST, "path": "1.ts", "incoming": "film", "fields": "shown", "floor": 0}
    assert (await asked.post("live", told))[1]["reason"] == "unknown-path"


GOOD = {"policy": "0" * 64, "release": "0" * 64, "zone": "bigscreen"}


@pytest.mark.parametrize(
    "told",
    [
        b"",
        b"[]",
        b"\xff",
        {},
        {**GOOD, "more": 1},
        {**GOOD, "zone": ""},
        {**GOOD, "zone": 7},
        {**GOOD, "policy": "0" * 63},
        {**GOOD, "policy": "0" * 64 + "\n"},
        {**GOOD, "direction": "up"},
        {**GOOD, "path": "x" * 513},
    ],
    ids=str,
)
async def test_a_wrong_question_is_told_and_not_answered(asked, told):
    """The word is 'bad-request', and the sentence says where, without the value."""
    status, answer = await asked.post("pass", told)
    assert (status, answer["reason"]) == (400, "bad-request")


async def test_a_long_question_is_not_read(asked):
    """A question has a few hundred bytes."""
    async with asked.client.post("/pass", data=b" " * (api.LONGEST + 1)) as response:
        assert response.status == 413


ASKS = [api.AskAdmit, api.AskMetadata, api.AskPass, api.AskDigest, api.AskLive, api.AskStill]
VALUES = st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.just("0" * 64)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(ASKS), st.data())
def test_any_bytes_are_a_question_or_refused(model, data):
    """Whatever comes, it is a question of this kind or a bad request."""
    told = st.dictionaries(st.sampled_from([*model.model_fields, "more"]), VALUES).map(json.dumps).map(str.encode)
    try:
        found = api._parse(model, data.draw(told | st.binary(max_size=50)))
    except Refused as refused:
        found = refused
    assert isinstance(found, model) or (found.reason, found.status) == ("bad-request", 400)
