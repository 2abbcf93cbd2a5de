"""AWS Signature Version 4 for a GET without a body, in its S3 form. Pure.

https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html: the path is encoded once, the host, the date and the
payload's digest are signed, everything else (ranges, conditions) may ride along unsigned.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime

ALGORITHM = "AWS4-HMAC-SHA256"
EMPTY = hashlib.sha256(b"").hexdigest()
LONGEST = 4096  # bytes of a file of credentials
_CREDENTIALS = re.compile(r"\s*([\x21-\x7e]{1,256})[ \t]+([\x21-\x7e]{1,512})\s*", re.ASCII)


@dataclass(frozen=True)
class Credentials:
    """Who signs."""

    access: str
    secret: str = field(repr=False)

    @classmethod
    def parse(cls, data: bytes) -> Credentials:
        """Return what a file holds: the access key and the secret, on one line.

        Raises:
            ValueError: it holds something else.
        """
        match = _CREDENTIALS.fullmatch(data.decode("ascii")) if len(data) <= LONGEST else None
        if match is None:
            raise ValueError("a file of credentials holds one line: ACCESS-KEY SECRET")
        return cls(match[1], match[2])


def signed(host: str, path: str, region: str, credentials: Credentials, now: datetime) -> dict[str, str]:
    """Return the headers that sign a GET of ``path`` (percent-encoded) at ``host`` (as in ``Host``) at ``now``."""
    time = now.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    headers = {"host": host, "x-amz-content-sha256": EMPTY, "x-amz-date": time}
    names = ";".join(headers)
    canonical = "\n".join(["GET", path, "", *(f"{name}:{value}" for name, value in headers.items()), "", names, EMPTY])
    scope = f"{time[:8]}/{region}/s3/aws4_request"
    text = "\n".join([ALGORITHM, time, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = f"AWS4{credentials.secret}".encode()
    for part in scope.split("/"):
        key = _hmac(key, part)
    signature = _hmac(key, text).hex()
    return {
        "X-Amz-Content-SHA256": EMPTY,
        "X-Amz-Date": time,
        "Authorization": f"{ALGORITHM} Credential={credentials.access}/{scope}, SignedHeaders={names}, Signature={signature}",
    }


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()
