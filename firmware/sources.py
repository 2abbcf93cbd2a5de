"""The machine's own apt sources, read so that an image comes from the same Debian mirror: text -> Debian's stanzas.

Nothing here names a mirror. Third-party sources of the machine (a vendor's browser, a database) do not get into a box.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

LONGEST = 1 << 20  # bytes of one sources file
OPTION = re.compile(r"\[(?P<options>[^\]]*)\]")


@dataclass(frozen=True)
class Source:
    """One place that packages come from, for some suites of Debian."""

    uris: tuple[str, ...]
    suites: tuple[str, ...]
    signed_by: str = ""  # the archive's keyring; empty: all keyrings that the machine trusts

    def render(self) -> str:
        """Return the deb822 stanza (sources.list(5)), limited to ``main``."""
        text = f"Types: deb\nURIs: {' '.join(self.uris)}\nSuites: {' '.join(self.suites)}\nComponents: main\n"
        return text + (f"Signed-By: {self.signed_by}\n" if self.signed_by else "")


def suites_of(codename: str) -> frozenset[str]:
    """Return the suites of Debian ``codename`` that a box is built from."""
    return frozenset({codename, f"{codename}-updates", f"{codename}-security"})


def debian(files: Iterable[tuple[str, str]], codename: str) -> tuple[Source, ...]:
    """Return Debian's own sources for ``codename`` among ``files`` (name, text), each once, the archive itself first."""
    wanted = suites_of(codename)
    found: dict[Source, None] = {}
    for name, text in files:
        stanzas = _deb822(text) if name.endswith(".sources") else _one_line(text) if name.endswith(".list") else ()
        for uris, suites, components, signed_by in stanzas:
            kept = tuple(suite for suite in suites if suite in wanted)
            if uris and kept and "main" in components and _is_archive(uris, signed_by):
                found[Source(uris, kept, signed_by)] = None
    return tuple(sorted(found, key=lambda source: codename not in source.suites))


def _is_archive(uris: tuple[str, ...], signed_by: str) -> bool:
    # A vendor may call its suite after Debian's; it does not sign with the archive's key, nor lie at a mirror's usual path.
    if signed_by:
        return "debian-archive" in signed_by
    return all(uri.rstrip("/").endswith(("/debian", "/debian-security")) for uri in uris)


Stanza = tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...], str]


def _deb822(text: str) -> Iterator[Stanza]:
    for block in re.split(r"\n[ \t]*\n", text[:LONGEST].replace("\r\n", "\n")):
        fields: dict[str, str] = {}
        key = ""
        for line in block.split("\n"):
            if line.startswith("#"):
                continue
            if line[:1] in (" ", "\t") and key:
                fields[key] += "\n" + line
            elif ":" in line:
                key, _, value = line.partition(":")
                key = key.strip().lower()
                fields[key] = value.strip()
        if "deb" not in fields.get("types", "").split() or fields.get("enabled", "yes").lower() in ("no", "false", "0"):
            continue
        yield (
            tuple(fields.get("uris", "").split()),
            tuple(fields.get("suites", "").split()),
            tuple(fields.get("components", "").split()),
            fields.get("signed-by", ""),
        )


def _one_line(text: str) -> Iterator[Stanza]:
    for line in text[:LONGEST].splitlines():
        words = line.partition("#")[0].strip()
        if not words.startswith(("deb ", "deb\t", "deb[")):
            continue
        options = OPTION.search(words)
        signed_by = ""
        if options:
            words = words[: options.start()] + " " + words[options.end() :]
            pairs = dict(word.partition("=")[::2] for word in options["options"].split())
            signed_by = pairs.get("signed-by", "")
        parts = words.split()
        if len(parts) >= 4:
            yield (parts[1],), (parts[2],), tuple(parts[3:]), signed_by
