"""virt-v2v's logs, recorded byte for byte (`tests/data/virt-v2v-VERSION-WHAT.log`), and how they are read."""

from pathlib import Path

from app.v2v.output import OutputReader, Reading

DATA = Path(__file__).resolve().parent.parent / "data"
LOGS = sorted(DATA.glob("virt-v2v-*.log"))
OLD = (
    b"[   0.0] Opening the source -i libvirtxml guest.xml\n"
    b"[   1.2] Creating an overlay to protect the source from being modified\n"
    b"[  20.5] Inspecting the overlay\n"
    b"[  40.0] Converting CentOS Linux 7 to run on KVM\n"
    b"virt-v2v: This guest has virtio drivers installed.\n"
    b"virt-v2v: warning: no window system\n"
    b"[  60.0] Copying disk 1/2 to /var/tmp/web-sda (qcow2)\n"
    b"    (0.00/100%)\r    (45.67/100%)\r    (100.00/100%)\r\n"
    b"[  70.0] Copying disk 2/2 to /var/tmp/web-sdb (qcow2)\n"
    b"    (50.00/100%)\r"
    b"virt-v2v: error: qemu-img command failed, see earlier errors\n"
    b"\n"
    b"It said nothing else.\n"
    b"\n"
    b"If reporting bugs, run virt-v2v with debugging enabled and include the complete output:\n"
    b"\n"
    b"  virt-v2v -v -x [...]\n"
)
"""As virt-v2v 1.38 writes it: no JSON, qemu-img's bar."""


def read(data: bytes, *, machine_readable: bool = True) -> Reading:
    return read_pieces([data], OutputReader(machine_readable=machine_readable))


def read_pieces(pieces: list[bytes], reader: OutputReader) -> Reading:
    readings = [*(reader.feed(piece) for piece in pieces), reader.finish()]
    return Reading(
        events=tuple(event for reading in readings for event in reading.events),
        kept=b"".join(reading.kept for reading in readings),
        consumed=sum(reading.consumed for reading in readings),
    )


def log(name: str) -> bytes:
    return (DATA / f"virt-v2v-{name}.log").read_bytes()
