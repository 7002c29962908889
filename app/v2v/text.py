"""Makes what virt-v2v says fit to be stored and shown: guests and sources have a say in it."""

import unicodedata
from typing import Final

UNFIT: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Control and format characters (direction overrides too), lone surrogates, odd line ends."""
KEPT: Final = frozenset("\n\t")


def plain(text: str) -> str:
    """The text with a blank for each character that no database takes or that misleads a reader."""
    if text.isprintable():
        return text
    return "".join(" " if _is_unfit(char) else char for char in text)


def _is_unfit(char: str) -> bool:
    return char not in KEPT and unicodedata.category(char) in UNFIT
