"""The value type of an identifier, and the one way in which a text is told to be none."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from appliance.runtime.errors import Refused

if TYPE_CHECKING:
    from gateway.resolver.codes.scheme import Scheme

LONGEST = 256  # bytes of UTF-8 of a canonical form: below LMDB's 511 byte keys
LONGEST_WRITTEN = 1024  # bytes of what is written: an address may stand around the code
MOST_LIKELY = 64  # right codes that are found for a wrong one: each place of the longest code has one at most
SHOWN = 5  # of them that are shown where no table tells which are registered


class WrongCode(Refused):
    """The text is no identifier.

    ``reason`` is ``not-a-code``, ``wrong-check-digit``, ``wrong-length``, ``too-long``, ``unknown-scheme`` or ``ambiguous-code``.
    """

    def __init__(
        self,
        reason: str,
        sentence: str,
        likely: Callable[[], Iterable[str]] | None = None,
        schemes: tuple[str, ...] = (),
    ) -> None:
        super().__init__(reason, sentence, 400)
        self._likely = likely
        self.schemes = schemes  # of an ambiguous code: which it may be of

    @property
    def likely(self) -> tuple[str, ...]:
        """The canonical codes that may have been meant, likeliest first: one slip or one swap of neighbours away."""
        if self._likely is None:
            return ()
        return tuple(islice(dict.fromkeys(self._likely()), MOST_LIKELY))

    @property
    def told(self) -> dict[str, Any]:
        """What a program is told."""
        found: dict[str, Any] = {"reason": self.reason, "error": str(self)}
        if likely := self.likely:
            found["likely"] = list(likely[:SHOWN])
        if self.schemes:
            found["schemes"] = list(self.schemes)
        return found


@dataclass(frozen=True, order=True)
class Code:
    """One identifier; made by ``parse`` alone, so that the same thing is always spelt the same."""

    scheme: str  # a name in SCHEMES
    text: str  # the part after the scheme, such as 999999-100000000000001-4

    @property
    def canonical(self) -> str:
        """The one spelling, such as ``isli:999999-100000000000001-4``."""
        return f"{self.scheme}:{self.text}"

    @property
    def quoted(self) -> str:
        """The canonical form as one segment of a URL's path, safe as a file's name too."""
        return quote(self.canonical, safe=":")

    @property
    def display(self) -> str:
        """The form that people know, such as ``ISBN 978-0-471-11709-4``; it parses to this code again."""
        return _scheme(self).show(self.text)

    @property
    def parts(self) -> dict[str, str]:
        """The named parts, as ``headgate id check`` shows them."""
        return _scheme(self).parts(self.text)

    @property
    def uri(self) -> str | None:
        """The address or URN under which the world knows it, where its scheme has one."""
        return _scheme(self).uri(self.text)

    @property
    def handle(self) -> str | None:
        """The Handle (prefix/suffix) that it is, if it is one."""
        return self.text if self.scheme in ("doi", "eidr", "hdl") else None

    def __str__(self) -> str:
        return self.canonical


def made(scheme: str, text: str) -> Code:
    """Return the code of a canonical ``text``.

    Raises:
        WrongCode: it is longer than a key may be.
    """
    code = Code(scheme, text)
    if len(code.canonical.encode(errors="surrogatepass")) > LONGEST:
        raise WrongCode("too-long", f"an identifier has at most {LONGEST} bytes")
    return code


def _scheme(code: Code) -> Scheme:
    from gateway.resolver.codes.schemes import SCHEMES  # late: the schemes make codes

    return SCHEMES[code.scheme]
