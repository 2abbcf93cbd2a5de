"""Errors cross a Unix socket as what they are."""

import pytest
from aiohttp import web

from appliance.runtime import http
from appliance.runtime.errors import ConfigError, Corrupt, Fault, Refused, Unreachable


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (Refused("no-lane", "no lane goes there"), 403, Refused),
        (Refused("not-a-code", "wrong", status=400), 400, Refused),
        (Unreachable("the origin is away"), 504, Unreachable),
        (Corrupt("torn"), 502, Corrupt),
        (ConfigError([Fault("f", 1, 1, "", "wrong")]), 422, Refused),
    ],
)
async def test_a_failure_comes_out_as_it_went_in(tmp_path, error, status, kind):
    """The middleware answers with the status of the error's type, and ``check`` raises the same at the caller."""

    async def fails(_request):
        raise error

    app = http.application()
    app.router.add_get("/", fails)
    path = tmp_path / "s"
    async with (
        http.serving(app, unix=[(path, 0o600)]),
        http.unix_client(path) as client,
        client.get("http://box/") as response,
    ):
        assert response.status == status
        with pytest.raises(kind, match=str(error).splitlines()[0]):
            await http.check(response)


async def test_nobody_at_the_socket_is_unreachable(tmp_path):
    """A socket where nobody listens is Unreachable, not an aiohttp error."""
    with pytest.raises(Unreachable, match="nobody answers"):
        async with http.unix_client(tmp_path / "none") as client, client.get("http://box/"):
            pass


async def test_a_body_that_is_too_long_is_refused(tmp_path):
    """A request body over the bound is a 413, whatever the handler does."""

    async def takes(request):
        return web.Response(text=str(len(await request.read())))

    app = http.application(longest_body=100)
    app.router.add_post("/", takes)
    path = tmp_path / "s"
    async with http.serving(app, unix=[(path, 0o600)]), http.unix_client(path) as client:
        async with client.post("http://box/", data=b"x" * 101) as response:
            assert response.status == 413
        async with client.post("http://box/", data=b"x" * 100) as response:
            assert await response.text() == "100"
