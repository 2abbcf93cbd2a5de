"""The words of a preview, in Chinese and English, and what faults are called in Chinese."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Literal

from ruamel.yaml import YAML

Language = Literal["zh", "en"]


def word(language: Language, name: str, **filled: object) -> str:
    """Return the words called ``name``."""
    return words()[name][language].format(**filled)


def said(sentence: str, language: Language) -> str:
    """Return the ``sentence`` of a fault or a mend in ``language``; where it is not known in Chinese, as it is."""
    for pattern, chinese in _faults() if language == "zh" else ():
        if match := pattern.fullmatch(sentence):
            return chinese.format(*(group or "" for group in match.groups()))
    return sentence


@cache
def _faults() -> tuple[tuple[re.Pattern[str], str], ...]:
    text = (resources.files("gateway.release") / "preview_faults.yaml").read_text()
    return tuple((re.compile(pattern, re.DOTALL), chinese) for pattern, chinese in YAML(typ="safe").load(text))


@cache
def words() -> Mapping[str, Mapping[str, str]]:
    """Return all words, by name and language."""
    text = (resources.files("gateway.release") / "preview_words.yaml").read_text()
    return YAML(typ="safe").load(text)  # type: ignore[no-any-return]
