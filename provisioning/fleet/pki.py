"""The operator's certificate authority: it signs what a box asks for, under the name that the inventory gives the box.

A box makes its key itself and sends a request (PKCS #10); nothing but the public key is taken from it. ``decide`` says whether the
certificate there still serves, so that a second run changes nothing.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import ipaddress
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from appliance.runtime.errors import Corrupt, HeadgateError, Refused
from appliance.runtime.files import write_atomic

AUTHORITY_DAYS = 3650
DAYS = 397  # of a box's certificate
# A box that is away must not come back to an expired certificate: renewed this long before the end.
RENEW_DAYS = 120
SKEW = dt.timedelta(hours=1)  # a box's clock may lag behind ours at its first boot
LARGEST = 64 << 10  # bytes of a request or certificate


@dataclass(frozen=True)
class Keep:
    """The certificate still serves."""


@dataclass(frozen=True)
class Issue:
    """A new certificate is needed, and why."""

    why: str


def decide(
    certificate: x509.Certificate | None,
    authority: x509.Certificate,
    request: x509.CertificateSigningRequest,
    name: str,
    addresses: Sequence[str],
    now: dt.datetime,
) -> Keep | Issue:
    """Return whether ``certificate`` still serves for ``request`` by ``name`` at ``addresses``."""
    if certificate is None:
        return Issue("none was issued yet")
    if _public(certificate) != _public(request):
        return Issue("the box has a new key")
    if names(certificate) != (name, tuple(sorted(addresses))):
        return Issue("its name or addresses changed")
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return Issue("another authority issued it")
    if certificate.not_valid_after_utc - now < dt.timedelta(days=RENEW_DAYS):
        return Issue(f"it ends on {certificate.not_valid_after_utc:%Y-%m-%d}")
    return Keep()


def standing(
    asked: bytes, path: Path, authority: Path, digest: str, name: str, addresses: Sequence[str], now: dt.datetime
) -> Keep | Issue:
    """Return whether the certificate at ``path`` still serves, on the box; ``digest`` is the SHA-256 (hex) of the ``authority`` there."""
    try:
        trusted, there = _read(authority), _read(path)
    except FileNotFoundError:
        return Issue("none is here yet")
    if hashlib.sha256(trusted).hexdigest() != digest:
        return Issue("the operator has another authority")
    try:
        certificate, root = x509.load_pem_x509_certificate(there), x509.load_pem_x509_certificate(trusted)
    except ValueError:
        return Issue("the one that is here cannot be read")
    return decide(certificate, root, x509.load_pem_x509_csr(asked), name, addresses, now)


def names(certificate: x509.Certificate) -> tuple[str, tuple[str, ...]]:
    """Return the common name and the addresses that ``certificate`` speaks for."""
    common = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    try:
        alternative = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        addresses = [str(address) for address in alternative.get_values_for_type(x509.IPAddress)]
    except x509.ExtensionNotFound:
        addresses = []
    return (str(common[0].value) if common else "", tuple(sorted(addresses)))


def _public(holder: x509.Certificate | x509.CertificateSigningRequest) -> bytes:
    return holder.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def request(key: ec.EllipticCurvePrivateKey, name: str) -> bytes:
    """Return a request (PEM) for the key's certificate."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(_name(name))
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def make_key(path: Path, group: str | None = None) -> tuple[ec.EllipticCurvePrivateKey, bool]:
    """Return the private key at ``path``, and whether it was made now (P-256; read by its owner, and by ``group`` if given).

    Raises:
        Corrupt: the file holds no P-256 key.
    """
    if path.exists():
        return _load_key(path), False
    key = ec.generate_private_key(ec.SECP256R1())
    write_atomic(path, _pem(key), 0o600)
    if group is not None:
        try:
            shutil.chown(path, group=group)
        except LookupError as error:
            path.unlink()
            raise HeadgateError(f"there is no group '{group}' here that could read {path}") from error
        path.chmod(0o640)
    return key, True


