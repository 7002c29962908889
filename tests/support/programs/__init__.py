"""Stand-ins for the programs of `app.children`: they speak its protocol whole, and ask nobody."""

from typing import Final

PROGRAMS: Final = "tests.support.programs"
