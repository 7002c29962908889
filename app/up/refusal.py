"""Why `up` can't start, as a sentence to the operator."""


class RefusedError(Exception):
    """Ends the command with this sentence and status 1."""
