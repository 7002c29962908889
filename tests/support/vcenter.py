"""A vCenter or ESXi: govmomi's simulator (`vcenter_simulator/`), built once, started for each module."""

import contextlib
import fcntl
import hashlib
import json
import os
import ssl
import subprocess
import tempfile
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

SOURCES = Path(__file__).parent / "vcenter_simulator"
CACHE = Path(__file__).parents[2] / ".cache"
BUILD_SECONDS = 300
START_SECONDS = 60
USER, PASSWORD = "admin@vsphere.local", "s3cret, and more"


@dataclass(frozen=True)
class Certificate:
    """Signed by itself, so that it is its own CA."""

    directory: Path

    @property
    def pem(self) -> str:
        return (self.directory / "certificate.pem").read_text()

    def thumbprint(self, algorithm: str = "sha256") -> str:
        der = ssl.PEM_cert_to_DER_cert(self.pem)
        return hashlib.new(algorithm, der).digest().hex(":").upper()


def certificate_for(directory: Path, *, name: str | None = None) -> Certificate:
    """For 127.0.0.1, or for another name."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "vcenter")])
    names = x509.DNSName(name) if name else x509.IPAddress(IPv4Address("127.0.0.1"))
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.now(UTC) - timedelta(days=1))
        .not_valid_after(datetime.now(UTC) + timedelta(days=30))
        .add_extension(x509.SubjectAlternativeName([names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    form = serialization.PrivateFormat.PKCS8
    secret = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    (directory / "key.pem").write_bytes(secret)
    (directory / "certificate.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return Certificate(directory)


@dataclass(frozen=True)
class Vcenter:
    port: int
    certificate: Certificate

    def calls(self) -> dict[str, int]:
        """How often each method was called since the last look."""
        found: dict[str, int] = json.loads(self._control("calls"))
        return found

    def fail(self, method: str, fault: str, *, times: int = 1) -> None:
        """Let the next calls fail: with a fault (`NoPermission`), an HTTP status, or `silence`."""
        self._control(f"fault?method={method}&fault={fault}&times={times}")

    def request(self, do: str, *, tls: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
        """What the service asks its program for vSphere; the certificate is known by its CA."""
        return {
            "do": do,
            "url": {"scheme": "https", "host": "127.0.0.1", "port": self.port, "path": "", "username": None},
            "username": USER,
            "password": PASSWORD,
            "tls": {"verify": True, "ca_pem": self.certificate.pem, "thumbprint": None} | (tls or {}),
            "options": {},
            "way": {"kind": "direct"},
            "deadline_seconds": 60.0,
            **changes,
        }

    def _control(self, path: str) -> bytes:
        context = ssl.create_default_context(cadata=self.certificate.pem)
        context.check_hostname = False
        url = f"https://127.0.0.1:{self.port}/control/{path}"
        with urllib.request.urlopen(url, context=context, timeout=10) as answer:
            read: bytes = answer.read()
        return read


@contextlib.contextmanager
def running_vcenter(*options: str, name: str | None = None) -> Iterator[Vcenter]:
    """With options of the simulator; `name` is the one that its certificate is for."""
    with tempfile.TemporaryDirectory() as directory:
        certificate = certificate_for(Path(directory), name=name)
        process = subprocess.Popen(
            [
                _built(),
                *("-user", USER, "-password", PASSWORD),
                *("-certificate", f"{directory}/certificate.pem", "-key", f"{directory}/key.pem"),
                *options,
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # What it keeps of datastores lies there, and goes with it.
            env={**os.environ, "TMPDIR": directory},
        )
        try:
            assert process.stdout is not None
            yield Vcenter(int(json.loads(process.stdout.readline())["port"]), certificate)
        finally:
            process.terminate()
            process.wait(START_SECONDS)


def _built() -> Path:
    """The program; a change of its sources makes another."""
    sources = sorted(SOURCES.glob("*.go"))
    version = hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()[:12]
    program = CACHE / f"vcenter-simulator-{version}"
    CACHE.mkdir(exist_ok=True)
    with (CACHE / "vcenter-simulator.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not program.exists():
            _build(program)
    return program


def _build(program: Path) -> None:
    """From Debian's packages alone: Go looks for nothing elsewhere."""
    places = {"GO111MODULE": "off", "GOPATH": "/usr/share/gocode", "GOCACHE": str(CACHE / "go")}
    part = program.with_suffix(".part")
    subprocess.run(
        ["go", "build", "-o", part, "."],
        cwd=SOURCES,
        env={**os.environ, **places},
        check=True,
        timeout=BUILD_SECONDS,
    )
    part.rename(program)


@pytest.fixture(scope="module")
def vcenter() -> Iterator[Vcenter]:
    with running_vcenter("-page", "4") as running:
        yield running


@pytest.fixture(scope="module")
def esxi() -> Iterator[Vcenter]:
    with running_vcenter("-kind", "esxi") as running:
        yield running
