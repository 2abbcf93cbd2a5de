"""A centre (Mosquitto, controller) and boxes whose fetch, exchange, delivery and telemetry are the processes that systemd starts."""

from __future__ import annotations

import importlib.util
import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self
from urllib.request import urlopen

import pytest

from appliance.identity.keys import PrivateKey

SERVER = Path(__file__).parents[1]


def _load(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(f"orders_{name}", SERVER / name / "conftest.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look for it
    spec.loader.exec_module(module)
    return module


content, central = _load("content"), _load("telemetry")
until: Callable[..., Any] = content.until
authority, broker = central.authority, central.broker
CODE: str = content.CODE


def policy_with_orders(regulator: PrivateKey) -> Callable[[str], str]:
    return lambda text: text + f'\norders: {{keys: {{regulator: "{regulator.public}"}}}}\n'


class Box:
    """A chain of content with telemetry."""

    def __init__(self, base: Path, site: str, broker: Any, regulator: PrivateKey, chain: Any = None) -> None:
        base.mkdir(parents=True, exist_ok=True)
        self.site, self.broker = site, broker
        self.chain = content.Chain(base)
        change = policy_with_orders(regulator)
        self.chain.write_policy(
            lambda text: change(text).replace("site: testbox", f"site: {site}").replace("4 MiB", "64 MiB")
        )
        self._settings = base / "telemetry.yaml"
        self._settings.write_text(
            f"site: {site}\nbroker: {central.broker_settings(broker, site)}\nreport: 0.2\nrecords: 0.1\npatience: 1\nfigures: 0.2\n"
        )

    def telemetry(self) -> None:
        """Start telemetry."""
        policy, self.chain.policy = self.chain.policy, self._settings
        try:
            self.chain.start("telemetry", wait=False)
        finally:
            self.chain.policy = policy

    def kill(self, name: str) -> None:
        """End a daemon as a power cut would."""
        self.chain.stop(name, signal.SIGKILL)

    @property
    def wanted(self) -> bytes:
        return bytes(self.chain.policy.read_bytes())

    def __enter__(self) -> Self:
        self.chain.__enter__()
        self.telemetry()
        return self

    def __exit__(self, *_: object) -> None:
        self.chain.__exit__()


class Centre:
    """The controller, and the regulator's command line."""

    def __init__(self, base: Path, broker: Any) -> None:
        self.base, self.broker = base, broker
        self.folder = base / "controller"
        (self.folder / "wanted").mkdir(parents=True)
        self.regulator, self.stranger = PrivateKey.generate(), PrivateKey.generate()
        self.regulator.save(base / "regulator.pem")
        self.stranger.save(base / "stranger.pem")
        port = central.free_port()
        self.daemon = central.Daemon(
            self.folder,
            "controller",
            f"database: sqlite:///{self.folder / 'controller.db'}\n"
            f"broker: {central.broker_settings(broker, 'controller')}\n"
            f"listen: {{address: 127.0.0.1, port: {port}}}\nwanted: {self.folder / 'wanted'}\n",
            port,
        )

    def admit(self, box: Box) -> None:
        """Ask the box's policy of it, by which its regulator's key is known here."""
        (self.folder / "wanted" / f"{box.site}.yaml").write_bytes(box.wanted)

    def get(self, path: str) -> Any:
        with urlopen(f"{self.daemon.url}{path}", timeout=30) as answer:  # noqa: S310 (our own)
            return json.loads(answer.read())

    def online(self) -> set[str]:
        return {box["site"] for box in self.get("/api/boxes")["boxes"] if box["online"]}

    def order(self, act: str, *what: str, key: str = "regulator", wait: float = 10) -> subprocess.CompletedProcess[str]:
        """Give an order as a regulator does."""
        argv = [
            str(Path(sys.executable).with_name("headgate")),
            "release",
            act,
            *what,
            "--reason",
            "版权争议",
            "--json",
        ]
        argv += [
            "--key",
            str(self.base / f"{key}.pem"),
            "--as",
            "regulator",
            "--at",
            self.daemon.url,
            "--wait",
            str(wait),
        ]
        return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def centre(tmp_path_factory: pytest.TempPathFactory, broker: Any) -> Iterator[Centre]:
    made = Centre(tmp_path_factory.mktemp("c"), broker)
    made.daemon.start()
    yield made
    made.daemon.kill()


@pytest.fixture
def box(tmp_path_factory: pytest.TempPathFactory, centre: Centre) -> Iterator[Box]:
    """A box that plays, known to the centre."""
    made = Box(tmp_path_factory.mktemp("b"), "headend", centre.broker, centre.regulator)
    centre.admit(made)
    with made:
        until(lambda: centre.online() == {"headend"}, "the box is online")
        yield made


@pytest.fixture(name="until")
def _until() -> Callable[..., Any]:
    """``until(condition, what)``: waits with a deadline."""
    return until
