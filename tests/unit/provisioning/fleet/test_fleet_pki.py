"""Certificates: issued under the inventory's name, accepted by OpenSSL, kept while they serve."""

from __future__ import annotations

import datetime as dt
import hashlib
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from appliance.runtime.command import CommandFailed, run
from appliance.runtime.errors import Corrupt, HeadgateError, Refused
from provisioning.fleet import pki
from provisioning.fleet.pki import Issue, Keep

NOW = dt.datetime.now(dt.UTC)
ADDRESS = ["10.40.0.11"]


@pytest.fixture
def authority(tmp_path: Path) -> pki.Authority:
    return pki.Authority.at(tmp_path / "pki", NOW)


@pytest.fixture
def asked(tmp_path: Path) -> bytes:
    return pki.request(pki.make_key(tmp_path / "box.key")[0], "whatever the box says")


def test_openssl_accepts_what_is_issued(authority: pki.Authority, asked: bytes, tmp_path: Path):
    """OpenSSL verifies the certificate for both sides of TLS and reads the inventory's name and address in it."""
    answer, _ = authority.answer(asked, "headend", ADDRESS, NOW)
    (tmp_path / "box.crt").write_bytes(answer)

    for purpose in ("sslclient", "sslserver"):
        run(
            [
                "openssl",
                "verify",
                "-x509_strict",
                "-purpose",
                purpose,
                "-CAfile",
                str(authority.path),
                str(tmp_path / "box.crt"),
            ]
        )
    told = run(["openssl", "x509", "-noout", "-subject", "-ext", "subjectAltName", "-in", str(tmp_path / "box.crt")])

    assert "CN=headend" in told.replace(" ", "")  # OpenSSL 3.2 left the blanks out
    assert "IP Address:10.40.0.11" in told
    assert "whatever" not in told


def test_openssl_refuses_another_authority(authority: pki.Authority, asked: bytes, tmp_path: Path):
    """A certificate of this authority does not pass under another one of the same name."""
    (tmp_path / "box.crt").write_bytes(authority.answer(asked, "headend", ADDRESS, NOW)[0])
    other = pki.Authority.at(tmp_path / "other", NOW)

    with pytest.raises(CommandFailed, match=r"verif"):
        run(["openssl", "verify", "-CAfile", str(other.path), str(tmp_path / "box.crt")])


def test_asking_again_changes_nothing(authority: pki.Authority, asked: bytes):
    """The same request gets the same certificate, and one serial is written down."""
    first, decided = authority.answer(asked, "headend", ADDRESS, NOW)
    second, again = authority.answer(asked, "headend", ADDRESS, NOW)

    assert (decided, again) == (Issue("none was issued yet"), Keep())
    assert first == second
    assert len((authority.folder / "serials").read_text().splitlines()) == 1


RENEWALS = [
    ("long before its end", {}, None),
    ("near its end", {"now": NOW + dt.timedelta(days=pki.DAYS - pki.RENEW_DAYS + 1)}, "it ends on"),
    ("another address", {"addresses": ["10.40.0.99"]}, "its name or addresses changed"),
    ("another key", {"key": True}, "the box has a new key"),
    ("another authority", {"authority": True}, "another authority issued it"),
]


@pytest.mark.parametrize(("change", "why"), [r[1:] for r in RENEWALS], ids=[r[0] for r in RENEWALS])
def test_a_certificate_is_renewed_where_it_does_not_serve(
    authority: pki.Authority, asked: bytes, tmp_path: Path, change, why
):
    """A certificate is kept unless its end is near or its name, address, key or authority changed."""
    made, _ = authority.answer(asked, "headend", ADDRESS, NOW)
    if "key" in change:
        asked = pki.request(pki.make_key(tmp_path / "new.key")[0], "headend")
    root = pki.Authority.at(tmp_path / "other", NOW) if "authority" in change else authority

    decided = pki.decide(
        x509.load_pem_x509_certificate(made), root.certificate, x509.load_pem_x509_csr(asked), "headend",
        change.get("addresses", ADDRESS), change.get("now", NOW),
    )  # fmt: skip

    assert decided == Keep() if why is None else isinstance(decided, Issue) and decided.why.startswith(why)


def test_the_box_knows_whether_its_certificate_serves(authority: pki.Authority, asked: bytes, tmp_path: Path):
    """On the box nothing is asked for while certificate and authority are there, and both count."""
    path, digest = tmp_path / "box.crt", hashlib.sha256(authority.path.read_bytes()).hexdigest()
    missing = pki.standing(asked, path, authority.path, digest, "headend", ADDRESS, NOW)
    path.write_bytes(authority.answer(asked, "headend", ADDRESS, NOW)[0])

    assert missing == Issue("none is here yet")
    assert pki.standing(asked, path, authority.path, digest, "headend", ADDRESS, NOW) == Keep()
    assert pki.standing(asked, path, authority.path, "0" * 64, "headend", ADDRESS, NOW) == Issue(
        "the operator has another authority"
    )


def test_a_key_is_private(tmp_path: Path):
    """A key is made once, and nobody but its owner may read it unless a group is named."""
    first, made = pki.make_key(tmp_path / "box.key")
    again, made_again = pki.make_key(tmp_path / "box.key")

    assert (made, made_again) == (True, False)
    assert first.private_numbers() == again.private_numbers()
    assert (tmp_path / "box.key").stat().st_mode & 0o777 == 0o600
    with pytest.raises(HeadgateError, match="no group 'no-such-group'"):
        pki.make_key(tmp_path / "other.key", "no-such-group")
    assert not (tmp_path / "other.key").exists()


def test_a_key_of_another_kind_is_refused(authority: pki.Authority):
    """A request for an RSA key is refused."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())

    with pytest.raises(Refused, match="not P-256"):
        authority.answer(request.public_bytes(serialization.Encoding.PEM), "headend", ADDRESS, NOW)


def test_a_damaged_request_is_refused(authority: pki.Authority, asked: bytes):
    """A request whose signature was changed is damaged."""
    request = bytearray(x509.load_pem_x509_csr(asked).public_bytes(serialization.Encoding.DER))
    request[-1] ^= 1
    try:
        pem = x509.load_der_x509_csr(bytes(request)).public_bytes(serialization.Encoding.PEM)
    except ValueError:
        pem = b"-----BEGIN CERTIFICATE REQUEST-----\n-----END CERTIFICATE REQUEST-----\n"

    with pytest.raises(Corrupt):
        authority.answer(pem, "headend", ADDRESS, NOW)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=300))
def test_any_bytes_are_answered_or_refused(authority: pki.Authority, data: bytes):
    """Any bytes as a request give a certificate or a typed refusal."""
    with pytest.raises((Corrupt, Refused)):
        authority.answer(data, "headend", ADDRESS, NOW)


def test_the_authority_is_made_once(tmp_path: Path):
    """The second time, the authority that is there is taken, and its key is P-256."""
    first = pki.Authority.at(tmp_path / "pki", NOW)
    second = pki.Authority.at(tmp_path / "pki", NOW)

    assert first.certificate == second.certificate
    assert isinstance(first.certificate.public_key(), ec.EllipticCurvePublicKey)
