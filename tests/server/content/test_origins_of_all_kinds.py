"""HTTPS origins, verified by the operator's authority alone, and S3-compatible ones, whose signatures botocore verifies."""

from __future__ import annotations

import ipaddress
import ssl
from datetime import UTC, datetime, timedelta
from urllib.parse import unquote

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.server.content import media
from tests.server.content.network import DAEMONS, Network

pytestmark = pytest.mark.server
FILES = {"第一集.mp4": media.segment(b"one" * 1000), "二=+~@,().mp4": media.segment(b"two")}
PEM = serialization.Encoding.PEM


@pytest.fixture
def network(tmp_path_factory):
    with Network(tmp_path_factory.mktemp("o")) as network:
        yield network


def certificate(name, key, issuer, issuer_key, *extensions):
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(
        issuer_name=x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]),
        subject_name=x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]),
        public_key=key.public_key(),
        serial_number=x509.random_serial_number(),
        not_valid_before=now - timedelta(minutes=5),
        not_valid_after=now + timedelta(days=1),
    )
    ski = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    aki = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
    for extension, critical in ((ski, False), (aki, False), *extensions):
        builder = builder.add_extension(extension, critical)
    return builder.sign(issuer_key, hashes.SHA256())


def usage(**told):
    names = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
             "key_cert_sign", "crl_sign", "encipher_only", "decipher_only")  # fmt: skip
    return x509.KeyUsage(**{name: told.get(name, False) for name in names})


def authority(folder, name="authority"):
    """Return the key of a certificate authority whose certificate is written to ``folder``."""
    key = ec.generate_private_key(ec.SECP256R1())
    ca = certificate(
        name, key, name, key, (x509.BasicConstraints(ca=True, path_length=0), True), (usage(key_cert_sign=True), True)
    )
    (folder / f"{name}.crt").write_bytes(ca.public_bytes(PEM))
    return key


def serving(folder, address, issuer, key, version=None):
    """Return what wraps a server's socket in TLS with a certificate for ``address``."""
    own = ec.generate_private_key(ec.SECP256R1())
    san = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))])
    crt = certificate("origin", own, issuer, key, (san, False), (usage(digital_signature=True), True))
    private = own.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path = folder / f"{address}-{issuer}.pem"
    path.write_bytes(private + crt.public_bytes(PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return lambda socket: context.wrap_socket(socket, server_side=True, do_handshake_on_connect=False)


def answering(folder):
    """Return a handler that serves ``folder``."""

    def answer(request, path=None):
        file = folder / unquote(path or request.path).lstrip("/")
        if not file.is_file():
            request.send_error(404)
            return
        data = file.read_bytes()
        request.send_response(200)
        request.send_header("Content-Length", str(len(data)))
        request.end_headers()
        request.wfile.write(data)

    return answer


def test_https_origins_are_verified_by_the_operators_authority(network):
    """The right authority and address: served. Another authority, or a certificate for another address: as if it were away."""
    release = network.publish(FILES)
    box = network.box("village", 3)
    key, stranger = authority(box.base / "origins", "ca"), authority(network.base, "stranger")
    handler = answering(network.origin.folder)
    right = network.server(handler, "127.10.0.31", serving(network.base, "127.10.0.31", "ca", key))
    for name, server, expected in (
        ("other authority", network.server(handler, "127.10.0.32", serving(network.base, "127.10.0.32", "stranger", stranger)), 504),
        ("other address", network.server(handler, "127.10.0.33", serving(network.base, "127.10.0.34", "ca", key)), 504),
        ("right", right, 200),
    ):  # fmt: skip
        box.ask_these({"centre": {"address": server.address, "port": server.port, "tls": True}})
        box.start(*DAEMONS)
        assert box.want(release, "第一集.mp4").status == expected, name
        assert bool(server.asked) == (expected == 200), name
        for daemon in DAEMONS:
            box.kill(daemon)
    assert box.object(release, "第一集.mp4").read_bytes() == FILES["第一集.mp4"]


def test_without_an_authority_fetch_does_not_start(network):
    """An HTTPS origin that nobody could verify is a fault of the configuration, told with its place."""
    box = network.box("village", 3)
    box.ask_these({"centre": {**network.centre, "tls": True}})

    with pytest.raises(AssertionError, match=r"origins.centre.tls: no certificates to verify it by"):
        box.start("fetch")


def test_s3_origins_get_signed_requests(network, monkeypatch):
    """Path-style addresses; each signature is the one that botocore makes of the request as it came."""
    release = network.publish(FILES)
    box = network.box("village", 3)
    (box.base / "origins" / "s3").write_text("AKIDEXAMPLE wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY\n")
    serve = answering(network.origin.folder)
    verdicts = []

    def check(request):
        time = datetime.strptime(request.headers["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        assert abs(datetime.now(UTC) - time) < timedelta(minutes=5)
        monkeypatch.setattr("botocore.auth.get_current_datetime", lambda: time.replace(tzinfo=None))
        host = request.headers["Host"]
        theirs = AWSRequest("GET", f"http://{host}{request.path}", headers={"Host": host})
        theirs.context.update(client_config=None, payload_signing_enabled=True)
        S3SigV4Auth(
            Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"), "s3", "cn-south-1"
        ).add_auth(theirs)
        verdicts.append(theirs.headers["Authorization"] == request.headers["Authorization"])
        if not verdicts[-1]:
            request.send_error(403, "SignatureDoesNotMatch")
        elif request.path.startswith("/films/"):
            serve(request, request.path.removeprefix("/films"))
        else:
            request.send_error(404, "NoSuchBucket")

    server = network.server(check, "127.10.0.31")
    told = {"bucket": "films", "region": "cn-south-1", "credentials": "s3"}
    box.ask_these({"store": {"address": server.address, "port": server.port, "s3": told}})
    box.start(*DAEMONS)

    for name, data in FILES.items():
        assert box.want(release, name).status == 200
        assert box.object(release, name).read_bytes() == data
    assert verdicts == [True] * (1 + len(FILES))