class Authority:
    """The authority kept in a folder: ``ca.key``, ``ca.crt``, and every certificate issued, in ``issued/NAME.crt``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "ca.crt"
        self._key = _load_key(folder / "ca.key")
        self.certificate = x509.load_pem_x509_certificate(_read(self.path))

    @classmethod
    def at(cls, folder: Path, now: dt.datetime, name: str = "Headgate operator") -> Authority:
        """Return the authority in ``folder``, made now if there is none."""
        if not (folder / "ca.crt").exists():
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            key, _ = make_key(folder / "ca.key")
            write_atomic(folder / "ca.crt", _self_signed(key, name, now).public_bytes(serialization.Encoding.PEM))
        return cls(folder)

    def issued(self, name: str) -> x509.Certificate | None:
        """Return the certificate that was issued last to ``name``."""
        path = self.folder / "issued" / f"{name}.crt"
        try:
            return x509.load_pem_x509_certificate(_read(path))
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise Corrupt(f"{path} holds no certificate") from error

    def answer(self, data: bytes, name: str, addresses: Sequence[str], now: dt.datetime) -> tuple[bytes, Keep | Issue]:
        """Return the certificate (PEM) for the request ``data`` of ``name``, and whether it was issued now.

        Raises:
            Corrupt: ``data`` is no request, or is damaged.
            Refused: the request's key is of another kind than P-256 (reason ``wrong-key``).
        """
        if len(data) > LARGEST:
            raise Corrupt(f"the request is longer than {LARGEST} bytes")
        try:
            asked = x509.load_pem_x509_csr(data)
            sound = asked.is_signature_valid
            public = asked.public_key()
        except (ValueError, TypeError, x509.InvalidVersion) as error:
            raise Corrupt(f"'{name}' sent no certificate request") from error
        if not sound:
            raise Corrupt(f"the certificate request of '{name}' is not signed by its own key")
        if not isinstance(public, ec.EllipticCurvePublicKey) or not isinstance(public.curve, ec.SECP256R1):
            raise Refused("wrong-key", f"'{name}' asks a certificate for a key that is not P-256")
        before = self.issued(name)
        decision = decide(before, self.certificate, asked, name, addresses, now)
        if isinstance(decision, Keep) and before is not None:
            return before.public_bytes(serialization.Encoding.PEM), decision
        made = self._issue(public, name, addresses, now).public_bytes(serialization.Encoding.PEM)
        (self.folder / "issued").mkdir(exist_ok=True)
        write_atomic(self.folder / "issued" / f"{name}.crt", made)
        return made, decision

    def _issue(
        self, public: ec.EllipticCurvePublicKey, name: str, addresses: Sequence[str], now: dt.datetime
    ) -> x509.Certificate:
        usages = [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]
        alternative: list[x509.GeneralName] = [x509.DNSName(name)]
        alternative += [x509.IPAddress(ipaddress.ip_address(address)) for address in addresses]
        builder = (
            x509.CertificateBuilder()
            .subject_name(_name(name))
            .issuer_name(self.certificate.subject)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - SKEW)
            .not_valid_after(min(now + dt.timedelta(days=DAYS), self.certificate.not_valid_after_utc))
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
            .add_extension(x509.SubjectAlternativeName(alternative), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )
        certificate = builder.sign(self._key, hashes.SHA256())
        with (self.folder / "serials").open("a") as serials:  # what a revocation list will be made from
            serials.write(
                f"{certificate.serial_number:x} {name} {certificate.not_valid_after_utc:%Y-%m-%dT%H:%M:%SZ}\n"
            )
        return certificate


def _self_signed(key: ec.EllipticCurvePrivateKey, name: str, now: dt.datetime) -> x509.Certificate:
    return (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(_name(name))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - SKEW)
        .not_valid_after(now + dt.timedelta(days=AUTHORITY_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True, content_commitment=False, key_encipherment=False, data_encipherment=False,
        key_agreement=False, key_cert_sign=signs_certificates, crl_sign=signs_certificates,
        encipher_only=False, decipher_only=False,
    )  # fmt: skip


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _load_key(path: Path) -> ec.EllipticCurvePrivateKey:
    try:
        key = serialization.load_pem_private_key(_read(path), password=None)
    except FileNotFoundError as error:
        raise HeadgateError(f"{path} is missing: without it no certificate can be signed") from error
    except (ValueError, TypeError) as error:
        raise Corrupt(f"{path} holds no private key") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise Corrupt(f"{path} holds a key of another kind than P-256")
    return key


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        data = file.read(LARGEST + 1)
    if len(data) > LARGEST:
        raise Corrupt(f"{path} is not a PEM file of ours")
    return data
