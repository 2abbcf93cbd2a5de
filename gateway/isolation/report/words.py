"""The texts of the page from ``words.yaml``, in Chinese and English side by side."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from typing import Any, Literal

from ruamel.yaml import YAML

Language = Literal["zh", "en"]
LANGUAGES: tuple[Language, ...] = ("zh", "en")

TEXTS: dict[str, Any] = YAML(typ="safe").load(resources.files(__package__).joinpath("words.yaml").read_text())
WORDS: Mapping[str, Mapping[str, str]] = TEXTS["words"]
FINDINGS: Mapping[str, Mapping[str, str]] = TEXTS["findings"]  # by ``Finding.name``


def word(key: str, lang: Language, /, **told: object) -> str:
    """Return the word for ``key``, with ``told`` filled in."""
    text = WORDS[key][lang]
    return text.format(**told) if told else text


def known(prefix: str, key: str, lang: Language) -> str:
    """Return the word for ``prefix`` and ``key``, or ``key`` itself where there is none."""
    name = f"{prefix}_{key}"
    return word(name, lang) if name in WORDS else key
