"""Real servers on loopback: Mosquitto as the centre's role sets it up, PostgreSQL in a folder of its own, our daemons as processes."""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.server.ports import free_port

ROOT = Path(__file__).parents[3]
ROLE = ROOT / "playbooks" / "roles" / "centre"
DEADLINE = 40.0  # seconds for anything that is waited for


def wait_for_port(port: int, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + DEADLINE
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.5):
            return
        assert process.poll() is None, f"{process.args!r} ended with {process.returncode}"
        assert time.monotonic() < end, f"nobody listens on {port}"
        time.sleep(0.02)


class Authority:
    """A certificate authority in a folder."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])
        made = (
            self._builder(self._name, self._key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs=True), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.ca = folder / "ca.crt"
        self.ca.write_bytes(made.public_bytes(serialization.Encoding.PEM))

    def issue(self, name: str) -> tuple[Path, Path]:
        """Return certificate and key of ``name``, which is its CN; it serves on loopback."""
        key = ec.generate_private_key(ec.SECP256R1())
        alternative = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
        made = (
            self._builder(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]), key.public_key())
            .add_extension(alternative, critical=False)
            .add_extension(_usage(signs=False), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        cert, private = self.folder / f"{name}.crt", self.folder / f"{name}.key"
        cert.write_bytes(made.public_bytes(serialization.Encoding.PEM))
        private.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return cert, private

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(minutes=5))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=signs,
        encipher_only=False,
        decipher_only=False,
    )


class Broker:
    """Mosquitto with the settings and the access list that the centre's role installs."""

    def __init__(self, folder: Path, authority: Authority) -> None:
        folder.mkdir()
        self.authority, self.port = authority, free_port()
        self._folder, self._process = folder, None
        cert, key = authority.issue("broker")
        self.acl = folder / "headgate.acl"
        (access,) = ROLE.rglob("*.acl")
        self.acl.write_text(access.read_text())
        told = (ROLE / "templates" / "mosquitto.conf.j2").read_text().replace("{{ ansible_managed }}", "test")
        for directive, ours in {
            "listener": f"{self.port} 127.0.0.1",
            "cafile": authority.ca,
            "certfile": cert,
            "keyfile": key,
            "acl_file": self.acl,
        }.items():
            told, found = re.subn(rf"^{directive} .*$", f"{directive} {ours}", told, flags=re.MULTILINE)
            assert found == 1, f"the role's settings hold '{directive}' {found} times"
        assert "{{" not in told
        self._conf = folder / "mosquitto.conf"
        self._conf.write_text(told + f"\nuser {pwd.getpwuid(os.getuid()).pw_name}\n")

    def start(self) -> None:
        with (self._folder / "mosquitto.log").open("ab") as log:
            program = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
            self._process = subprocess.Popen([program, "-c", str(self._conf)], stdout=log, stderr=log)
        wait_for_port(self.port, self._process)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None

    def reload(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGHUP)


