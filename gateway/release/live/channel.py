"""The release that names a channel: its packager's key, how long a segment is, and how many a playlist names."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from appliance.identity.keys import PrivateKey
from appliance.runtime.errors import ConfigError, Fault, Refused
from gateway.release import folder as folders
from gateway.release import paths
from gateway.release.live import signing
from gateway.release.manifest import Live, Release


def channel_at(origin: Path, code: str, key: PrivateKey) -> tuple[Release, Live]:
    """Return the channel ``code`` as it stands at ``origin``, and what it says of its live part.

    Raises:
        ConfigError: there is none, or it is no channel.
        Refused: the channel names another packager's key (``wrong-key``).
    """
    where = origin / "releases" / code
    found = folders.read_claimed(where)
    if found is None:
        raise ConfigError(
            [fault(where, f"holds no {paths.MANIFEST}: make it with 'headgate release channel' and publish it first")]
        )
    release = found[1]
    if release.live is None:
        raise ConfigError(
            [fault(where / paths.MANIFEST, f"{release.identifier} is no channel: its release has no 'live'")]
        )
    if release.code != code:
        raise ConfigError([fault(where / paths.MANIFEST, f"is the release of {release.identifier}")])
    if release.live.key != str(key.public):
        raise Refused("wrong-key", f"the channel's packager signs with {release.live.key}, not with {key.public}")
    return release, release.live


def build(told: dict[str, object], folder: Path) -> Release:
    """Return the release of a channel.

    Raises:
        ConfigError: holds every fault of what was told.
    """
    entry = str(told["entry"])
    if not entry.startswith(f"{signing.FOLDER}/"):
        told = {**told, "entry": f"{signing.FOLDER}/{entry}"}
    try:
        return Release.model_validate(told)
    except ValidationError as error:
        raise ConfigError(
            [
                fault(folder, f"{'.'.join(str(part) for part in each['loc'])}: {each['msg']}".removeprefix(": "))
                for each in error.errors(include_url=False, include_input=False, include_context=False)
            ]
        ) from error


def fault(path: Path, message: str) -> Fault:
    """Return what is wrong with the file or folder at ``path``."""
    return Fault(str(path), 1, 1, "", message)
