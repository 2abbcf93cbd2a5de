"""The exchange's side of a filter against one that answers anything: only a plain verdict counts for one."""

import asyncio
import json
import tempfile
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from appliance.runtime import http
from appliance.runtime.errors import Refused
from gateway.filters import client
from gateway.filters.client import Admission, Inspection
from gateway.release.trust.layout import Needed
from gateway.store.passed import As

DIGEST, PIECE = "0" * 64, 4 << 20
WHAT = As(DIGEST, "video/mp4", application=False, depth=0)


class Filter:
    """A filter that answers what it is told to, and remembers what it was asked."""

    def __init__(self):
        self.answers, self.asked = {}, []

    def application(self):
        app = http.application()
        app.router.add_post("/{what}", self._answer)
        return app

    async def _answer(self, request):
        what = request.match_info["what"]
        self.asked.append((what, json.loads(await request.read())))
        answer = self.answers[what]
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, web.Response) else web.json_response(answer)


@pytest.fixture
def socket():
    with tempfile.TemporaryDirectory(prefix="filter-") as folder:  # short: a socket's path has at most 107 bytes
        yield Path(folder) / "f.sock"


@pytest.fixture
def serving(socket, monkeypatch):
    monkeypatch.setattr(client, "RESTART", 0.1)

    @asynccontextmanager
    async def serving(kind, **answers):
        made = Filter()
        made.answers = answers
        async with http.serving(made.application(), unix=[(socket, 0o600)]), kind(socket) as asking:
            yield made, asking

    return serving


async def test_a_plain_verdict_is_taken(serving):
    """What is asked arrives as it was meant, and the number of good bytes comes back."""
    async with serving(Admission, digest={"verified": 7}) as (made, admission):
        assert await admission.digest(DIGEST, "a.mp4", "film", 0, 7, last=True) == 7
    told = {"release": DIGEST, "path": "a.mp4", "incoming": "film", "first": 0, "bytes": 7, "last": True}
    assert made.asked == [("digest", told)]


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"verified": True},
        {"verified": "7"},
        {"verified": None},
        [7],
        "7",
        web.Response(text="verified: 7"),
        web.Response(body=b"\xff\xfe"),
        web.Response(status=201, text='{"verified": 7}', content_type="application/json"),
        web.Response(status=500, text="oh"),
        web.Response(status=404),
    ],
    ids=str,
)
async def test_anything_else_is_a_failure_that_is_told(serving, answer):
    """Nonsense lets nothing pass, and whoever watches over filters hears of it."""
    heard = []

    async def failed(name, sentence):
        heard.append((name, sentence))

    async with serving(Admission, digest=answer) as (_, admission):
        admission.failed = failed
        with pytest.raises(Refused) as refused:
            await admission.digest(DIGEST, "a.mp4", "film", 0, 7, last=True)
    assert (refused.value.reason, refused.value.about["filter"]) == ("filter-failed", "admission")
    assert [name for name, _ in heard] == ["admission"]


async def test_a_refusal_keeps_its_reason_and_names_its_filter(serving):
    """The filter's own words reach the screen and the journal."""
    no = Refused("digest-mismatch", "other bytes", 502)
    async with serving(Admission, digest=no) as (_, admission):
        with pytest.raises(Refused, match="other bytes") as refused:
            await admission.digest(DIGEST, "a.mp4", "film", 0, 7, last=True)
    told = refused.value
    assert (told.reason, told.status, told.about) == ("digest-mismatch", 502, {"filter": "admission"})


async def test_needed_metadata_is_no_verdict(serving):
    """The file is named by what the layout knows; a name that it does not know is nonsense."""
    needed = {"needed": {"file": "2.root.json", "largest": 1000}}
    async with serving(Admission, admit=needed) as (made, admission):
        found = await admission.admit(DIGEST, "code", "shown", None)
        assert found == Needed("2.root.json", 1000)
        made.answers["admit"] = {"needed": {"file": "../passwd", "largest": 1000}}
        with pytest.raises(Refused) as refused:
            await admission.admit(DIGEST, "code", "shown", None)
    assert refused.value.reason == "filter-failed"


async def test_a_filter_under_another_policy_is_waited_for(serving):
    """It may take the policy in at any moment; if it does not, the box is busy, which is nobody's fault."""
    async with serving(Admission) as (made, admission):
        made.answers["pass"] = Refused("other-policy", "another", 409)
        with pytest.raises(Refused) as refused:
            await admission.may_pass(DIGEST, DIGEST, "bigscreen")
        assert refused.value.reason == "busy"
        assert len(made.asked) > 1


async def test_a_filter_that_is_away_is_waited_for_and_then_refuses(socket, serving, monkeypatch):
    """Whoever begins something waits for its restart; nobody is served meanwhile."""
    monkeypatch.setattr(client, "RESTART", 0.1)
    async with Admission(socket) as admission:
        with pytest.raises(Refused) as refused:
            await admission.may_pass(DIGEST, DIGEST, "bigscreen")
    assert (refused.value.reason, refused.value.about["how"]) == ("filter-failed", "away")

    monkeypatch.setattr(client, "RESTART", 20.0)
    async with asyncio.TaskGroup() as tasks, Admission(socket) as admission:
        asked = tasks.create_task(admission.may_pass(DIGEST, DIGEST, "bigscreen"))
        made = Filter()
        made.answers = {"pass": {"application": True}}
        await asyncio.sleep(0)  # it has begun to ask
        async with http.serving(made.application(), unix=[(socket, 0o600)]):
            assert await asked is True


async def test_one_piece_is_one_question(serving):
    """A small object is shown when it is there, and no process waits for it."""
    async with (
        serving(Inspection, look={"verified": 9}) as (made, inspection),
        inspection.inspecting(WHAT, "a.mp4", 9, "film") as looking,
    ):
        assert await looking.look(0, 9, last=True) == 9
    assert [what for what, _ in made.asked] == ["look"]


async def test_a_large_object_is_looked_at_piece_by_piece_and_let_go(serving):
    """Left before its end, it is ended at the filter; after its last piece, or a refusal, there is nothing to end."""
    answers = {"begin": {"id": "7"}, "chunk": {"verified": PIECE}, "end": {}}
    async with serving(Inspection, **answers) as (made, inspection):
        async with inspection.inspecting(WHAT, "a.mp4", PIECE + 1, "film") as looking:
            assert await looking.look(0, PIECE, last=False) == PIECE
        assert [what for what, _ in made.asked] == ["begin", "chunk", "end"]
        made.asked.clear()
        async with inspection.inspecting(WHAT, "a.mp4", 9, "film") as looking:
            assert not made.asked  # it may come whole still
            await looking.look(0, 8, last=False)
            await looking.look(8, 1, last=True)
        assert [what for what, _ in made.asked] == ["begin", "chunk", "chunk"]
        made.asked.clear()
        async with inspection.inspecting(WHAT, "a.mp4", PIECE + 1) as looking:
            await looking.look(0, PIECE, last=False)
            await looking.look(PIECE, 1, last=True)
        assert [what for what, _ in made.asked] == ["begin", "chunk", "chunk"]
        assert made.asked[0][1]["object"] == DIGEST
        made.asked.clear()
        made.answers["chunk"] = Refused("malformed", "no film", 502)
        with pytest.raises(Refused, match="no film"):
            async with inspection.inspecting(WHAT, "a.mp4", PIECE + 1, "film") as looking:
                await looking.look(0, PIECE, last=False)
        assert [what for what, _ in made.asked] == ["begin", "chunk"]
