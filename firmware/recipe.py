"""What is in an image: packages and files as values, and the digest that names the result in the cache."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field

REVISION = 1  # raise it when image.py makes something else of the same recipe

HOST_KEY = "/etc/ssh/ssh_host_ed25519_key"
HOST_KEYS = """\
[Service]
# Each box makes its own key at its first boot; one that a power cut left empty is made again.
ExecStartPre=
ExecStartPre=/bin/sh -c 'test -s "$$0" -a -s "$$0.pub" || { rm -f "$$0" "$$0.pub"; ssh-keygen -qt ed25519 -N "" -C "" -f "$$0"; }' %s
ExecStartPre=/usr/sbin/sshd -t
""".replace("%s", HOST_KEY)

SSHD = """\
# The factory's setting: root, by a key that the factory put in, and nothing else.
HostKey /etc/ssh/ssh_host_ed25519_key
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
X11Forwarding no
UseDNS no
"""


@dataclass(frozen=True)
class Recipe:
    """One image: what it adds to the one below it (the factory image adds to nothing)."""

    name: str
    packages: tuple[str, ...]
    files: tuple[tuple[str, str], ...] = ()  # path without leading slash -> text
    disabled: tuple[
        str, ...
    ] = ()  # units that the packages enabled and that provisioning enables where they are wanted
    below: Recipe | None = field(default=None)


FACTORY = Recipe(
    "factory",
    packages=(
        "systemd",
        "systemd-sysv",
        "dbus",
        "udev",
        "openssh-server",
        "python3",
        "python3-apt",
        "iproute2",
        "nftables",
        "ca-certificates",
        "procps",
        "kmod",
        "zstd",
    ),
    files=(
        ("etc/systemd/system/ssh.service.d/10-host-keys.conf", HOST_KEYS),
        ("etc/ssh/sshd_config.d/10-headgate.conf", SSHD),
        ("etc/hosts", "127.0.0.1 localhost\n::1 localhost\n"),
        ("etc/machine-id", ""),  # empty: systemd gives each box its own (machine-id(5))
    ),
    # A box is updated by its operator, from an image, never by itself.
    disabled=("apt-daily.timer", "apt-daily-upgrade.timer", "e2scrub_all.timer", "fstrim.timer"),
)

LAYERS = {
    "centre": Recipe(
        "centre",
        packages=("mosquitto", "nginx-light", "prometheus", "curl"),
        disabled=("mosquitto.service", "nginx.service", "prometheus.service"),
        below=FACTORY,
    ),
    "front": Recipe(
        "front", packages=("nginx-light", "libnginx-mod-http-lua"), disabled=("nginx.service",), below=FACTORY
    ),  # nginx before delivery
    "player": Recipe(
        "player",
        packages=("chromium", "ffmpeg", "nmap", "tcpdump", "curl", "python3-scapy", "fonts-wqy-microhei"),
        disabled=("ssh.service",),  # neither a television nor a phone answers there
        below=FACTORY,
    ),
}

RECIPES = {"factory": FACTORY, **LAYERS}


def digest(recipe: Recipe, suite: str, architecture: str, sources: str) -> str:
    """Return the hex digest that names the image made of ``recipe`` from ``suite``; the one below it counts as well."""
    below = digest(recipe.below, suite, architecture, sources) if recipe.below else ""
    parts = [
        REVISION,
        recipe.name,
        sorted(recipe.packages),
        sorted(recipe.files),
        sorted(recipe.disabled),
        below,
        suite,
        architecture,
        sources,
    ]
    return hashlib.sha256(json.dumps(parts, ensure_ascii=True).encode()).hexdigest()


def folder_name(recipe: Recipe, suite: str, architecture: str, sources: str) -> str:
    """Return the name of the image's folder in the cache."""
    return f"{recipe.name}-{suite}-{digest(recipe, suite, architecture, sources)[:16]}"
