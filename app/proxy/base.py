"""What the service needs of a proxy host: commands, files and one followed channel."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from pydantic import SecretStr


@dataclass(frozen=True)
class HostAddress:
    """How one proxy host is reached and what it must prove. `host_key` is an OpenSSH public key line."""

    id: UUID
    address: str
    port: int
    username: str
    host_key: str
    private_key: SecretStr | None
    password: SecretStr | None
    sudo: bool
    work_dir: str


@dataclass(frozen=True)
class CommandResult:
    """How a command on the host ended; output is bytes, for it need not be text."""

    argv: tuple[str, ...]
    exit_status: int
    stdout: bytes
    stderr: bytes


class Channel(Protocol):
    """A running command: bytes to its standard input, bytes from its standard output."""

    async def send(self, data: bytes) -> None:
        """Raises HostConnectionLostError when the connection is gone."""

    async def end(self) -> None:
        """Close the command's standard input; one that has ended is fine."""

    def chunks(self) -> AsyncIterator[bytes]:
        """Ends when the command closes its output; raises HostConnectionLostError when it was cut."""


class Proxy(Protocol):
    """One proxy host, connected. Every method raises a HostError subclass when the host can't be used."""

    @property
    def address(self) -> HostAddress: ...

    async def run(
        self,
        argv: Sequence[str],
        *,
        timeout_seconds: float,
        stdin: bytes = b"",
        environment: Mapping[str, str] | None = None,
    ) -> CommandResult:
        """Run a command (as root if the host says `sudo`) and wait for its end; any exit status is a result.

        Raises HostConnectionLostError (the command may go on!), HostDeadlineError.
        """

    def open(self, argv: Sequence[str]) -> AbstractAsyncContextManager[Channel]:
        """A channel to a long-lived command; leaving the context closes its standard input."""
