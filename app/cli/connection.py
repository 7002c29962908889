"""Decides where the service is and whose token speaks to it."""

from pathlib import Path
from urllib.parse import urlsplit

from app.cli.client import Service, local_problem

DEFAULT_URL = "http://127.0.0.1:8400"
DEFAULT_DATA_DIR = Path("v2v-import-data")
TOKEN_FILE = "admin-token"  # noqa: S105  the name of the file in the data directory
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


def connect(url: str, token: str | None, token_file: Path | None, data_dir: Path) -> Service:
    """The service at the URL with the first token of: option or environment, token file, data directory."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise local_problem(
            "invalid_url", "The service's URL is no URL", f"{url!r} does not begin with http:// or https://."
        )
    is_local = parts.hostname in LOOPBACK
    if token:
        return Service(url, token.strip(), is_local=is_local)
    if token_file is not None:
        return Service(url, _read(token_file), is_local=is_local)
    # The data directory's token is this machine's own: it is never sent to another one.
    own = data_dir / TOKEN_FILE
    return Service(url, _read(own) if is_local and own.is_file() else "", is_local=is_local)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise local_problem("token_unreadable", "The token file can't be read", f"{path}: {error}") from error