class Daemon:
    """One of our daemons as the process that systemd would start."""

    def __init__(self, folder: Path, name: str, settings: str, port: int) -> None:
        folder.mkdir(exist_ok=True)
        self.folder, self.name, self.port = folder, name, port
        self._config = folder / f"{name}.yaml"
        self._config.write_text(settings)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        call = "from provisioning.main import main; main()"
        roots = {"HEADGATE_RUN": "run", "HEADGATE_STATE": "state", "HEADGATE_ETC": "etc"}
        environment = {**os.environ, "PYTHONPATH": str(ROOT), **{k: str(self.folder / v) for k, v in roots.items()}}
        with (self.folder / f"{self.name}.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-c", call, "run", self.name, "--config", str(self._config)],
                stdout=log,
                stderr=log,
                env=environment,
            )
        wait_for_port(self.port, self._process)

    def kill(self) -> None:
        """End it as a power cut would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None

    def end(self) -> int:
        """Ask it to end, and return its exit status."""
        assert self._process is not None
        self._process.terminate()
        status = self._process.wait(15)
        self._process = None
        return status

    @property
    def log(self) -> str:
        return (self.folder / f"{self.name}.log").read_text()


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "pki")


@pytest.fixture
def broker(tmp_path: Path, authority: Authority) -> Iterator[Broker]:
    if not (shutil.which("mosquitto") or Path("/usr/sbin/mosquitto").exists()):
        pytest.skip("SKIPPED LOUDLY: mosquitto is not installed")
    made = Broker(tmp_path / "broker", authority)
    made.start()
    yield made
    made.kill()


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """A cluster of its own, on loopback; yields the URL of the server, without a database."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not programs:
        pytest.skip("SKIPPED LOUDLY: PostgreSQL is not installed (apt-get install postgresql)")
    folder = Path(tempfile.mkdtemp(prefix="headgate-postgresql-"))  # pytest's own folders are closed to its user
    port = free_port()
    as_user: list[str] = []
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres", "postgres")
        as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
    data = folder / "data"
    subprocess.run(
        [
            *as_user,
            programs[-1] / "initdb",
            "-D",
            data,
            "-U",
            "headgate",
            "--auth=trust",
            "--encoding=UTF8",
            "--no-sync",
        ],
        check=True,
        capture_output=True,
        cwd="/",
    )
    options = ["-c", "listen_addresses=127.0.0.1", "-c", f"port={port}", "-c", f"unix_socket_directories={folder}"]
    with (folder / "server.log").open("ab") as log:
        server = subprocess.Popen(
            [*as_user, programs[-1] / "postgres", "-D", data, *options, "-c", "fsync=off"],
            stdout=log,
            stderr=log,
            cwd="/",
        )
    try:
        wait_for_port(port, server)
        yield f"127.0.0.1:{port}"
    finally:
        server.send_signal(signal.SIGINT)  # fast shutdown
        server.wait(30)
        shutil.rmtree(folder)


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database, of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'controller.db'}"
    server = request.getfixturevalue("postgresql")
    import psycopg

    name = f"test_{time.monotonic_ns()}"
    end = time.monotonic() + DEADLINE
    while True:
        try:
            with psycopg.connect(f"postgresql://headgate@{server}/postgres", autocommit=True) as connection:
                connection.execute(f"CREATE DATABASE {name}")  # type: ignore[arg-type]
            return f"postgresql://headgate@{server}/{name}"
        except psycopg.OperationalError:  # still starting up
            assert time.monotonic() < end
            time.sleep(0.05)


def broker_settings(broker: Broker, name: str, retry: float = 0.3) -> str:
    cert, key = broker.authority.issue(name)
    return f"{{address: 127.0.0.1, port: {broker.port}, ca: {broker.authority.ca}, cert: {cert}, key: {key}, retry: {retry}}}"


@pytest.fixture
def controller(tmp_path: Path, broker: Broker, database: str) -> Iterator[Daemon]:
    folder = tmp_path / "controller"
    (folder / "wanted").mkdir(parents=True)
    port = free_port()
    made = Daemon(
        folder,
        "controller",
        f"database: {database}\nbroker: {broker_settings(broker, 'controller')}\n"
        f"listen: {{address: 127.0.0.1, port: {port}}}\nwanted: {folder / 'wanted'}\n",
        port,
    )
    made.start()
    yield made
    made.kill()


@pytest.fixture
def telemetry(tmp_path: Path, broker: Broker) -> Iterator[Daemon]:
    folder = tmp_path / "box"
    for inner in ("state/spool", "run/guard", "run/metrics"):
        (folder / inner).mkdir(parents=True)
    port = free_port()
    made = Daemon(
        folder,
        "telemetry",
        f"site: headend\nbroker: {broker_settings(broker, 'headend')}\n"
        f"metrics: {{address: 127.0.0.1, port: {port}}}\nreport: 0.2\nrecords: 0.1\npatience: 1\nfigures: 0.2\n",
        port,
    )
    made.start()
    yield made
    made.kill()
