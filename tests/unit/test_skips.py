"""The rules of tests/conftest.py, tried on tests of its own."""

from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

CONFTEST = Path(__file__).parents[1] / "conftest.py"
MARKED = """
import pytest

@pytest.mark.{mark}
def test_it():
    pytest.skip("{reason}")
"""


@pytest.mark.parametrize(
    ("ci", "mark", "reason", "outcome"),
    [
        ("true", "flow", "a lab needs root", "failed"),
        ("true", "kernel", "needs root: makes network namespaces", "failed"),
        ("true", "server", "mosquitto is not installed", "failed"),
        ("true", "other", "promtool is not installed", "failed"),
        ("true", "kernel", "the kernel module nf_tables is missing", "skipped"),
        ("true", "other", "needs another time zone", "skipped"),
        ("", "flow", "a lab needs root", "skipped"),
    ],
)
def test_a_skip_is_no_pass_in_ci(
    ci: str, mark: str, reason: str, outcome: str, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
):
    """What CI could have tested and did not is a failure, with the reason in its words."""
    monkeypatch.setenv("CI", ci)
    told = run(pytester, MARKED.format(mark=mark, reason=reason))

    told.assert_outcomes(**{outcome: 1})
    told.stdout.fnmatch_lines([f"*{reason}*"])


def test_a_fixture_that_skips_is_told_as_an_error(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch):
    """A server's fixture that finds no server fails every test that asked for it."""
    monkeypatch.setenv("CI", "true")
    told = run(
        pytester,
        "import pytest\n@pytest.fixture\ndef server():\n    pytest.skip('no')\n"
        "@pytest.mark.server\ndef test_it(server):\n    pass\n",
    )

    told.assert_outcomes(errors=1)


def test_a_file_that_skips_as_a_whole_is_told_as_an_error(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch):
    """A file whose import fails softly is not passed over in CI."""
    monkeypatch.setenv("CI", "true")

    run(pytester, "import pytest\npytest.importorskip('nowhere')\n").assert_outcomes(errors=1)


def test_an_expected_failure_stays_one(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch):
    """A test that is known to fail is no skip."""
    monkeypatch.setenv("CI", "true")
    told = run(pytester, "import pytest\n@pytest.mark.server\n@pytest.mark.xfail\ndef test_it():\n    assert False\n")

    told.assert_outcomes(xfailed=1)


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch):
    """The inner runs need none of our plugins, which take a second to load."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)


def run(pytester: pytest.Pytester, text: str, *words: str) -> pytest.RunResult:
    pytester.makeconftest(CONFTEST.read_text())
    pytester.makeini("[pytest]\naddopts = -ra\nmarkers =\n  kernel: x\n  server: x\n  flow: x\n  other: x\n")
    pytester.makepyfile(text)
    return pytester.runpytest_inprocess(*words)


def test_the_quick_groups_come_first(pytester: pytest.Pytester):
    """Whatever the order was, a lab is raised only when all that needs none is done."""
    tests = "".join(f"@pytest.mark.{mark}\ndef test_{mark}(): pass\n" for mark in ("flow", "kernel", "other", "server"))
    told = run(pytester, f"import pytest\n{tests}", "-v")

    told.stdout.fnmatch_lines(["*::test_other*", "*::test_server*", "*::test_kernel*", "*::test_flow*"])


def test_a_folder_is_a_group(pytester: pytest.Pytester):
    """A test below tests/server or tests/flows stays out of the quick check, also where its file forgot to say what it is."""
    for folder in ("server", "flows", "unit"):
        place = pytester.mkdir(folder) / f"test_{folder}.py"
        place.write_text("def test_it(): pass\n")
    told = run(pytester, "", "-v", "-m", "not kernel and not server and not flow")

    told.assert_outcomes(passed=1, deselected=2)
    told.stdout.fnmatch_lines(["*test_unit.py::test_it PASSED*"])
