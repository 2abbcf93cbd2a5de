"""The machine's apt sources -> Debian's own stanzas."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware.sources import Source, debian

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"

DEB822 = f"""\
Types: deb
# a comment between the fields
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates bookworm-backports
Components: main contrib
Signed-By: {KEYRING}

Types: deb deb-src
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main
Signed-By: {KEYRING}
"""


def test_debian_s_own_stanzas_are_kept_with_the_wanted_suites():
    """Base, updates and security of the machine's own release, main only; backports would not be the same on each box."""
    found = debian([("debian.sources", DEB822)], "bookworm")

    assert found == (
        Source(("http://mirror.example/debian",), ("bookworm", "bookworm-updates"), KEYRING),
        Source(("http://mirror.example/debian-security",), ("bookworm-security",), KEYRING),
    )
    assert found[0].render() == (
        "Types: deb\nURIs: http://mirror.example/debian\nSuites: bookworm bookworm-updates\nComponents: main\n"
        f"Signed-By: {KEYRING}\n"
    )


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        ("sources.list", "deb http://m/debian bookworm main # why\n", [(("http://m/debian",), ("bookworm",), "")]),
        (
            "a.list",
            f"deb [arch=amd64 signed-by={KEYRING}] http://m/debian trixie main contrib",
            [],
        ),
        (
            "a.list",
            f"deb [arch=amd64 signed-by={KEYRING}] http://m/debian bookworm main contrib",
            [(("http://m/debian",), ("bookworm",), KEYRING)],
        ),
        ("a.list", "deb-src http://m/debian bookworm main\n# deb http://m/debian bookworm main\n", []),
        ("a.list", "deb [signed-by=/usr/share/keyrings/vendor.gpg] http://vendor/apt bookworm main", []),
        ("a.list", "deb http://vendor/apt bookworm stable", []),
        ("a.list", "deb http://vendor/apt bookworm main", []),
        ("a.list", "deb http://m/debian bookworm", []),
        ("a.list.save", "deb http://m/debian bookworm main", []),
        ("a.sources", DEB822.replace("Types: deb\n", "Types: deb\nEnabled: no\n").split("\n\n")[0], []),
        ("a.sources", "Types: deb\nURIs: http://m\nSuites: nodistro\nComponents: main\n", []),
        (
            "a.sources",
            "Types: deb\r\nURIs: http://m/debian/\r\nSuites: bookworm\r\nComponents: main\r\n",
            [(("http://m/debian/",), ("bookworm",), "")],
        ),
        (
            "a.sources",
            "Types: deb\nURIs: http://a/debian\n http://b/debian\nSuites: bookworm\nComponents: main\n",
            [(("http://a/debian", "http://b/debian"), ("bookworm",), "")],
        ),
    ],
)
def test_lines_and_stanzas(name: str, text: str, found: list):
    """Each form that sources.list(5) knows, and what is left out."""
    assert [(s.uris, s.suites, s.signed_by) for s in debian([(name, text)], "bookworm")] == found


def test_the_archive_itself_comes_first_and_nothing_twice():
    """mmdebstrap takes the first stanza for the base system."""
    security, base = "deb http://s/debian-security bookworm-security main", "deb http://m/debian bookworm main"

    found = debian([("a.list", security), ("b.list", base), ("c.list", base)], "bookworm")

    assert [source.uris for source in found] == [("http://m/debian",), ("http://s/debian-security",)]


WORDS = [
    "deb",
    "Types:",
    "URIs:",
    "Suites:",
    "Components:",
    "Signed-By:",
    "bookworm",
    "main",
    "http://m/debian",
    KEYRING,
    "[",
    "]",
]
WORDS += ["\n", "\n\n", " ", "#", "signed-by="]


@given(
    st.sampled_from(["x.list", "x.sources"]),
    st.text()
    | st.lists(st.sampled_from(WORDS), max_size=40).map(" ".join)
    | st.lists(st.sampled_from(WORDS)).map("".join),
)
@settings(max_examples=150)
def test_any_text_gives_sources_that_read_back_the_same(name: str, text: str):
    """Whatever a vendor put there, the answer is stanzas of the wanted suites, and printing and reading them loses nothing."""
    found = debian([(name, text)], "bookworm")

    again = debian([("x.sources", "\n".join(source.render() for source in found))], "bookworm")
    assert all(set(source.suites) <= {"bookworm", "bookworm-updates", "bookworm-security"} for source in found)
    assert again == found
