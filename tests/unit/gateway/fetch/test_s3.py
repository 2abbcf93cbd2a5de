"""Signatures of requests to S3-compatible origins, against botocore's own signer."""

from datetime import UTC, datetime
from urllib.parse import quote

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as Botocore
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.fetch import decide, s3

NOW = datetime(2026, 11, 28, 18, 50, 3, tzinfo=UTC)
NAMES = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="/\\?#% "), min_size=1, max_size=20)
PATHS = st.lists(NAMES, min_size=1, max_size=4).map(lambda parts: "/releases/" + "/".join(parts))
WORDS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=60)


def botocore(url, host, region, access, secret, monkeypatch):
    """Return the headers that botocore signs the same request with."""
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda: NOW.replace(tzinfo=None))
    request = AWSRequest("GET", url, headers={"Host": host})
    request.context.update(client_config=None, payload_signing_enabled=True)
    S3SigV4Auth(Botocore(access, secret), "s3", region).add_auth(request)
    return dict(request.headers)


@settings(max_examples=200, deadline=None)
@given(PATHS, WORDS, WORDS, st.sampled_from(["127.0.0.1:9000", "10.10.0.20", "[fd00::1]:9000"]))
def test_signature_is_botocores(path, access, secret, host):
    """For any path that fetch may ask for, any credentials and hosts."""
    if decide.fault_in(path):
        return
    encoded = "/films" + quote(path, safe="/")
    with pytest.MonkeyPatch.context() as monkeypatch:
        theirs = botocore(f"http://{host}{encoded}", host, "cn-south-1", access, secret, monkeypatch)

    ours = s3.signed(host, encoded, "cn-south-1", s3.Credentials(access, secret), NOW)

    assert ours == {name: theirs[name] for name in ours}


@given(st.binary(max_size=80))
def test_any_bytes_are_credentials_or_refused(data):
    """A file that is no line of two words is told as such."""
    try:
        found = s3.Credentials.parse(data)
    except ValueError:
        return
    assert data.split() == [found.access.encode(), found.secret.encode()]
    assert found.secret not in repr(found) or found.secret in found.access


def test_credentials_are_two_words():
    """As the playbook writes them."""
    assert s3.Credentials.parse(b"AKIA secret/+=\n") == s3.Credentials("AKIA", "secret/+=")
    for data in (b"", b"AKIA", b"a b c", b"a b\nc d", b"a " + b"b" * 5000):
        with pytest.raises(ValueError, match="ACCESS-KEY SECRET"):
            s3.Credentials.parse(data)
