"""The door of a zone: where a token is looked for, and what is remembered of it."""

import pytest

from appliance.runtime.errors import Refused
from gateway.permission import door as doors
from gateway.permission import token
from gateway.permission.door import Door, Shown, shown
from gateway.permission.judge import Asked, Here
from gateway.permission.pseudonym import DAY
from gateway.permission.withdrawn import Withdrawal, Withdrawn
from tests.unit.gateway.permission.test_token import ISSUERS, PEM

ASKED = Asked("GET", "http://a/r/1/x.ts", "10.0.0.1", {})
HERE = Here(("headgate",), None, 30.0)


def heard(*told):
    """Return a list that was heard, with these withdrawals."""
    withdrawn = Withdrawn()
    withdrawn.replace(Withdrawal(kind=kind, name=name, serial=7, by="regulator") for kind, name in told)
    return withdrawn


def text(subject="viewer", until=10 * DAY):
    return token.issue({token.ISS: "portal", token.EXP: int(until), token.SUB: subject}, PEM)


def test_where_a_token_is_looked_for():
    """By header first, then in the query by its names, then by cookie."""
    name = doors.NAME
    assert shown({name.lower(): "h"}, {name: "c"}, {"CAT": "q"}) == Shown("h", "header")
    assert shown({}, {name: "c"}, {"cat": "q"}) == Shown("q", "cat")
    assert shown({}, {}, {"URISigningPackage": "u"}) == Shown("u", "URISigningPackage")
    assert shown({}, {name: "c"}, {}) == Shown("c", "cookie")
    assert shown({}, {}, {}) is None


def test_nothing_passes_without_a_token():
    """The refusal says how to show one."""
    with pytest.raises(Refused, match="with a token only") as refused:
        Door(ISSUERS, HERE, heard()).admit(None, ASKED, 0.0)
    assert (refused.value.reason, refused.value.status) == ("no-token", 401)


def test_a_token_that_was_verified_is_still_judged_each_time():
    """Remembered, it expires all the same."""
    door, held = Door(ISSUERS, HERE, heard()), Shown(text(until=1000), "CAT")
    assert door.admit(held, ASKED, 0.0).keep == held.text
    with pytest.raises(Refused) as refused:
        door.admit(held, ASKED, 2000.0)
    assert refused.value.reason == "token-expired"
    assert door.admit(Shown(held.text, "cookie"), ASKED, 0.0).keep is None


def test_a_package_is_not_taken_for_a_token():
    """The same text at the other place is verified as what it claims to be there."""
    door, held = Door(ISSUERS, HERE, heard()), text()
    door.admit(Shown(held, "CAT"), ASKED, 0.0)
    with pytest.raises(Refused) as refused:
        door.admit(Shown(held, "URISigningPackage"), ASKED, 0.0)
    assert refused.value.reason == "token-not-signed"


def test_a_subject_has_another_name_each_day():
    """One pseudonym a day and door, from which nobody finds the subject."""
    door, other = Door(ISSUERS, HERE, heard()), Door(ISSUERS, HERE, heard())
    name = [door.admit(Shown(text(), "CAT"), ASKED, now).subject for now in (0.0, DAY - 1, DAY)]
    assert name[0] == name[1] != name[2]
    assert name[0] != other.admit(Shown(text(), "CAT"), ASKED, 0.0).subject
    assert name[0] != door.admit(Shown(text("another"), "CAT"), ASKED, 0.0).subject
    assert door.admit(Shown(text(""), "CAT"), ASKED, 0.0).subject == ""


def test_memory_is_bounded(monkeypatch):
    """The tokens that were shown longest ago go."""
    monkeypatch.setattr(doors, "MOST", 3)
    door = Door(ISSUERS, HERE, heard())
    for number in range(5):
        door.admit(Shown(text(str(number)), "CAT"), ASKED, 0.0)
    assert len(door._verified) == 3


def test_a_withdrawn_token_does_not_pass_again():
    """One that was let in before is refused as soon as it is withdrawn, also by what the door remembers of it."""
    withdrawn, held = heard(), Shown(text(), "cookie")
    door = Door(ISSUERS, HERE, withdrawn)
    door.admit(held, ASKED, 0.0)
    assert door.known(held.text, ASKED.address, "/r/1/x.ts", 0.0) is not None
    withdrawn.replace([Withdrawal(kind="subject", name="portal:viewer", serial=7, by="regulator")])
    door.forget()
    assert door.known(held.text, ASKED.address, "/r/1/x.ts", 0.0) is None
    with pytest.raises(Refused, match="order 7 of regulator") as refused:
        door.admit(held, ASKED, 0.0)
    assert (refused.value.reason, refused.value.status) == ("token-withdrawn", 403)
    assert door.known(held.text, ASKED.address, "/r/1/x.ts", 0.0) is None
    assert door.admit(Shown(text("another"), "cookie"), ASKED, 0.0).subject


def test_no_token_passes_before_the_list_was_heard():
    """A box that does not know what is withdrawn lets nobody in, and says that it may be asked again."""
    with pytest.raises(Refused) as refused:
        Door(ISSUERS, HERE, Withdrawn()).admit(Shown(text(), "CAT"), ASKED, 0.0)
    assert (refused.value.reason, refused.value.status) == ("orders-unknown", 503)
