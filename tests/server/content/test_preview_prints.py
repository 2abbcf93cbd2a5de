"""The preview on paper: A4, with long lists that go on from page to page, by a real browser."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from gateway.release.cli import commands

pytestmark = pytest.mark.server
MOST_PAGES = 6


def test_it_fits_on_a4_and_wastes_no_page(tmp_path: Path) -> None:
    """Two hundred things to mend take some pages, each full, and not one page that begins with nothing."""
    browser = shutil.which("chromium")
    if browser is None:
        pytest.skip("SKIPPED LOUDLY: chromium is not installed")
    film = tmp_path / "film"
    film.mkdir()
    for number in range(90):
        (film / f"{number:03}.png").write_bytes(b"no picture")
    page, paper = tmp_path / "preview.html", tmp_path / "preview.pdf"
    told = ["--title", "刘三姐", "--body", "library", "--zones", "bigscreen", "--out", str(page)]
    done = CliRunner().invoke(commands, ["preview", str(film), *told])
    assert done.exit_code == 0, done.output
    argv = [browser, "--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
    printing = [*argv, "--no-pdf-header-footer", f"--print-to-pdf={paper}", page.as_uri()]
    subprocess.run(printing, check=True, capture_output=True, timeout=60)

    data = paper.read_bytes()
    boxes = {tuple(float(part) for part in box.split()) for box in re.findall(rb"/MediaBox\s*\[([^\]]*)\]", data)}
    assert {(round(box[2]), round(box[3])) for box in boxes} == {(595, 842)}
    assert 2 <= len(re.findall(rb"/Type\s*/Page\b[^s]", data)) <= MOST_PAGES
