"""The scalar words of a policy file: addresses, networks, MACs, ``tcp/80``, ``64 MiB``, names."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import PlainSerializer, PlainValidator

from appliance.identity.keys import PublicKey
from appliance.runtime.config import Problem, nearest
from gateway.isolation.question import Address, End

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Interface = ipaddress.IPv4Interface | ipaddress.IPv6Interface

UNITS = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
RATE_UNITS = {"s": 1, "min": 60}  # seconds
LARGEST_RATE = 1_000_000  # in a second or a minute
LARGEST_SIZE = 1 << 40  # bytes; a feature film in 4K is two orders smaller


@dataclass(frozen=True, order=True)
class Listen:
    """A transport protocol and a port, written ``tcp/80``."""

    protocol: str
    port: int

    def __str__(self) -> str:
        return f"{self.protocol}/{self.port}"


@dataclass(frozen=True)
class Port:
    """What a zone's port is known by: its MAC, its PCI address, or both; the other is empty. ``str()`` is what was written."""

    mac: str = ""
    pci: str = ""  # without ``pci:``, such as 0000:03:00.0

    def __str__(self) -> str:
        return " ".join([*([self.mac] if self.mac else []), *([f"pci:{self.pci}"] if self.pci else [])])


@dataclass(frozen=True)
class Rate:
    """So many in a second or a minute, written ``10/s`` or ``100/min``."""

    count: int
    unit: Literal["s", "min"] = "s"

    @property
    def per_second(self) -> float:
        """How many in a second."""
        return self.count / RATE_UNITS[self.unit]

    def __str__(self) -> str:
        return f"{self.count}/{self.unit}"


def _text(value: Any, what: str) -> str:
    if not isinstance(value, str):
        raise Problem((), f"{what}; write it in quotes if YAML takes it for something else")
    return value


def _without_scope(text: str) -> None:
    if "%" in text:
        raise Problem((), f"'{text[:80]}' has a scope, which belongs to one machine and not to a policy")


def _address(value: Any) -> Address:
    text = _text(value, "must be an IP address")
    _without_scope(text)
    try:
        return ipaddress.ip_address(text)
    except ValueError as error:
        raise Problem((), f"'{text[:80]}' is not an IP address") from error


def network_of(value: Any) -> Network:
    """Return the network or single address written as ``value``.

    Raises:
        Problem: it is none; tells the nearest right word.
    """
    text = _text(value, "must be an address or a network such as 10.20.0.0/24")
    _without_scope(text)
    try:
        return ipaddress.ip_network(text)
    except ValueError as error:
        try:
            meant = str(ipaddress.ip_network(text, strict=False))
        except ValueError:
            raise Problem((), f"'{text[:80]}' is not an address or network") from error
        raise Problem((), f"'{text}' has bits set behind its prefix", f"did you mean '{meant}'?") from error


def _interface(value: Any) -> Interface:
    text = _text(value, "must be an address with its prefix such as 10.20.0.11/24")
    _without_scope(text)
    try:
        interface = ipaddress.ip_interface(text)
    except ValueError as error:
        raise Problem((), f"'{text[:80]}' is not an address with a prefix such as 10.20.0.11/24") from error
    network = interface.network
    if "/" not in text:
        raise Problem(
            (), f"'{text}' has no prefix length", f"did you mean '{text}/24'?" if network.version == 4 else ""
        )
    if network.num_addresses > 2 and interface.ip in (network.network_address, network.broadcast_address):
        raise Problem((), f"'{text}' is the network's own address or its broadcast address, not a host's")
    if interface.ip.is_multicast or interface.ip.is_unspecified:
        raise Problem((), f"'{text}' cannot be the address of a box")
    return interface


def _mac(value: Any) -> str:
    text = _text(value, "must be a MAC address such as '02:68:67:0a:00:0b'").lower()
    if not re.fullmatch(r"([0-9a-f]{2}:){5}[0-9a-f]{2}", text):
        raise Problem((), f"'{text[:80]}' is not a MAC address: six pairs of hex digits with colons")
    if int(text[:2], 16) & 1 or text == "00:00:00:00:00:00":
        raise Problem((), f"'{text}' is a group address or nothing at all: no port carries it")
    return text


def _pci(value: Any) -> str:
    text = _text(value, "must be a PCI address such as '0000:03:00.0'").lower()
    if not re.fullmatch(r"[0-9a-f]{4}:[0-9a-f]{2}:[01][0-9a-f]\.[0-7]", text):
        short = re.fullmatch(r"[0-9a-f]{2}:[01][0-9a-f]\.[0-7]", text)
        raise Problem(
            (),
            f"'{text[:80]}' is not a PCI address such as 0000:03:00.0",
            f"did you mean '0000:{text}'?" if short else "",
        )
    return text


