"""libvirt for tests: nodes of its test driver, which need no daemon, and the program that asks it."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape, quoteattr

import pytest

import app
from app.children.answering import ChildError
from app.children.libvirt import answer

ROOT = Path(app.__file__).resolve().parent.parent
TEST_NAMESPACE = "http://libvirt.org/schemas/domain/test/1.0"
DIRECT = {"kind": "direct"}
SHUT_OFF = 5
PAUSED = 3
RUNNING = 1


def domain(
    name: str,
    uuid: str,
    *,
    disks: Sequence[str] = (),
    devices: str = "",
    inside: str = "",
    state: int = SHUT_OFF,
    told: str = "",
) -> str:
    """A domain of the test driver; `disks` are `<disk>` elements or paths of qcow2 images."""
    elements = "".join(
        disk if disk.startswith("<") else qcow2(disk, f"vd{'abcdefgh'[number]}")
        for number, disk in enumerate(disks)
    )
    return f"""<domain type='test' xmlns:test='{TEST_NAMESPACE}'>
      <name>{escape(name)}</name><uuid>{uuid}</uuid><memory unit='MiB'>512</memory><vcpu>1</vcpu>
      <os><type arch='x86_64'>hvm</type></os>{inside}
      <devices>{elements}{devices}</devices>
      <test:runstate>{state}</test:runstate>{told}
    </domain>"""


def qcow2(path: str, target: str) -> str:
    return (
        "<disk type='file' device='disk'><driver name='qemu' type='qcow2'/>"
        f"<source file={quoteattr(path)}/><target dev='{target}' bus='virtio'/></disk>"
    )


def node(path: Path, *domains: str, pools: str = "") -> Path:
    """A file for `test://PATH`."""
    network = "<network><name>lan</name><ip address='192.0.2.1' netmask='255.255.255.0'/></network>"
    path.write_text(f"<node>{network}{pools}{''.join(domains)}</node>")
    return path


def request(do: str, url: dict[str, Any], **other: Any) -> dict[str, Any]:
    """One to `app.children.libvirt`."""
    known = {"host": None, "port": None, "path": "", "username": None, **url}
    usual = {
        "username": None,
        "password": None,
        "tls": {"verify": True, "ca_pem": None, "thumbprint": None},
        "options": {},
        "way": DIRECT,
        "deadline_seconds": 30,
    }
    return {"do": do, "url": known, **usual, **other}


def asked(do: str, url: dict[str, Any], **other: Any) -> Any:
    """What the program answers to that, in this process."""
    return answer(request(do, url, **other))


def refusal(do: str, url: dict[str, Any], **other: Any) -> ChildError:
    with pytest.raises(ChildError) as refused:
        asked(do, url, **other)
    return refused.value


def told_by_the_program(do: str, url: dict[str, Any], **other: Any) -> Any:
    """What it answers as a process of its own."""
    done = subprocess.run(
        [sys.executable, "-P", "-m", "app.children.libvirt"],
        input=json.dumps(request(do, url, **other)).encode(),
        capture_output=True,
        timeout=60,
        check=False,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
    )
    assert (done.returncode, done.stderr) == (0, b"")
    return json.loads(done.stdout)
