"""Keys: the one that a host offers, its fingerprint, and whether a private key can be used."""

import asyncio

import asyncssh
from pydantic import SecretStr

from app.errors import HostUnreachableError
from app.proxy.ssh import CONNECT_SECONDS, SshProxy, told_as_connecting


async def offered_host_key(address: str, port: int, *, through: SshProxy | None = None) -> str:
    """The host's public key as an OpenSSH line, without a comment; nothing is proven by it.

    With `through`, the host is reached from there.

    Raises HostUnreachableError, HostDeadlineError.
    """
    where = f"{address} port {port}"
    reached = False

    with told_as_connecting(where, lambda: reached):
        async with asyncio.timeout(CONNECT_SECONDS):
            # Known to be reached or not by a connection of its own: get_server_host_key takes no client.
            if through is None:
                _, writer = await asyncio.open_connection(address, port)
                writer.close()
            reached = True
            tunnel = through.connection if through else ()
            key = await asyncssh.get_server_host_key(address, port, tunnel=tunnel, config=None)
    if key is None:
        raise HostUnreachableError(f"{where} offered no host key.")
    return _line(key)


def fingerprint(host_key: str) -> str:
    """`SHA256:…`, as ssh-keygen shows it. Raises ValueError for what is no OpenSSH public key line."""
    try:
        return asyncssh.import_public_key(host_key).get_fingerprint()
    except asyncssh.KeyImportError as error:
        raise ValueError("This is no OpenSSH public key (`ssh-ed25519 AAAA…`).") from error


def check_private_key(text: SecretStr) -> None:
    """Raises ValueError when the key can't be read, or only with a passphrase."""
    try:
        asyncssh.import_private_key(text.get_secret_value())
    except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError) as error:
        if "passphrase" in str(error).lower():
            raise ValueError("The private key needs a passphrase; give one without.") from error
        raise ValueError("This is no private key that OpenSSH or PEM knows.") from error


def _line(key: asyncssh.SSHKey) -> str:
    return " ".join(key.export_public_key().decode().split()[:2])
