"""Reaches a proxy host over SSH: the Proxy protocol on asyncssh."""

import asyncio
import shlex
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress

import asyncssh

from app.errors import (
    HostAuthenticationError,
    HostBusyError,
    HostCommandError,
    HostConnectionLostError,
    HostDeadlineError,
    HostError,
    HostKeyMismatchError,
    HostUnreachableError,
)
from app.proxy.base import Channel, CommandResult, HostAddress

CONNECT_SECONDS = 15.0
KEEPALIVE_SECONDS = 15.0
KEEPALIVES_MISSED = 3
CHANNELS = 6
"""Commands at once on one connection; sshd's MaxSessions is 10."""
LONG_CHANNELS = 3
"""Channels at once that last: a watch, or uploads; with the commands they are one less than sshd allows."""
SESSION_TRIES = 20
SESSION_RETRY_SECONDS = 0.1
CLOSE_SECONDS = 2.0
CHUNK_BYTES = 65_536

# GCM is measured at 1.4 to 2.1 times scp's speed, asyncssh's first choice at 0.8 to 1.3.
CIPHERS = (
    "aes128-gcm@openssh.com",
    "aes256-gcm@openssh.com",
    "chacha20-poly1305@openssh.com",
    "aes128-ctr",
    "aes192-ctr",
    "aes256-ctr",
)
HOST_KEY_ALGORITHMS = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "rsa-sha2-512",
    "rsa-sha2-256",
)
_LOST = (asyncssh.ConnectionLost, asyncssh.DisconnectError, BrokenPipeError, ConnectionError)