def _port(value: Any) -> Port:
    if isinstance(value, dict):
        unknown = [key for key in value if key not in ("mac", "pci")]
        if unknown or not value:
            raise Problem(
                (), "a port is written {mac: ..., pci: ...}", nearest(str(next(iter(unknown), "")), ("mac", "pci"))
            )
        return Port(_mac(value["mac"]) if "mac" in value else "", _pci(value["pci"]) if "pci" in value else "")
    text = _text(value, "must be a MAC address such as '02:68:67:0a:00:0b', or 'pci:0000:03:00.0'")
    if text.startswith("pci:"):
        return Port(pci=_pci(text.removeprefix("pci:")))
    return Port(_mac(text))


def _written_port(port: Port) -> str | dict[str, str]:
    return {"mac": port.mac, "pci": port.pci} if port.mac and port.pci else str(port)


def _rate(value: Any) -> Rate:
    match = re.fullmatch(r"([0-9]{1,9})/([a-z]+)", value) if isinstance(value, str) else None
    if not match:
        raise Problem((), "must be a rate such as 10/s or 100/min")
    unit = match.group(2)
    if unit not in RATE_UNITS:
        raise Problem((), f"unknown unit '{unit}'", nearest(unit, RATE_UNITS) or "known: s, min")
    if int(match.group(1)) > LARGEST_RATE:
        raise Problem((), f"must be at most {LARGEST_RATE}/{unit}")
    return Rate(int(match.group(1)), "s" if unit == "s" else "min")


def _listen(value: Any) -> Listen:
    text = _text(value, "must be a protocol and a port such as tcp/80")
    match = re.fullmatch(r"([a-z]+)/([0-9]{1,5})", text)
    if not match:
        raise Problem((), f"'{text[:80]}' is not a protocol and a port such as tcp/80")
    protocol, port = match.group(1), int(match.group(2))
    if protocol not in ("tcp", "udp"):
        raise Problem((), f"unknown protocol '{protocol}'", nearest(protocol, ("tcp", "udp")))
    if not 1 <= port <= 65535:
        raise Problem((), f"{port} is not a port: 1 to 65535")
    return Listen(protocol, port)


def _size(value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        size = value
    else:
        match = re.fullmatch(r"([0-9]{1,9}) ?([A-Za-z]+)", value) if isinstance(value, str) else None
        if not match:
            raise Problem((), "must be a size such as 64 MiB")
        if match.group(2) not in UNITS:
            raise Problem(
                (), f"unknown unit '{match.group(2)}'", nearest(match.group(2), UNITS) or "known: B, KiB, MiB, GiB"
            )
        size = int(match.group(1)) * UNITS[match.group(2)]
    if not 1 <= size <= LARGEST_SIZE:
        raise Problem((), f"must be between 1 byte and {LARGEST_SIZE >> 30} GiB")
    return size


def name_of(value: Any) -> str:
    """Return the name written as ``value``.

    Raises:
        Problem: it is none; tells the nearest right word.
    """
    text = _text(value, "must be a name")
    if not re.fullmatch(r"[a-z][a-z0-9-]{0,47}", text):
        meant = re.sub(r"[^a-z0-9-]+", "-", text[:48].lower()).strip("-")
        hint = f"did you mean '{meant}'?" if re.fullmatch(r"[a-z][a-z0-9-]*", meant) else ""
        raise Problem(
            (), f"'{text[:80]}' is not a name: small letters, digits and '-', a letter first, at most 48", hint
        )
    return text


def _key(value: Any) -> PublicKey:
    return PublicKey.parse(_text(value, "must be a public key 'ed25519:...'"))


def _end(value: Any) -> End:
    return End.parse(value)


_AS_TEXT = PlainSerializer(str, return_type=str)
IPAddress = Annotated[Address, PlainValidator(_address), _AS_TEXT]
IPNetwork = Annotated[Network, PlainValidator(network_of), _AS_TEXT]
IPInterface = Annotated[Interface, PlainValidator(_interface), _AS_TEXT]
Mac = Annotated[str, PlainValidator(_mac)]
ProtocolPort = Annotated[Listen, PlainValidator(_listen), _AS_TEXT]
Size = Annotated[int, PlainValidator(_size)]
Key = Annotated[PublicKey, PlainValidator(_key), _AS_TEXT]
WrittenEnd = Annotated[End, PlainValidator(_end), _AS_TEXT]
Name = Annotated[str, PlainValidator(name_of)]
ZonePort = Annotated[Port, PlainValidator(_port), PlainSerializer(_written_port)]
PerTime = Annotated[Rate, PlainValidator(_rate), _AS_TEXT]
