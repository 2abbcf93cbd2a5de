"""docs/isolation.md is what auditors look things up in: it says what the code says, of every way, finding and probe."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gateway.isolation import ruleset
from gateway.isolation.bridges.known import LINK_WAYS, NAMES
from gateway.isolation.host import measures
from gateway.isolation.host.grade import ESSENTIAL
from gateway.isolation.probe.catalogue import ATTACKS
from gateway.isolation.report.nist import BUILT
from gateway.isolation.report.ways import WAYS
from gateway.isolation.report.words import FINDINGS, LANGUAGES

DOCS = Path(__file__).parents[5] / "docs"
PAGES = {"en": (DOCS / "isolation.md").read_text(), "zh": (DOCS / "isolation.zh.md").read_text()}


def rows(page: str, columns: int) -> list[list[str]]:
    """Return the rows of a page's tables that have so many columns."""
    found = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines() if line.startswith("| ")
    ]
    return [row for row in found if len(row) == columns]


def names(cell: str) -> set[str]:
    """Return what is written as code in a cell."""
    return set(re.findall(r"`([a-z0-9-]+)`", cell))


@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_table_of_ways_is_the_catalogue(lang: str):
    """Number, attack, what closes it, and what stays open are the report's own words."""
    told = {int(row[0]): row for row in rows(PAGES[lang], 5) if row[0].isdigit()}
    language = LANGUAGES.index(lang)

    assert list(told) == [way.number for way in WAYS]
    for way in WAYS:
        row = told[way.number]
        assert (row[1], row[2]) == (way.name[language], way.closed[language])
        assert row[4] == (way.open[language] if way.open else "")


@pytest.mark.parametrize("lang", LANGUAGES)
def test_each_way_names_what_shows_it(lang: str):
    """A finding or a measure that the code can tell stands in the row of its way, and no row promises one that there is not."""
    told = {int(row[0]): names(row[3]) for row in rows(PAGES[lang], 5) if row[0].isdigit()}
    findings = {(one.way, name) for name, one in NAMES.items()} | {(way, "foreign-link") for way in LINK_WAYS.values()}
    measured = {(way, measure.name) for measure in measures() for way in measure.ways}
    known = {name for _, name in findings | measured}

    assert {(way, name) for way, all_ in told.items() for name in all_ & known} == findings | measured


def test_every_probe_is_listed_by_its_way():
    """What is sent is what is told."""
    told = {(int(row[0]), name) for row in rows(PAGES["en"], 2) if row[0].isdigit() for name in names(row[1])}

    assert told == {(attack.way, attack.name) for attack in ATTACKS}


def test_every_finding_is_explained():
    """Its way, its meaning, and whether crossing stops."""
    told = {row[0].strip("`"): row[1:] for row in rows(PAGES["en"], 4) if row[0].startswith("`")}

    assert told == {
        name: [str(one.way), FINDINGS[name]["en"], "stops" if one.stops else ""] for name, one in NAMES.items()
    }


def test_every_reason_of_a_denied_packet_is_explained():
    """The comments of the rules that drop."""
    source = Path(ruleset.__file__).read_text()
    told = {row[0].strip("`") for row in rows(PAGES["en"], 2) if row[0].startswith("`")}

    assert told == set(re.findall(r'\.drop\(\s*"([^"]+)"', source))


def test_what_no_box_can_lack_is_named():
    """The measures without which a report says 'not shown'."""
    assert all(f"`{name}`" in PAGES["en"] for name in ESSENTIAL)


def test_the_enhancements_stand_where_the_report_puts_them():
    """The page does not claim more of AC-4 than the report does."""
    (told,) = re.findall(r"\*\*NIST SP 800-53.*?\n\n", PAGES["en"], re.DOTALL)
    groups = dict(zip(("met", "partly", "not-met"), re.split(r"In part:|Not\s+met yet", told), strict=True))
    built = {number: status for number, (_, status, _) in BUILT.items()}

    assert {
        number: status for status, text in groups.items() for number in map(int, re.findall(r"\((\d+)\)", text))
    } == {
        **built,
        7: "not-met",
        21: "met",
        26: "met",
        28: "partly",
    }


@pytest.mark.parametrize("lang", LANGUAGES)
def test_links_lead_somewhere(lang: str):
    """To files that are there."""
    links = re.findall(r"\]\((?!https?:)([^)#]+)", PAGES[lang])

    assert links
    assert all((DOCS / link).exists() for link in links)
