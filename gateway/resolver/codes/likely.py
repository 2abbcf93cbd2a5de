"""Which right codes lie one slip of the finger away from a wrong one."""

from __future__ import annotations

from collections.abc import Callable, Iterator

# Digits and letters that are misread or hit for one another: in print, in handwriting, beside each other on a number pad.
_ALIKE = {
    frozenset(pair)
    for pair in (
        *("17", "38", "08", "56", "06", "14", "49", "35", "27", "58", "68", "69", "12", "23", "45", "78", "89"),
        *("8B", "0D", "CG", "EF", "5S", "2Z", "1I", "0O", "UV"),
    )
}
_MISREAD = dict(zip("OIZSBG01258", "012586OIZSB", strict=True))


def near(wrong: str, alphabet: str, holds: Callable[[str], bool], last: str = "") -> Iterator[str]:
    """Yield what ``holds`` of the texts one swap of neighbours or one wrong character away from ``wrong``, likeliest first.

    Swaps come first: they are what fingers do; then another check character, characters that look alike, and the others.
    ``last`` is the alphabet of the check character where it is another.
    """
    tried = {wrong}
    for candidate in (*_swaps(wrong), *_replaced(wrong, alphabet, last or alphabet)):
        if candidate not in tried:
            tried.add(candidate)
            if holds(candidate):
                yield candidate


def resized(wrong: str, alphabet: str, holds: Callable[[str], bool]) -> Iterator[str]:
    """Yield what ``holds`` of the texts that are ``wrong`` without one character (one that was hit twice first), or with one more."""
    doubled = [index for index in range(1, len(wrong)) if wrong[index] == wrong[index - 1]]
    shorter = (wrong[:index] + wrong[index + 1 :] for index in (*doubled, *range(len(wrong))))
    longer = (wrong[:index] + one + wrong[index:] for index in range(len(wrong) + 1) for one in alphabet)
    yield from dict.fromkeys(candidate for candidate in (*shorter, *longer) if holds(candidate))


def careless(wrong: str, holds: Callable[[str], bool]) -> Iterator[str]:
    """Yield what ``holds`` of the texts one swap or one misread letter away: of codes without a check character more would be guessing."""
    misread = (wrong[:at] + _MISREAD[one] + wrong[at + 1 :] for at, one in enumerate(wrong) if one in _MISREAD)
    yield from dict.fromkeys(candidate for candidate in (*_swaps(wrong), *misread) if holds(candidate))


def _swaps(wrong: str) -> Iterator[str]:
    for index in range(len(wrong) - 1):
        left, right = wrong[index], wrong[index + 1]
        if left != right:
            yield wrong[:index] + right + left + wrong[index + 2 :]


def _replaced(wrong: str, alphabet: str, last: str) -> Iterator[str]:
    end = len(wrong) - 1
    yield from (wrong[:end] + other for other in last)
    later: list[str] = []
    for index, character in enumerate(wrong[:end]):
        for other in alphabet:
            candidate = wrong[:index] + other + wrong[index + 1 :]
            if frozenset((character, other)) in _ALIKE:
                yield candidate
            else:
                later.append(candidate)
    yield from later
