"""Asks a program of `app.children`: one request, one answer, and an end that is sure to come."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from pydantic import SecretStr

import app
from app import logs
from app.errors import (
    AppError,
    ProviderAuthenticationError,
    ProviderBusyError,
    ProviderCertificateError,
    ProviderError,
    ProviderPermissionError,
    ProviderReaderError,
    ProviderRefusedError,
    ProviderThumbprintError,
    ProviderTimeoutError,
    ProviderUnreachableError,
    TlsPinUnsupportedError,
    VmVanishedError,
)
from app.models.common import Json

PACKAGE: Final = "app.children"
ROOT: Final = Path(app.__file__).resolve().parent.parent
LONGEST_ANSWER: Final = 128 * 2**20
"""100,000 VMs of a provider are listed in less."""
LONGEST_WORDS: Final = 65_536
TOLD_WORDS: Final = 4_000
BLOCK_BYTES: Final = 65_536
KEPT_VARIABLES: Final = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR")

ERRORS: Final[Mapping[str, type[AppError]]] = {
    "unreachable": ProviderUnreachableError,
    "timeout": ProviderTimeoutError,
    "authentication_failed": ProviderAuthenticationError,
    "permission_denied": ProviderPermissionError,
    "certificate_untrusted": ProviderCertificateError,
    "certificate_mismatch": ProviderThumbprintError,
    "tls_pin_unsupported": TlsPinUnsupportedError,
    "vm_not_found": VmVanishedError,
    "refused": ProviderRefusedError,
    "failed": ProviderError,
}
"""By the codes of `app.children.answering`."""

log = logs.get("children")


class _TooLongError(Exception):
    """The program wrote more than it may."""


class Children:
    """Starts the programs, so many at a time. One of these a process."""

    def __init__(
        self, *, at_once: int = 4, package: str = PACKAGE, longest_answer: int = LONGEST_ANSWER
    ) -> None:
        self._package, self._longest_answer = package, longest_answer
        self._slots = asyncio.Semaphore(at_once)

    async def ask(
        self, name: str, request: Json, *, seconds: float, secrets: Collection[SecretStr | None] = ()
    ) -> Json:
        """The program's answer. It and all that it started are gone when this returns, however it does.

        Raises the error that its code stands for, with its `offered_thumbprint`;
        ProviderTimeoutError, ProviderReaderError, ProviderBusyError.
        """
        async with self._slot(seconds):
            said = _Said(name, secrets)
            try:
                async with asyncio.timeout(seconds):
                    answer = await self._run(name, {**request, "deadline_seconds": seconds}, said)
            except TimeoutError as error:
                said.tell("children.too_late")
                raise ProviderTimeoutError(f"The provider did not answer within {seconds:g} s.") from error
            except _TooLongError as error:
                raise ProviderReaderError("The program that asks the provider wrote too much.") from error
        return _opened(answer, said)

    @asynccontextmanager
    async def _slot(self, seconds: float) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(seconds):
                await self._slots.acquire()
        except TimeoutError as error:
            raise ProviderBusyError(f"No other question ended within {seconds:g} s.") from error
        try:
            yield
        finally:
            self._slots.release()

    async def _run(self, name: str, request: Json, said: "_Said") -> bytes:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-P", "-m", f"{self._package}.{name}"),
            stdin=PIPE,
            stdout=PIPE,
            stderr=PIPE,
            env=_environment(),
            # A group of its own, to be killed whole.
            start_new_session=True,
        )
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(_send(process.stdin, json.dumps(request).encode()))
                group.create_task(said.listen(process.stderr))
                answer = group.create_task(_hear(process.stdout, self._longest_answer))
            said.exit_status = await process.wait()
            return answer.result()
        except* _TooLongError as errors:
            raise _TooLongError from errors
        finally:
            await asyncio.shield(_ended(process))


class _Said:
    """What the program wrote to standard error, for the service's log alone."""

    def __init__(self, name: str, secrets: Collection[SecretStr | None]) -> None:
        self.exit_status: int | None = None
        self._name = name
        self._secrets = [text for secret in secrets if secret and (text := secret.get_secret_value())]
        self._text = b""

    async def listen(self, stream: asyncio.StreamReader | None) -> None:
        while stream is not None and (data := await stream.read(BLOCK_BYTES)):
            self._text = (self._text + data)[-LONGEST_WORDS:]

    def tell(self, event: str) -> None:
        text = self._text.decode("utf-8", "replace")
        for secret in self._secrets:
            text = text.replace(secret, "***")
        log.warning(event, child=self._name, exit_status=self.exit_status, said=text[-TOLD_WORDS:])


async def _ended(process: asyncio.subprocess.Process) -> None:
    """Kill it with all that it started, and wait until it is gone."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    for stream in (process.stdout, process.stderr):
        # asyncio tells nobody of an end while there is something that nobody reads.
        while stream is not None and await stream.read(BLOCK_BYTES):
            pass
    await process.wait()


def _environment() -> dict[str, str]:
    """No variable of the service's gets there: some of them are secrets, others change how libraries work."""
    kept = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
    return {**kept, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}


async def _send(stream: asyncio.StreamWriter | None, data: bytes) -> None:
    if stream is None:
        return
    # One that has ended by now reads nothing; its status tells. uvloop calls a closed pipe a RuntimeError.
    with contextlib.suppress(ConnectionError, RuntimeError):
        stream.write(data)
        await stream.drain()
        stream.close()
        await stream.wait_closed()


async def _hear(stream: asyncio.StreamReader | None, longest: int) -> bytes:
    found: list[bytes] = []
    length = 0
    while stream is not None and (data := await stream.read(BLOCK_BYTES)):
        length += len(data)
        if length > longest:
            raise _TooLongError
        found.append(data)
    return b"".join(found)


def _opened(answer: bytes, said: _Said) -> Json:
    """What it says is `ok`. Raises the error that it tells, ProviderReaderError for what is no answer."""
    if said.exit_status != 0:
        said.tell("children.died")
        raise ProviderReaderError(f"The program that asks the provider ended with {said.exit_status}.")
    try:
        document = json.loads(answer)
    except (ValueError, RecursionError):
        document = None
    match document:
        case {"ok": dict(found)}:
            return found
        case {"error": {"code": str(code), "detail": str(detail), **facts}}:
            raise _error(code, detail, facts)
    said.tell("children.unreadable_answer")
    raise ProviderReaderError("The program that asks the provider gave no answer that can be read.")


def _error(code: str, detail: str, facts: Mapping[object, object]) -> AppError:
    error = ERRORS.get(code, ProviderError)(detail)
    offered = facts.get("offered_thumbprint")
    if isinstance(error, ProviderError) and isinstance(offered, str):
        error.offered_thumbprint = offered
    return error
