"""Which text XML 1.0 can say at all ("Characters"): most control characters are no part of it."""

import re

_INEXPRESSIBLE = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def is_expressible(text: str) -> bool:
    return _INEXPRESSIBLE.search(text) is None


def expressible(text: str) -> str:
    """The text, with `_` for each character that XML can't say."""
    return _INEXPRESSIBLE.sub("_", text)
