"""Who may curate."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.runtime.errors import ConfigError, Refused
from gateway.linking import curators


def test_a_token_is_shown_once_and_kept_nowhere(tmp_path: Path):
    """The file has digests; a new token replaces the old one, and a removed one is nobody's."""
    path = tmp_path / "curators"
    first = curators.admit(path, "li-wei")
    second = curators.admit(path, "li-wei")
    other = curators.admit(path, "wang")

    known = curators.load(path)
    assert [known.name_of(token) for token in (first, second, other, "", "x" * 10_000)] == [
        None,
        "li-wei",
        "wang",
        None,
        None,
    ]
    assert second not in path.read_text()
    assert path.stat().st_mode & 0o777 == 0o640
    curators.admit(path, "wang", remove=True)
    assert curators.load(path).name_of(other) is None


def test_a_wrong_file_admits_nobody(tmp_path: Path):
    """Each wrong line is a fault; without a file there are no curators."""
    path = tmp_path / "curators"
    assert curators.load(path).digests == {}
    path.write_text(f"# who\nli-wei sha256:{'0' * 64}\nli-wei sha256:{'1' * 64}\nx\n")
    with pytest.raises(ConfigError) as wrong:
        curators.load(path)
    assert [fault.line for fault in wrong.value.faults] == [3, 4]
    for name, remove in (("Li Wei", False), ("nobody", True)):
        with pytest.raises(Refused):
            curators.admit(tmp_path / "none", name, remove=remove)


@settings(max_examples=60)
@given(st.binary(max_size=200))
def test_any_file_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, data: bytes):
    """Whatever is in the file, nobody is admitted by chance."""
    path = tmp_path_factory.getbasetemp() / "any-curators"
    path.write_bytes(data)
    try:
        known = curators.load(path)
    except ConfigError:
        return
    assert known.name_of("token") is None
