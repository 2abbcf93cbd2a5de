"""An audit -> its page in one language: one file of HTML that needs nothing else, prints well, and runs no script."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from gateway.isolation.evidence import Probe
from gateway.isolation.host.grade import ESSENTIAL
from gateway.isolation.report import nist, picture
from gateway.isolation.report.grade import ENGINES, Grade, Reason, grade, holds, joins, lacks, proved_zones, ways
from gateway.isolation.report.model import Audit, written
from gateway.isolation.report.words import FINDINGS, TEXTS, Language, known, word

MOST_LINES = 600  # of the policy's text on the page; beyond, only those that something points to
AROUND = 3  # lines shown around one that something points to

_templates = Environment(
    loader=PackageLoader("gateway.isolation.report"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


@dataclass(frozen=True)
class Counts:
    """The figures of the first screen."""

    zones: int
    proved: int
    engines: int
    elements: int
    passed: int
    failed: int
    blind: int


@dataclass(frozen=True)
class PolicyLine:
    """One line of the policy, or (without a number) how many are not shown here."""

    number: int
    text: str
    pointed: bool = False


@dataclass(frozen=True)
class ProbeRow:
    """One kind of attack, and its probes from every zone with their places in the audit."""

    way: int
    name: str
    control: str
    probes: list[tuple[int, Probe]]


def page(audit: Audit, digest: str, lang: Language) -> str:
    """Return the page of ``audit``, whose signed file has the SHA-256 ``digest``, in ``lang``."""
    reached = grade(audit)
    style = _templates.get_template("report.css").render(
        footer=_css(f"{audit.box.site} · {written(audit.time)} · SHA-256 {digest[:16]}…"),
        page=_css(word("page_of", lang) + " "),
    )
    source = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()

    def w(key: str, /, **told: object) -> str:
        return word(key, lang, **told)

    return _templates.get_template("report.html").render(
        audit=audit,
        counts=counts(audit),
        controls=nist.controls(audit),
        digest=digest,
        essential=ESSENTIAL,
        joins=joins,
        lacks=lacks,
        probe_rows=probe_rows(audit),
        drawn=picture.draw(audit),
        engines=ENGINES,
        finding_names=FINDINGS,
        grade=reached,
        holds=holds,
        lang=lang,
        policy_lines=policy_lines(audit, reached),
        style=Markup(style),  # noqa: S704 - our own file, and two strings quoted for CSS
        style_source=f"'sha256-{source}'",
        texts=TEXTS,
        t=lambda pair: pair[0 if lang == "zh" else 1],
        ways=ways(audit),
        kinds=kinds_of(reached),
        known=lambda prefix, key: known(prefix, key, lang),
        proof_of=lambda zone, engine: next((p for p in audit.proofs if (p.zone, p.engine) == (zone, engine)), None),
        reason=lambda one: word(f"reason_{one.key}", lang, **_worded(one.told, lang)),
        short=picture.fit,
        size=size,
        when=written,
        w=w,
    )


def counts(audit: Audit) -> Counts:
    """Return the figures of the first screen."""
    results = [probe.result for probe in audit.probes or ()]
    elements = {proof.zone: proof.elements for proof in audit.proofs if proof.engine == "algebra"}
    return Counts(
        zones=len(audit.zones),
        proved=proved_zones(audit),
        engines=len({proof.engine for proof in audit.proofs}),
        elements=sum(elements.values()),
        passed=results.count("passed"),
        failed=results.count("failed"),
        blind=results.count("blind"),
    )


def kinds_of(reached: Grade) -> list[tuple[Reason, int]]:
    """Return the first reason of each kind, with how many there are of it; those that fail come first."""
    kinds: dict[tuple[bool, str], list[Reason]] = {}
    for reason in reached.reasons:
        kinds.setdefault((not reason.fails, reason.key), []).append(reason)
    return [(found[0], len(found)) for _, found in sorted(kinds.items(), key=lambda item: item[0][0])]


def probe_rows(audit: Audit) -> list[ProbeRow]:
    """Return the probes by kind of attack, those first of which one did not pass."""
    rows: dict[tuple[int, str], ProbeRow] = {}
    for number, probe in enumerate(audit.probes or ()):
        row = rows.setdefault((probe.way, probe.name), ProbeRow(probe.way, probe.name, probe.control, []))
        row.probes.append((number, probe))
    return sorted(rows.values(), key=lambda row: (all(p.result == "passed" for _, p in row.probes), row.way))


def policy_lines(audit: Audit, reached: Grade) -> list[PolicyLine]:
    """Return the policy's lines for the appendix; of a long one the first, and those around each that evidence points to."""
    lines = audit.policy.text.splitlines()
    pointed = _pointed(audit)
    wanted = set(range(1, min(len(lines), MOST_LINES) + 1))
    for number in pointed:
        wanted.update(range(max(1, number - AROUND), min(len(lines), number + AROUND) + 1))
    shown: list[PolicyLine] = []
    last = 0
    for number in [*sorted(wanted), len(lines) + 1]:
        if number > last + 1:
            shown.append(PolicyLine(0, str(number - last - 1)))
        if number <= len(lines):
            shown.append(PolicyLine(number, lines[number - 1], number in pointed))
        last = number
    return shown


def _pointed(audit: Audit) -> set[int]:
    """Return the lines that a difference or a broken statement points to."""
    differences = [difference.line for proof in audit.proofs for difference in proof.differences]
    return {line for line in (*differences, *(s.line for s in audit.statements if not s.holds)) if line}


def size(number: float) -> str:
    """Return a number of bytes for people."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if number < 1024:
            return f"{number:.0f} {unit}" if number == int(number) or number >= 100 else f"{number:.1f} {unit}"
        number /= 1024
    return f"{number:.1f} TiB"


def _worded(told: Any, lang: Language) -> dict[str, str]:
    """Return what fills a reason, with the words for zones and engines in place of their names."""
    worded = dict(told)
    if "zone" in worded:
        worded["zone"] = known("zone", worded["zone"], lang)
    if "engine" in worded:
        worded["engine"] = known("engine", worded["engine"], lang)
    if "engines" in worded:
        worded["engines"] = ", ".join(known("engine", name, lang) for name in worded["engines"].split(", "))
    return worded


def _css(text: str) -> Markup:
    """Return ``text`` as a string of CSS that cannot end early."""
    safe = "".join(letter if letter.isprintable() and letter not in '\\"<>' else " " for letter in text)
    return Markup(f'"{safe}"')  # noqa: S704 - see above
