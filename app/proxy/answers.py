"""Reads the agent program's answers: a result, or one of our errors."""

import json
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from app.errors import (
    AppError,
    DiskMissingError,
    DomainUnusableError,
    FencedError,
    HostCommandError,
    InvalidSourceError,
    MountFailedError,
    NoRoomError,
    ProviderAuthenticationError,
    ProviderKeyMismatchError,
    ProviderRefusedError,
    ProviderTimeoutError,
    ProviderUnreachableError,
    PythonMissingError,
    SourceNotAllowedError,
    SourceNotFoundError,
    SourceTruncatedError,
    SourceUnreadableError,
    SudoRefusedError,
    UnsafeArchiveError,
    UnsafeImageError,
    UploadChecksumError,
    UploadLockedError,
    UploadLostError,
    UploadOffsetError,
    UploadTooLongError,
    VirtV2vMissingError,
    WorkDirUnusableError,
)
from app.proxy.base import CommandResult

A = TypeVar("A", bound=BaseModel)
STRANGE = "The host agent answered something that this program doesn't know."

_ERRORS: dict[str, type[AppError]] = {
    kind.code: kind
    for kind in (
        DiskMissingError,
        DomainUnusableError,
        FencedError,
        HostCommandError,
        InvalidSourceError,
        MountFailedError,
        NoRoomError,
        ProviderAuthenticationError,
        ProviderKeyMismatchError,
        ProviderRefusedError,
        ProviderTimeoutError,
        ProviderUnreachableError,
        PythonMissingError,
        SourceNotAllowedError,
        SourceNotFoundError,
        SourceTruncatedError,
        SourceUnreadableError,
        SudoRefusedError,
        UnsafeArchiveError,
        UnsafeImageError,
        UploadChecksumError,
        UploadLockedError,
        UploadLostError,
        UploadOffsetError,
        UploadTooLongError,
        VirtV2vMissingError,
        WorkDirUnusableError,
    )
}


def answer_of(verb: str, result: CommandResult) -> Any:
    """The program's result. It answers one JSON object: `{"result": …}` or `{"code", "detail"}`."""
    try:
        answer = json.loads(result.stdout)
    except ValueError as error:
        raise _start_error(verb, result) from error
    return result_in(answer)


def result_in(answer: Any) -> Any:
    """Raises what the program refused with, HostCommandError for what it never says."""
    if isinstance(answer, dict) and "code" in answer:
        raise error_of(str(answer["code"]), str(answer.get("detail")))
    if not isinstance(answer, dict) or "result" not in answer:
        raise HostCommandError(STRANGE)
    return answer["result"]


def error_of(code: str, detail: str) -> AppError:
    """What the program refused with, as our error."""
    return _ERRORS.get(code, HostCommandError)(detail)


def read_as(kind: type[A], result: Any) -> A:
    """The result as the value that was asked for. Raises HostCommandError when it is another."""
    try:
        return kind.model_validate(result)
    except ValidationError as error:
        raise HostCommandError(STRANGE) from error


def _start_error(verb: str, result: CommandResult) -> AppError:
    said = result.stderr.decode(errors="replace").strip()[-500:]
    if "sudo:" in said:
        return SudoRefusedError(f"sudo said: {said}")
    if result.exit_status in {126, 127}:
        return PythonMissingError(f"The host could not start python3: {said or result.exit_status}")
    return HostCommandError(f"The host agent's `{verb}` ended with status {result.exit_status}: {said}")
