"""What the controller countersigns, and what it raises an alarm about."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.identity.keys import PrivateKey
from appliance.journal import note
from appliance.journal.log import Journal
from appliance.runtime.errors import Corrupt
from provisioning.controller import witness
from provisioning.controller.witness import Alarm, Countersign, Remind, Seen, Witness, after, judge

KEY = PrivateKey.generate()


def journal(folder: Path, entries: int, word: str = "apply") -> Journal:
    made = Journal(folder, KEY, "headend/guard")
    made.append_many([{"decision": word, "number": number} for number in range(entries)])
    made.publish()
    return made


def ask(made: Journal, old: int) -> tuple[str, str]:
    made.publish()
    return made.verifier, made.request(old).decode()


def seen_of(made: Journal) -> Seen:
    return after(None, made.verifier, judge(None, *ask(made, 0)))


def test_the_first_is_believed_and_each_later_one_must_go_on_from_it(tmp_path: Path) -> None:
    """With a proof from the size countersigned last, whatever it was, the next is countersigned; the same again too."""
    made = journal(tmp_path, 300)
    seen = seen_of(made)
    assert (seen.key, seen.size) == (made.verifier, 300)
    for more in (1, 255, 1000):
        made.append_many([{"more": more}] * more)
        verdict = judge(seen, *ask(made, seen.size))
        assert isinstance(verdict, Countersign)
        assert verdict.head == made.head()
        seen = after(seen, made.verifier, verdict)
        assert judge(seen, *ask(made, made.size)) == verdict
    made.close()


def test_a_request_from_elsewhere_is_reminded(tmp_path: Path) -> None:
    """A box whose witness answered while it was away learns from where to go on; one unknown here begins at nothing."""
    made = journal(tmp_path, 20)
    seen = seen_of(made)
    made.append({})
    assert judge(seen, *ask(made, 7)) == Remind(20)
    assert judge(seen, *ask(made, 0)) == Remind(20)
    assert judge(None, *ask(made, 7)) == Remind(0)
    assert after(seen, made.verifier, Remind(20)) == seen
    made.close()


def test_a_fork_is_an_alarm_and_stays_one(tmp_path: Path) -> None:
    """Another past of the same or a greater length, or entries taken away: nothing more is countersigned, good as it may look."""
    made = journal(tmp_path / "good", 20)
    seen = seen_of(made)
    same, longer, shorter = (journal(tmp_path / str(n), n, "forged") for n in (20, 30, 10))
    for forged, reason in ((same, "forked"), (longer, "forked"), (shorter, "rolled-back")):
        verdict = judge(seen, *ask(forged, min(20, forged.size)))
        assert isinstance(verdict, Alarm)
        assert verdict.reason == reason
        now = after(seen, forged.verifier, verdict)
        made.append({})
        assert judge(now, *ask(made, 20)) == verdict
        forged.close()
    made.close()


def test_a_late_message_is_no_alarm(tmp_path: Path) -> None:
    """A head that was countersigned before may come again."""
    made = journal(tmp_path, 20)
    seen, early = seen_of(made), ask(made, 0)
    made.append({})
    seen = after(seen, made.verifier, judge(seen, *ask(made, 20)))
    assert judge(seen, *early) == Remind(21)
    for _ in range(witness.REMEMBERED):
        made.append({})
        seen = after(seen, made.verifier, judge(seen, *ask(made, seen.size)))
    assert len(seen.recent) == witness.REMEMBERED
    assert isinstance(judge(seen, *early), Alarm)
    made.close()


def test_another_key_and_what_is_not_signed_are_alarms_until_it_is_right_again(tmp_path: Path) -> None:
    """The key is pinned at first sight; a request that is none is no checkpoint."""
    made = journal(tmp_path / "good", 20)
    seen = seen_of(made)
    other = Journal(tmp_path / "other", PrivateKey.generate(), "headend/guard")
    key, request = ask(made, 20)
    for wrong, reason in (
        (ask(other, 0), "other-key"),
        ((key, request.replace("\n20\n", "\n21\n")), "not-signed"),
        ((key, "junk"), "not-signed"),
        ((key, "old 0\n\n\ud800"), "not-signed"),
    ):
        verdict = judge(seen, *wrong)
        assert isinstance(verdict, Alarm)
        assert verdict.reason == reason
        assert isinstance(judge(after(seen, wrong[0], verdict), key, request), Countersign)
    unknown = judge(None, "junk", request)
    assert isinstance(unknown, Alarm)
    assert isinstance(judge(after(None, "junk", unknown), *ask(made, 0)), Countersign)
    made.close()
    other.close()


def test_the_witness_signs_under_its_name(tmp_path: Path) -> None:
    """Its line holds for its verifier key, and a name that no note can carry is refused."""
    made = journal(tmp_path, 3)
    operator = Witness.named("operator", PrivateKey.generate())
    line = operator.countersign(made.head(), 77)
    signed = note.parse_note(note.written(made.head(), [line]))
    assert signed.cosigned_by(note.parse_verifier(operator.verifier, b"\x04")) == 77
    with pytest.raises(Corrupt):
        Witness.named("two words", KEY)
    made.close()


def test_only_journals_metrics_are_requests() -> None:
    """Both metrics of a journal make one request, when either changed; others, and more than a few journals, none."""
    metrics = {
        "journal/guard/key": "k",
        "journal/guard/checkpoint": "c",
        "journal/x/key": "k",
        "site": "headend",
        "journal/y/key": 3,
    }
    assert witness.asked_in(metrics, ["journal/guard/checkpoint"]) == [("guard", "k", "c")]
    assert witness.asked_in(metrics, metrics) == [("guard", "k", "c")]
    assert witness.asked_in(metrics, ["site", "journal/../key"]) == []
    many = {f"journal/j{n}/{part}": "v" for n in range(20) for part in ("key", "checkpoint")}
    assert len(witness.asked_in(many, many)) == witness.MOST_JOURNALS
