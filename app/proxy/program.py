"""Packs the agent package into the one file that is put on proxy hosts."""

import hashlib
import io
import zipfile
from dataclasses import dataclass
from functools import cache
from importlib import resources

PACKAGE = "app.proxy.agent"
_INSTALLER = "install.py"
_LONG_AGO = (1980, 1, 1, 0, 0, 0)
_MAIN = f"from {PACKAGE}.main import main\n\nmain()\n"


@dataclass(frozen=True)
class AgentProgram:
    """What `python3 FILE VERB` runs on the host. The name tells the content: a new version is a new file."""

    name: str
    data: bytes
    installer: str
    """A program for `python3 -c` that puts `data` from its standard input into place."""


@cache
def agent_program() -> AgentProgram:
    sources = {
        file.name: file.read_text()
        for file in resources.files(PACKAGE).iterdir()
        if file.name.endswith(".py")
    }
    installer = sources.pop(_INSTALLER)
    data = _packed(sources)
    return AgentProgram(f"agent-{hashlib.sha256(data).hexdigest()[:16]}.pyz", data, installer)


def _packed(sources: dict[str, str]) -> bytes:
    """A zip that depends on nothing but the sources. The packages around ours are empty there."""
    folder = PACKAGE.replace(".", "/")
    inside = {f"{folder}/{name}": text for name, text in sources.items()}
    around = {"app/__init__.py": "", "app/proxy/__init__.py": "", "__main__.py": _MAIN}
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, text in sorted({**around, **inside}.items()):
            archive.writestr(zipfile.ZipInfo(name, _LONG_AGO), text, zipfile.ZIP_DEFLATED)
    return packed.getvalue()
