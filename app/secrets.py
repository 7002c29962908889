"""Seals secrets for the database (AES-256-GCM, key outside it) and hashes tokens."""

import hashlib
import json
import os
import secrets as random
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pydantic import SecretStr

from app.errors import AppError

KEY_BYTES = 32
NONCE_BYTES = 12


class SealError(AppError):
    """A sealed value doesn't open: another key file, or a damaged row."""

    status, code, title = 503, "secrets_unreadable", "Saved secrets can't be opened"
    hint = "The key file is not the one that the database's secrets were sealed with; put the right one back."


class Sealer:
    """Seals named secrets into bytes; `context` binds them to their row, so that none can be swapped."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)

    @classmethod
    def from_file(cls, path: Path) -> "Sealer":
        """The key in the file; at the first start it is made (0600), by exactly one process."""
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            return cls(bytes.fromhex(path.read_text(encoding="ascii").strip()))
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            key = AESGCM.generate_key(KEY_BYTES * 8)
            file.write(key.hex() + "\n")
        return cls(key)

    def seal_bytes(self, data: bytes, context: str) -> bytes:
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, data, context.encode())

    def open_bytes(self, sealed: bytes, context: str) -> bytes:
        """Raises SealError when the key or the context is another."""
        try:
            return self._cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], context.encode())
        except InvalidTag as error:
            raise SealError from error

    def seal(self, secrets: dict[str, SecretStr], context: str) -> bytes:
        plain = {name: value.get_secret_value() for name, value in secrets.items()}
        return self.seal_bytes(json.dumps(plain).encode(), context)

    def open(self, sealed: bytes | None, context: str) -> dict[str, SecretStr]:
        """The secrets by name; none for a row that has none. Raises SealError."""
        if sealed is None:
            return {}
        plain: dict[str, str] = json.loads(self.open_bytes(sealed, context))
        return {name: SecretStr(value) for name, value in plain.items()}


def new_token(prefix: str) -> str:
    """256 random bits behind a prefix that tells what it is."""
    return f"{prefix}_{random.token_urlsafe(32)}"


def hash_token(token: str) -> str:
    """SHA-256 is enough: the token is 256 random bits, so there is nothing to guess."""
    return hashlib.sha256(token.encode()).hexdigest()
