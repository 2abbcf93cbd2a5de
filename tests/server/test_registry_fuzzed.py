"""The registry's API does what its OpenAPI document says, whatever comes: schemathesis asks."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import create_async_engine

from appliance.runtime import http
from provisioning.registry.routes import Api
from provisioning.registry.tables import metadata
from tests.unit.provisioning.registry.conftest import Place

pytestmark = pytest.mark.server
FUZZED = 6  # seconds
CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,unsupported_method"
)


async def test_the_api_keeps_to_its_document(tmp_path: Path) -> None:
    """Thousands of requests that fit the document, and as many that do not, meet what it promises and no server error."""
    engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path}/registry.db")
    async with engine.begin() as connection:
        await connection.run_sync(metadata.create_all)
    place = Place(tmp_path / "registry", engine)
    await place.open()
    await place.take(place.record(1), place.record(2))
    app = http.application()
    app.add_routes(Api(place.registry, place.publication).routes())
    try:
        async with http.serving(app, tcp=[("127.0.0.1", 0)]) as addresses:
            document = f"http://127.0.0.1:{addresses[0][1]}/api/registry/openapi.json"
            argv = [Path(sys.executable).with_name("schemathesis"), "run", document, "--checks", CHECKS]
            argv += ["--max-time", str(FUZZED), "--seed", "1", "--warnings", "off"]
            done = await asyncio.to_thread(
                subprocess.run, argv, capture_output=True, text=True, timeout=100, cwd=tmp_path, check=False
            )
        size = place.registry.ledger.size
    finally:
        place.registry.close()
        await engine.dispose()
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-1000:]
    assert size == 2