class SshProxy:
    """One connected proxy host."""

    def __init__(self, address: HostAddress, connection: asyncssh.SSHClientConnection) -> None:
        self._address = address
        self._connection = connection
        self._channels = asyncio.Semaphore(CHANNELS)
        self._long_channels = asyncio.Semaphore(LONG_CHANNELS)
        self._running: set[asyncio.Task[asyncssh.SSHCompletedProcess]] = set()

    @property
    def address(self) -> HostAddress:
        return self._address

    @property
    def is_closed(self) -> bool:
        return self._connection.is_closed()

    @property
    def connection(self) -> asyncssh.SSHClientConnection:
        """For what goes on through the host, to others."""
        return self._connection

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
        command = self._command(argv, environment or {})
        with self._told():
            try:
                async with asyncio.timeout(timeout_seconds):
                    await self._channels.acquire()
                    done = await asyncio.shield(self._begin(command, stdin))
            except TimeoutError as error:
                raise HostDeadlineError(
                    f"{self._address.address} did not answer within {timeout_seconds:g} s."
                ) from error
        if done.returncode is None:
            # asyncssh says nothing more when the connection breaks while a command runs.
            raise self._lost()
        return CommandResult(tuple(argv), done.returncode, _bytes(done.stdout), _bytes(done.stderr))

    def _begin(self, command: str, stdin: bytes) -> asyncio.Task[asyncssh.SSHCompletedProcess]:
        """Start a command whose channel is taken until it ends, also when nobody waits for it any more.

        sshd counts its session for as long, whatever we close; the agent's commands end by themselves.
        """
        task = asyncio.create_task(self._finished(command, stdin))
        self._running.add(task)
        task.add_done_callback(self._forget)
        return task

    async def _finished(self, command: str, stdin: bytes) -> asyncssh.SSHCompletedProcess:
        try:
            process = await self._session(command)
            # A command that has ended by now takes no more input; its status tells.
            with suppress(OSError):
                process.stdin.write(stdin)
                process.stdin.write_eof()
            return await process.wait()
        finally:
            self._channels.release()

    async def _session(self, command: str) -> asyncssh.SSHClientProcess[bytes]:
        """Open a session. sshd may count one that has just ended for a moment longer than we do."""
        for _ in range(SESSION_TRIES):
            try:
                return await self._connection.create_process(command, encoding=None)
            except asyncssh.ChannelOpenError:
                if self.is_closed:
                    raise
            await asyncio.sleep(SESSION_RETRY_SECONDS)
        return await self._connection.create_process(command, encoding=None)

    def _forget(self, task: asyncio.Task[asyncssh.SSHCompletedProcess]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            # Looked at here, for who waited for it may be gone.
            task.exception()

    @asynccontextmanager
    async def open(self, argv: Sequence[str]) -> AsyncIterator[Channel]:
        """A channel to a long-lived command; leaving the context closes its standard input.

        Raises HostBusyError when none comes free in time, HostDeadlineError.
        """
        async with self._long_channel():
            process = await self._opened(self._command(argv, {}))
            try:
                yield SshChannel(process, self._lost)
            finally:
                process.close()

    async def _opened(self, command: str) -> asyncssh.SSHClientProcess[bytes]:
        try:
            with self._told():
                async with asyncio.timeout(CONNECT_SECONDS):
                    return await self._session(command)
        except TimeoutError as error:
            raise HostDeadlineError(
                f"{self._address.address} opened no session within {CONNECT_SECONDS:g} s."
            ) from error

    @asynccontextmanager
    async def _long_channel(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await self._long_channels.acquire()
        except TimeoutError as error:
            raise HostBusyError(
                f"The connection to {self._address.address} carries {LONG_CHANNELS} transfers already."
            ) from error
        try:
            yield
        finally:
            self._long_channels.release()

    def close(self) -> None:
        """Begin to close the connection; what runs on it ends with HostConnectionLostError."""
        self._connection.close()

    async def wait_closed(self) -> None:
        """Wait for the connection's end, and make it end when the other side doesn't help."""
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._connection.wait_closed()
        except TimeoutError:
            self._connection.abort()

    def _command(self, argv: Sequence[str], environment: Mapping[str, str]) -> str:
        """The one place where a command is quoted."""
        settings = ["env", *(f"{name}={value}" for name, value in environment.items())] if environment else []
        sudo = ["sudo", "-n", "--"] if self._address.sudo else []
        return shlex.join([*sudo, *settings, *argv])

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Say asyncssh's errors in our words."""
        try:
            yield
        except asyncssh.ChannelOpenError as error:
            if self.is_closed:
                raise self._lost() from error
            raise HostCommandError(f"{self._address.address} opened no session: {error.reason}") from error
        except _LOST as error:
            raise self._lost() from error

    def _lost(self) -> HostConnectionLostError:
        return HostConnectionLostError(f"The connection to {self._address.address} was lost.")


class SshChannel:
    """A command that runs on a channel of its own."""

    def __init__(
        self, process: asyncssh.SSHClientProcess[bytes], lost: Callable[[], HostConnectionLostError]
    ) -> None:
        self._process = process
        self._lost = lost

    async def send(self, data: bytes) -> None:
        """Raises HostConnectionLostError when the connection is gone."""
        try:
            self._process.stdin.write(data)
            await self._process.stdin.drain()
        except (*_LOST, OSError) as error:
            raise self._lost() from error

    async def end(self) -> None:
        """Close the command's standard input; one that has ended is fine."""
        with suppress(*_LOST, OSError):
            self._process.stdin.write_eof()

    async def chunks(self) -> AsyncIterator[bytes]:
        """Ends when the command closes its output; raises HostConnectionLostError when it was cut."""
        try:
            while data := await self._process.stdout.read(CHUNK_BYTES):
                yield data
            await self._process.wait_closed()
        except _LOST as error:
            raise self._lost() from error
        if self._process.returncode is None:
            raise self._lost()


class _Client(asyncssh.SSHClient):
    """Notes whether the host was reached at all: a silent sshd is not an absent host."""

    reached = False

    def connection_made(self, conn: asyncssh.SSHClientConnection) -> None:  # noqa: ARG002
        self.reached = True


async def connect(address: HostAddress, *, through: SshProxy | None = None) -> SshProxy:
    """Connect and log in; the host must show exactly the key that was accepted.

    With `through`, the host is reached from there.

    Raises HostUnreachableError, HostDeadlineError, HostKeyMismatchError, HostAuthenticationError.
    """
    client = _Client()
    options = _options(address)
    where = f"{address.address} port {address.port}"
    tunnel = through.connection if through else ()
    with told_as_connecting(where, lambda: client.reached):
        async with asyncio.timeout(CONNECT_SECONDS):
            connection = await asyncssh.connect(
                address.address, address.port, tunnel=tunnel, options=options, client_factory=lambda: client
            )
    return SshProxy(address, connection)


def _options(address: HostAddress) -> asyncssh.SSHClientConnectionOptions:
    """Raises HostAuthenticationError, HostKeyMismatchError for keys that can't be read."""
    host_key = _host_key(address)
    return asyncssh.SSHClientConnectionOptions(
        config=None,
        username=address.username,
        known_hosts=([host_key], [], []),
        # The pinned key's own kind first: a host that has several then shows the one that we know.
        server_host_key_algs=_algorithms(host_key),
        client_keys=_client_keys(address),
        password=address.password.get_secret_value() if address.password else None,
        preferred_auth=_ways_to_log_in(address),
        agent_path=None,
        agent_forwarding=False,
        host_based_auth=False,
        gss_auth=False,
        gss_kex=False,
        x509_trusted_certs=None,
        encryption_algs=list(CIPHERS),
        compression_algs=None,
        keepalive_interval=KEEPALIVE_SECONDS,
        keepalive_count_max=KEEPALIVES_MISSED,
        connect_timeout=CONNECT_SECONDS,
        login_timeout=CONNECT_SECONDS,
    )


def _ways_to_log_in(address: HostAddress) -> list[str]:
    with_key = ["publickey"] if address.private_key else []
    with_password = ["password", "keyboard-interactive"] if address.password else []
    return [*with_key, *with_password]


def _host_key(address: HostAddress) -> asyncssh.SSHKey:
    try:
        return asyncssh.import_public_key(address.host_key)
    except asyncssh.KeyImportError as error:
        raise HostKeyMismatchError(
            f"The host key that was accepted for {address.address} can't be read."
        ) from error


def _algorithms(host_key: asyncssh.SSHKey) -> list[str]:
    own = [name.decode() for name in host_key.sig_algorithms]
    return [*own, *(name for name in HOST_KEY_ALGORITHMS if name not in own)]


def _client_keys(address: HostAddress) -> list[asyncssh.SSHKey]:
    """Only the given key; an empty list keeps asyncssh from looking for others."""
    if address.private_key is None:
        return []
    try:
        return [asyncssh.import_private_key(address.private_key.get_secret_value())]
    except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError) as error:
        raise HostAuthenticationError(f"The private key for {address.address} can't be read.") from error


@contextmanager
def told_as_connecting(where: str, reached: Callable[[], bool]) -> Iterator[None]:
    """Say what went wrong on the way to a login in our words."""
    try:
        yield
    except asyncssh.HostKeyNotVerifiable as error:
        raise HostKeyMismatchError(
            f"{where} shows another host key than the one that was accepted."
        ) from error
    except asyncssh.PermissionDenied as error:
        raise HostAuthenticationError(f"{where} refused the login: {error.reason}.") from error
    except TimeoutError as error:
        raise _too_late(where, reached=reached()) from error
    except (asyncssh.Error, OSError, UnicodeError) as error:
        # UnicodeError: a name that is no host name.
        raise HostUnreachableError(f"{where} can't be reached: {error}.") from error


def _too_late(where: str, *, reached: bool) -> HostError:
    if reached:
        return HostDeadlineError(
            f"{where} accepted the connection, but did not answer within {CONNECT_SECONDS:g} s."
        )
    return HostUnreachableError(f"{where} did not answer within {CONNECT_SECONDS:g} s.")


def _bytes(output: bytes | str | None) -> bytes:
    """With `encoding=None` all output is bytes; the type can't say so."""
    return output if isinstance(output, bytes) else b""
