"""The page shows every failure, escapes what others wrote, needs nothing from outside, and says the same in both languages."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from gateway.isolation.bridges.known import NAMES as FOUND
from gateway.isolation.evidence import Finding
from gateway.isolation.report import page as pages
from gateway.isolation.report.grade import grade
from gateway.isolation.report.model import Audit
from gateway.isolation.report.page import page, policy_lines
from gateway.isolation.report.words import LANGUAGES, TEXTS, WORDS, Language

DIGEST = "ab" * 32
TEMPLATES = Path(pages.__file__).parent / "templates"
NAMES = {"AC-4", "SHA-256"}  # of standards: the same in every language


class Reader(HTMLParser):
    """Collects what a reader sees, anchors, links and the tags used."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.text, self.ids, self.links, self.tags, self.attributes = "", [], [], set(), []
        self.states: list[str] = []
        self._quiet = False
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        told = dict(attrs)
        self.tags.add(tag)
        self._quiet = tag == "style"
        self.attributes += list(told.items())
        self.ids += [told["id"]] if "id" in told else []
        self.links += [told["href"]] if "href" in told else []

    def handle_data(self, data):
        self.text += "" if self._quiet else data + " "


def read(audit: Audit, lang: Language = "en") -> Reader:
    """Return the page as its reader sees it."""
    return Reader(page(audit, DIGEST, lang))


@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_failure_is_on_the_page(bad: Audit, lang: Language):
    """What the model holds against the box, the reader sees, in either language."""
    text = read(bad, lang).text
    wanted = [
        *(finding.what for finding in bad.findings),
        *(finding.name for finding in bad.findings),
        *(line for lines in bad.deviations.values() for line in lines),
        *(unknown for proof in bad.proofs for unknown in proof.unknown),
        *(difference.why for proof in bad.proofs for difference in proof.differences),
        *(measure.why for measure in bad.measures),
        *(probe.seen for probe in bad.probes or ()),
        *(statement.why for statement in bad.statements),
        *(bad.journal.faults if bad.journal else ()),
        "10.20.0.50",
        WORDS["verdict_not-shown"][lang],
        WORDS["blind"][lang],
    ]

    assert not [told for told in wanted if told not in text]


@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_reason_leads_to_its_place(good: Audit, bad: Audit, lang: Language):
    """Whoever clicks a reason or a line arrives; no anchor stands twice."""
    for audit in (good, bad):
        seen = read(audit, lang)
        anchors = {link[1:] for link in seen.links if link.startswith("#")}

        assert {reason.anchor for reason in grade(audit).reasons} <= anchors
        assert len(seen.ids) == len(set(seen.ids))
        proved = {anchor for anchor in anchors if anchor.startswith("proof-")}  # one that holds has nothing to show
        assert anchors - proved <= set(seen.ids)


def test_what_others_wrote_stays_text(good: Audit):
    """A title that is markup is shown, not run; not even where the style sheet quotes."""
    hostile = '"}</style><script>alert(1)</script><img src=x onerror=alert(1)>'
    body = replace(good.bodies[0], name=hostile)
    zone = replace(good.zones[0], port=hostile, networks=(hostile,))
    audit = replace(
        good,
        box=replace(good.box, software=hostile, kernel=hostile),
        bodies=(body,),
        zones=(zone,),
        policy=replace(good.policy, text=hostile),
        findings=(Finding(16, hostile, (hostile, "culture"), hostile),),
    )
    seen = read(audit)

    assert not {"script", "img"} & seen.tags
    assert seen.text.count("<script>alert(1)</script>") > 5


@pytest.mark.parametrize("lang", LANGUAGES)
def test_it_needs_nothing_from_outside(bad: Audit, lang: Language):
    """It opens on a machine without network, under a policy that forbids all but its own style."""
    html = page(bad, DIGEST, lang)
    seen = Reader(html)
    outside = [link for link in seen.links if not link.startswith("#")]

    assert outside == [f"{bad.name}.{'en' if lang == 'zh' else 'zh'}.html"]
    assert not {"script", "link", "img", "iframe", "object"} & seen.tags
    assert not [value for name, value in seen.attributes if name in {"src", "style", "onload", "onclick"}]
    assert "url(" not in re.sub(r"url\(#head-[a-z]+\)", "", html)
    assert "default-src 'none'" in html


@pytest.mark.parametrize("lang", LANGUAGES)
def test_it_says_how_it_is_checked(good: Audit, lang: Language):
    """The signed file's digest, the key, the commands."""
    text = read(good, lang).text

    assert text.count(DIGEST) >= 2
    assert f"verify-report {good.name}.json --key {good.box.key}" in text
    assert good.journal is not None
    assert good.journal.root in text


def test_numbers_are_those_of_the_audit(bad: Audit):
    """The four figures of the first screen."""
    told = pages.counts(bad)

    assert (told.proved, told.zones, told.passed, told.failed, told.blind) == (2, 5, 1, 1, 1)


