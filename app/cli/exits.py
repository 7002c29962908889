"""The exit codes that scripts can use."""

from enum import IntEnum


class ExitCode(IntEnum):
    SUCCEEDED = 0
    FAILED = 1
    USAGE = 2
    CANCELLED = 3
    INTERRUPTED = 130
    """Ctrl-C, as shells have it; an import that was being watched goes on."""


ENDED = {
    "succeeded": ExitCode.SUCCEEDED,
    "failed": ExitCode.FAILED,
    "cancelled": ExitCode.CANCELLED,
}
"""The states in which an import has ended, and what the command ends with then."""
