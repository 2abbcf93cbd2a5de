"""Running programs."""

import pytest

from appliance.runtime.command import CommandFailed, run


def test_output_is_returned():
    """What a program prints comes back; its standard input is what it is given."""
    assert run(["cat"], stdin="text") == "text"


def test_output_that_is_no_text_is_still_returned():
    """Bytes that are not UTF-8 come back as replacement characters, never as a failure."""
    assert run(["printf", r"a\377b"]) == "a\N{REPLACEMENT CHARACTER}b"


@pytest.mark.parametrize(
    ("argv", "seconds", "status", "words"),
    [
        (["sh", "-c", "echo broken >&2; exit 3"], 5, 3, "ended with status 3: broken"),
        (["no-such-program"], 5, 127, "'no-such-program' is not installed"),
        (["sleep", "5"], 0.05, None, "did not end in time"),
    ],
)
def test_failures_say_what_happened(argv, seconds, status, words):
    """A failure carries the status and the program's own words."""
    with pytest.raises(CommandFailed, match=words) as caught:
        run(argv, seconds=seconds)

    assert caught.value.status == status