def test_the_first_screen_tells_each_kind_of_reason_once(bad: Audit):
    """Two hundred missing measures are one line; what fails stands first."""
    kinds = pages.kinds_of(grade(bad))

    assert len({(one.key, one.fails) for one, _ in kinds}) == len(kinds)
    assert sum(number for _, number in kinds) == len(grade(bad).reasons)
    assert [one.fails for one, _ in kinds] == sorted((one.fails for one, _ in kinds), reverse=True)


def test_the_policy_stands_there_with_its_lines(good: Audit):
    """References lead to the very line."""
    shown = policy_lines(good, grade(good))

    assert "\n".join(line.text for line in shown) == good.policy.text.rstrip("\n")
    assert [line.number for line in shown] == list(range(1, len(shown) + 1))


def test_a_long_policy_is_shown_where_it_matters(bad: Audit, monkeypatch: pytest.MonkeyPatch):
    """Of a policy with very many lines the page shows the first, and those that evidence points to; it says what it leaves out."""
    monkeypatch.setattr(pages, "MOST_LINES", 3)
    pointed = {d.line for proof in bad.proofs for d in proof.differences}
    shown = policy_lines(bad, grade(bad))
    left = sum(int(line.text) for line in shown if not line.number)

    assert pointed <= {line.number for line in shown if line.pointed}
    assert left + sum(bool(line.number) for line in shown) == len(bad.policy.text.splitlines())
    assert left


def test_an_empty_audit_still_makes_a_page(good: Audit):
    """A box that could show nothing says so, and nothing breaks."""
    bare = replace(good, zones=(), bodies=(), openings=(), lanes=(), statements=(), proofs=(), findings=(), inspected=None,
                   measures=(), probes=None, denied=(), journal=None, changes=(), since=None, previous="")  # fmt: skip

    assert WORDS["verdict_not-shown"]["en"] in read(bare).text


def test_both_languages_have_every_word():
    """Nothing is missing, empty or filled in differently in one of them."""
    pairs = {
        **WORDS,
        **{f"residual {n}": one for n, one in enumerate(TEXTS["residual"])},
        **{f"glossary {n}": one for n, one in enumerate(TEXTS["glossary"])},
        **{f"finding {name}": one for name, one in TEXTS["findings"].items()},
        "physical": TEXTS["physical"],
        "unwitnessed": TEXTS["unwitnessed"],
    }
    holes = re.compile(r"{([a-z]+)}")
    optional = {"zh_note"}

    assert not [key for key, one in pairs.items() if not (one["zh"] and one["en"]) and key not in optional]
    assert not [
        key for key, one in pairs.items() if sorted(holes.findall(one["zh"])) != sorted(holes.findall(one["en"]))
    ]


def test_every_reason_has_its_words(good: Audit):
    """Whatever lowers a grade can be said: the keys of the code are the keys of the table."""
    source = (Path(pages.__file__).parent / "grade.py").read_text()
    keys = set(re.findall(r'Reason\(\s*"([a-z-]+)"', source)) | {"probe-failed", "probe-blind"}

    assert len(keys) > 10
    assert {f"reason_{key}" for key in keys} <= set(WORDS)


@pytest.mark.parametrize("path", sorted(TEMPLATES.glob("*.html")), ids=lambda path: path.name)
def test_templates_hold_no_text_of_their_own(path: Path):
    """All that people read is in the table of words, so that no language lacks a sentence."""
    bare = re.sub(r"{%.*?%}|{{.*?}}|{#.*?#}", "", path.read_text(), flags=re.DOTALL)
    seen = Reader(bare)
    shown = [
        value for name, value in seen.attributes if name in {"title", "alt", "aria-label", "placeholder"} and value
    ]
    found = re.findall(r"[^\W\d_][\w-]+", " ".join([seen.text, *shown]))

    assert not [told for told in found if told not in NAMES]


def test_every_finding_has_its_name_in_words():
    """What the guard can find is said in both languages."""
    assert set(TEXTS["findings"]) == set(FOUND)


def test_every_word_is_used():
    """A word that nothing says is a leftover."""
    used = "".join(path.read_text() for path in (*TEMPLATES.glob("*.html"), *Path(pages.__file__).parent.glob("*.py")))
    made = (
        "act_",
        "decision_",
        "engine_",
        "ev_",
        "form_",
        "kind_",
        "reason_",
        "so_",
        "state_",
        "verdict_",
        "way_",
        "zone_",
    )
    made += ("count_", "why_not_higher_")
    said = {"passed", "failed", "blind", "met", "partly", "not-met", "never", "expect", "accept_live", "drop_live"}

    assert not [
        key
        for key in WORDS
        if not key.startswith(made) and key not in said and f"'{key}'" not in used and f'"{key}"' not in used
    ]
