"""What every program of this package has in common: one request in, one answer out."""

import json
import os
import signal
import sys
from collections.abc import Callable
from enum import StrEnum
from typing import Any

Request = dict[str, Any]


class Code(StrEnum):
    """Why a provider gave no answer; `app.actions.ask_child` has an error for each."""

    UNREACHABLE = "unreachable"
    TIMEOUT = "timeout"
    AUTHENTICATION_FAILED = "authentication_failed"
    PERMISSION_DENIED = "permission_denied"
    CERTIFICATE_UNTRUSTED = "certificate_untrusted"
    """It is signed by nobody that is trusted, for another name, or too old; nothing was sent."""
    CERTIFICATE_MISMATCH = "certificate_mismatch"
    """It is not the pinned one; nothing was sent."""
    TLS_PIN_UNSUPPORTED = "tls_pin_unsupported"
    """What was pinned can't be verified on this way."""
    VM_NOT_FOUND = "vm_not_found"
    REFUSED = "refused"
    """The provider said no, and will say so again."""
    FAILED = "failed"
    """Whatever else it said."""


class ChildError(Exception):
    """An expected failure: what the provider said, in our words and without any secret."""

    def __init__(self, code: Code, detail: str, *, offered_thumbprint: str | None = None) -> None:
        super().__init__(detail)
        self.code, self.detail, self.offered_thumbprint = code, detail, offered_thumbprint


def serve(answer: Callable[[Request], object]) -> None:
    """Read the request, answer it, end. What libraries print goes to standard error.

    An unexpected exception ends the process with its traceback, which the service keeps in its log.
    """
    out = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    request: Request = json.loads(sys.stdin.buffer.read())
    # When the service has died, nobody else ends a call that blocks.
    signal.setitimer(signal.ITIMER_REAL, float(request["deadline_seconds"]) + 5)
    with os.fdopen(out, "wb") as stream:
        stream.write(_as_text(_answered(answer, request)))


def _answered(answer: Callable[[Request], object], request: Request) -> object:
    try:
        return {"ok": answer(request)}
    except ChildError as error:
        told = {"code": error.code, "detail": error.detail}
        if error.offered_thumbprint is not None:
            told["offered_thumbprint"] = error.offered_thumbprint
        return {"error": told}


def _as_text(document: object) -> bytes:
    """NUL and halves of surrogate pairs, which names may have, are in no text of a database."""
    text = json.dumps(document, ensure_ascii=False)
    return text.replace("\\u0000", "\\ufffd").encode("utf-8", "replace")
