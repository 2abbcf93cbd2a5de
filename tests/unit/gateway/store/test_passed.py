"""As what an object passed: a picture that passed is no page."""

import dataclasses

from gateway.store.passed import MOST_NEW, As, Passed

WHAT = As("ab" * 32, "image/png", application=False, depth=0)


def test_another_type_or_depth_did_not_pass(tmp_path):
    """What passed is remembered over a restart, exactly as what it passed."""
    passed = Passed(tmp_path, 1)
    passed.add(WHAT)
    passed.close()
    again = Passed(tmp_path, 1)
    assert again.has(WHAT)
    for change in ({"type": "text/html"}, {"application": True}, {"depth": 1}, {"sha256": "cd" * 32}):
        assert not again.has(dataclasses.replace(WHAT, **change))
    again.forget([WHAT.sha256])
    assert not again.has(WHAT)
    again.close()


def test_stricter_rules_let_nothing_stand(tmp_path):
    """What passed by the rules of yesterday is looked at again."""
    passed = Passed(tmp_path, 1)
    passed.add(WHAT)
    passed.close()
    newer = Passed(tmp_path, 2)
    assert not newer.has(WHAT)
    newer.add(WHAT)
    assert newer.has(WHAT)
    newer.close()


def test_a_damaged_memory_is_an_empty_one(tmp_path):
    """Losing the memory costs inspections, never more."""
    (tmp_path / "passed.db").write_bytes(b"no database" * 1000)
    passed = Passed(tmp_path, 1)
    assert not passed.has(WHAT)
    passed.add(WHAT)
    assert passed.has(WHAT)
    passed.close()


def test_what_was_not_written_down_counts_until_a_crash(tmp_path):
    """Entries are written with others: what a crash takes is inspected again, what was forgotten stays so."""
    passed = Passed(tmp_path, 1)
    passed.add(WHAT)
    assert passed.has(WHAT)
    crashed = Passed(tmp_path, 1)
    assert not crashed.has(WHAT)
    crashed.close()
    passed.forget([WHAT.sha256])
    assert not passed.has(WHAT)
    for number in range(MOST_NEW):
        passed.add(dataclasses.replace(WHAT, sha256=f"{number:064x}"))
    other = Passed(tmp_path, 1)
    assert other.has(dataclasses.replace(WHAT, sha256=f"{0:064x}"))
    assert not other.has(WHAT)
    other.close()
    passed.close()
