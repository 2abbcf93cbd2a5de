"""tus headers: any text gives a value or a refusal."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.runtime.errors import Refused
from gateway.publish import tus
from gateway.release.manifest import LARGEST_FILE

RIGHT = {"Tus-Resumable": "1.0.0", "Content-Type": tus.KIND, "Upload-Offset": "7"}


def test_a_right_append_is_read():
    """As the clients send it, with parameters and in any case."""
    assert tus.append(RIGHT) == 7
    assert tus.append({**RIGHT, "Content-Type": "Application/Offset+Octet-Stream; x=y"}) == 7


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"Tus-Resumable": "0.2.2"}, 412),
        ({"Content-Type": "text/plain"}, 415),
        ({"Upload-Offset": "-1"}, 400),
        ({"Upload-Offset": "٣"}, 400),
        ({"Upload-Offset": "1" * 40}, 400),
        ({"Upload-Offset": str(LARGEST_FILE + 1)}, 413),
        ({"Upload-Offset": str(1 << 63)}, 413),
    ],
)
def test_a_wrong_append_is_refused(changed, status):
    """With the status that tus asks for."""
    with pytest.raises(Refused) as error:
        tus.append({**RIGHT, **changed})
    assert error.value.status == status


@given(st.dictionaries(st.sampled_from([*RIGHT, "Upload-Length", "Upload-Metadata"]), st.text(max_size=60)))
def test_any_headers_give_a_value_or_a_refusal(headers):
    """No header makes it fail otherwise."""
    for read in (tus.append, tus.metadata, lambda told: tus.number(told, "Upload-Length")):
        try:
            value = read(headers)
        except Refused:
            continue
        assert isinstance(value, int | dict)


@given(st.dictionaries(st.from_regex(r"[a-z]{1,10}", fullmatch=True), st.text(min_size=1, max_size=40), max_size=5))
def test_metadata_is_read_back(told):
    """Pairs of a name and base64 text."""
    text = ",".join(f"{name} {base64.b64encode(value.encode()).decode()}" for name, value in told.items())
    assert tus.metadata({"Upload-Metadata": text}) == told
