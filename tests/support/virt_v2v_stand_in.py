#!/usr/bin/env python3
"""Stands in for virt-v2v 2.2.0 where a real conversion would take a minute.

It takes the same command lines, writes recorded output (tests/data) at a chosen speed, really makes the disks
(a plain image is copied byte for byte) and metadata, and starts helper processes as nbdkit and the appliance
are: one in its session and one in its own. What it doesn't do is look into the disks. In V2V_STAND_IN_DIR,
`control.json` may change its ways, and `PATH.control.json` beside a source (or the first of its disks) those
of its import:

    behaviour      ok, fail, hang, missing_disk, short_disk, garbage, fail_after_copy
    message        what `fail` says
    seconds        how long everything before the copy takes
    copy_seconds   how long the copy takes

Each start appends a line with its process id to `starts`, and one with that, its attempt and its source to
`runs`; one that finds another at work on its source appends to `doubled`. Each bar appends when it was
written, in seconds of the system's clock, and its percent to `bars`. It writes the keys that it is given into
its log, as debug output may. V2V_STAND_IN_VERSION makes it another version.
"""

import fcntl
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import tarfile
import time
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from xml.etree import ElementTree as ET

HERE = Path(os.environ["V2V_STAND_IN_DIR"])
VERSION = os.environ.get("V2V_STAND_IN_VERSION", "2.2.0")
CAPABILITIES = """\
virt-v2v
virt-v2v-2.0
libguestfs-rewrite
vcenter-https
xen-ssh
vddk
colours-option
vdsm-compat-option
io/oo
mac-option
bandwidth-option
mac-ip-option
input:disk
input:libvirt
input:libvirtxml
input:ova
input:vmx
output:libvirt
output:local
output:null
output:qemu
output:rhv
output:rhv-upload
output:vdsm
convert:linux
convert:windows
ovf:ovirt
ovf:rhvexp
"""
RECORDED = {1: "virt-v2v-2.2.0-vdsm-one-disk.log", 2: "virt-v2v-2.2.0-local-two-disks.log"}
LETTERS = "abcdefghijklmnopqrstuvwxyz"
LIBVIRT_XML = """\
<?xml version='1.0' encoding='utf-8'?>
<domain type='kvm'>
  <name>{name}</name>
  <memory unit='KiB'>1048576</memory>
  <currentMemory unit='KiB'>1048576</currentMemory>
  <vcpu>1</vcpu>
  <os><type arch='x86_64'>hvm</type></os>
  <devices>{disks}
    <interface type='network'><source network='default'/><model type='virtio'/></interface>
  </devices>
</domain>
"""
LIBVIRT_DISK = """
    <disk type='file' device='disk'>
      <driver name='qemu' type='{format}'/>
      <source file='{path}'/>
      <target dev='vd{letter}' bus='virtio'/>
    </disk>"""


@dataclass(frozen=True)
class Arguments:
    """What of the command line matters here; `outputs` are the `-oo` values in order."""

    input_mode: str
    source: str
    input_format: str
    output_mode: str
    output_storage: Path
    output_format: str
    name: str
    outputs: tuple[tuple[str, str], ...]
    keys: tuple[Path, ...]

    def all(self, key: str) -> list[str]:
        return [value for name, value in self.outputs if name == key]


def main() -> int:
    words = sys.argv[1:]
    if "--version" in words:
        say(f"virt-v2v {VERSION}\n".encode())
        return 0
    if words == ["--machine-readable"]:
        sys.stdout.write(CAPABILITIES)
        return 0
    arguments = _arguments(words)
    _note_start(_source(arguments))
    signal.signal(signal.SIGTERM, _terminated)
    helpers = [subprocess.Popen(["sleep", "3600"], start_new_session=alone) for alone in (False, True)]
    try:
        return _convert(arguments)
    finally:
        for helper in helpers:
            helper.kill()
            helper.wait()


def _source(arguments: Arguments) -> str:
    """What the import is known by: of a VM that the service has described, its first disk."""
    if arguments.input_mode != "libvirtxml":
        return arguments.source
    return next((path for path, _ in _images(arguments) if path), arguments.source)


def _note_start(source: str) -> None:
    """The lock on the source is held until this process is gone; no helper inherits it."""
    _append("starts", str(os.getpid()))
    attempt = os.environ.get("V2V_IMPORT_ATTEMPT")
    run = {"pid": os.getpid(), "attempt": attempt, "source": source}
    lock = os.open(
        HERE / f"lock-{hashlib.sha256(source.encode()).hexdigest()[:16]}", os.O_RDWR | os.O_CREAT, 0o600
    )
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        _append("doubled", json.dumps(run))
    _append("runs", json.dumps(run))


def _append(name: str, line: str) -> None:
    with (HERE / name).open("a") as file:
        file.write(f"{line}\n")


def _terminated(_: int, __: "FrameType | None") -> None:
    say(b"virt-v2v: Exiting on signal SIGTERM\n")
    sys.exit(1)


def _arguments(words: list[str]) -> Arguments:
    alone = {"-v", "-x"}
    options: list[tuple[str, str]] = []
    positional: list[str] = []
    rest = iter(words)
    for word in rest:
        if word in alone or word.startswith("--machine-readable"):
            continue
        if word.startswith("-"):
            options.append((word, next(rest)))
        else:
            positional.append(word)
    given = dict(options)
    return Arguments(
        input_mode=given["-i"],
        source=positional[0],
        input_format=given.get("-if", "raw"),
        output_mode=given["-o"],
        output_storage=Path(given.get("-os", "/nonexistent")),
        output_format=given.get("-of", "raw"),
        name=given.get("-on", "vm"),
        outputs=tuple((v.partition("=")[0], v.partition("=")[2]) for o, v in options if o == "-oo"),
        keys=tuple(Path(value.partition(":file:")[2]) for option, value in options if option == "--key"),
    )


def _control(source: str) -> dict[str, object]:
    control: dict[str, object] = {}
    for path in (HERE / "control.json", Path(f"{source}.control.json")):
        if path.exists():
            control.update(json.loads(path.read_text()))
    return control


def _convert(arguments: Arguments) -> int:
    control = _control(_source(arguments))
    behaviour = str(control.get("behaviour", "ok"))
    for key in arguments.keys:
        say(f"libguestfs: trace: luks passphrase {key.read_text()!r}\n".encode())
    sizes = _sizes(arguments)
    before, copies, after = _recorded(len(sizes))
    _replay(before, float(str(control.get("seconds", 0.2))))
    if behaviour == "hang":
        time.sleep(3600)
    if behaviour == "garbage":
        say(b"\xff\xfe\x00{not json\r\n" + b"x" * 200_000 + b"\n")
    if behaviour == "fail":
        return _fail(str(control.get("message", "something went wrong")))
    for number, (size, lines) in enumerate(zip(sizes, copies, strict=True), start=1):
        made = size // 2 if behaviour == "short_disk" else size
        if behaviour == "missing_disk" and number == len(sizes):
            _disk_path(arguments, number).unlink(missing_ok=True)
        else:
            _make_disk(arguments, number, made)
        _replay(lines, float(str(control.get("copy_seconds", 0.2))) / len(sizes))
        if behaviour not in {"missing_disk", "short_disk"}:
            _fill_disk(arguments, number)
    if behaviour == "fail_after_copy":
        return _fail("the destination refused the disks")
    _write_metadata(arguments, sizes)
    _replay(after, 0)
    return 0


def _fail(message: str) -> int:
    machine = {"message": message, "timestamp": "2026-11-23T04:37:42.639211488+00:00", "type": "error"}
    say(json.dumps(machine).encode() + b"\n" + f"virt-v2v: error: {message}\n".encode())
    say(b"\nIf reporting bugs, run virt-v2v with debugging enabled and include the complete output:\n")
    say(b"\n  virt-v2v -v -x [...]\n")
    return 1


# --- recorded output -------------------------------------------------------------------------------------


def _recorded(disks: int) -> tuple[list[bytes], list[list[bytes]], list[bytes]]:
    """The lines before the copy, those of each disk's copy, and those after it."""
    data = Path(__file__).resolve().parents[1] / "data"
    recorded = (data / RECORDED[min(disks, 2)]).read_bytes()
    lines = re.findall(rb"[^\r\n]*[\r\n]", recorded)
    starts = [n for n, line in enumerate(lines) if b'"Copying disk ' in line]
    end = next(n for n, line in enumerate(lines) if b'"Creating output metadata"' in line)
    one = lines[starts[-1] : end]
    copies = [[_numbered(line, number, disks) for line in one] for number in range(1, disks + 1)]
    return lines[: starts[0]], copies, lines[end:]


def _numbered(line: bytes, number: int, of: int) -> bytes:
    return re.sub(rb"Copying disk \d+/\d+", b"Copying disk %d/%d" % (number, of), line)


def _replay(lines: list[bytes], seconds: float) -> None:
    for line in lines:
        say(line)
        bar = re.search(rb"(\d+)% \[", line)
        if bar is not None:
            _append("bars", f"{time.time()} {int(bar.group(1))}")
        time.sleep(seconds / len(lines))


def say(data: bytes) -> None:
    os.write(1, data)


# --- the source ------------------------------------------------------------------------------------------


def _sizes(arguments: Arguments) -> list[int]:
    """The disks' virtual sizes in bytes, as a look at the source gives them."""
    if arguments.input_mode == "ova":
        return _ova_sizes(Path(arguments.source))
    return [_virtual_size(path, image_format) for path, image_format in _images(arguments)]


def _images(arguments: Arguments) -> list[tuple[str, str]]:
    """The plain images of the source, and their formats; those in an OVA are none."""
    if arguments.input_mode == "disk":
        return [(arguments.source, arguments.input_format)]
    if arguments.input_mode == "libvirtxml":
        root = ET.fromstring(Path(arguments.source).read_bytes())  # noqa: S314  # the service wrote it
        disks = root.iterfind("devices/disk")
        return [(_get(disk, "source", "file"), _get(disk, "driver", "type")) for disk in disks]
    if arguments.input_mode == "ova":
        return []
    sys.exit(f"virt-v2v: error: unknown input mode {arguments.input_mode}")


def _get(element: ET.Element, tag: str, attribute: str) -> str:
    found = element.find(tag)
    return "" if found is None else found.get(attribute, "")


def _virtual_size(path: str, image_format: str) -> int:
    info = _qemu_img("info", "--output=json", "-U", "-f", image_format, path)
    size: int = json.loads(info)["virtual-size"]
    return size


def _ova_sizes(path: Path) -> list[int]:
    """The capacities in the OVF, in the order of its hardware items."""
    root = ET.fromstring(_ovf(path))  # noqa: S314  # the service has looked at it
    disks = {_local(d, "diskId"): d for d in root.iter() if d.tag.endswith("}Disk")}
    items = [i for i in root.iter() if i.tag.endswith("}Item") and _child(i, "ResourceType") == "17"]
    return [_capacity(disks[_child(item, "HostResource").rpartition("/")[2]]) for item in items]


def _ovf(path: Path) -> bytes:
    if path.is_dir():
        return next(path.glob("**/*.ovf")).read_bytes()
    with tarfile.open(path) as archive:
        member = next(member for member in archive if member.name.endswith(".ovf"))
        file = archive.extractfile(member)
        return b"" if file is None else file.read()


def _local(element: ET.Element, name: str) -> str:
    return next((v for k, v in element.attrib.items() if k.rpartition("}")[2] == name), "")


def _child(element: ET.Element, name: str) -> str:
    return next(((c.text or "").strip() for c in element if c.tag.rpartition("}")[2] == name), "")


def _capacity(disk: ET.Element) -> int:
    unit = re.fullmatch(r"byte \* 2\^(\d+)", _local(disk, "capacityAllocationUnits"))
    return int(_local(disk, "capacity")) * (2 ** int(unit.group(1)) if unit else 1)


# --- the destination -------------------------------------------------------------------------------------


def _make_disk(arguments: Arguments, number: int, size: int) -> None:
    if arguments.output_mode == "null":
        return
    path = _disk_path(arguments, number)
    if arguments.output_mode == "vdsm" and not path.exists():
        sys.exit(f"virt-v2v: error: the volume {path} does not exist")
    _qemu_img("create", "-q", "-f", arguments.output_format, str(path), str(size))


def _fill_disk(arguments: Arguments, number: int) -> None:
    images = _images(arguments)
    if arguments.output_mode == "null" or not images:
        return
    (source, image_format), target = images[number - 1], str(_disk_path(arguments, number))
    formats = ["-f", image_format, "-O", arguments.output_format]
    _qemu_img("convert", "-q", "-n", "-U", *formats, source, target)


def _disk_path(arguments: Arguments, number: int) -> Path:
    if arguments.output_mode == "local":
        return arguments.output_storage / f"{arguments.name}-sd{LETTERS[number - 1]}"
    image, volume = _uuids(arguments, number)
    return arguments.output_storage / "images" / image / volume


def _uuids(arguments: Arguments, number: int) -> tuple[str, str]:
    return arguments.all("vdsm-image-uuid")[number - 1], arguments.all("vdsm-vol-uuid")[number - 1]


def _write_metadata(arguments: Arguments, sizes: list[int]) -> None:
    if arguments.output_mode == "local":
        disks = "".join(_libvirt_disk(arguments, number) for number in range(1, len(sizes) + 1))
        text = LIBVIRT_XML.format(name=arguments.name, disks=disks)
        (arguments.output_storage / f"{arguments.name}.xml").write_text(text)
    if arguments.output_mode == "vdsm":
        _write_ovf(arguments, sizes)


def _libvirt_disk(arguments: Arguments, number: int) -> str:
    path = _disk_path(arguments, number)
    return LIBVIRT_DISK.format(format=arguments.output_format, path=path, letter=LETTERS[number - 1])


def _write_ovf(arguments: Arguments, sizes: list[int]) -> None:
    template = (Path(__file__).resolve().parents[1] / "data" / "virt-v2v-2.2.0-vdsm.ovf").read_text()
    disks = [_ovf_disk(arguments, number, size) for number, size in enumerate(sizes, start=1)]
    text = template.replace("@NAME@", arguments.name).replace("@DISKS@", "".join(disks))
    (Path(arguments.all("vdsm-ovf-output")[0]) / f"{arguments.all('vdsm-vm-uuid')[0]}.ovf").write_text(text)
    for number in range(1, len(sizes) + 1):
        _write_meta(arguments, number, sizes[number - 1])


def _write_meta(arguments: Arguments, number: int, size: int) -> None:
    """As vdsm wants it beside each volume."""
    values = {
        "DOMAIN": arguments.output_storage.name,
        "VOLTYPE": "LEAF",
        "IMAGE": _uuids(arguments, number)[0],
        "PUUID": "00000000-0000-0000-0000-000000000000",
        "LEGALITY": "LEGAL",
        "SIZE": str(-(-size // 512)),
        "FORMAT": _volume_format(arguments),
        "TYPE": "SPARSE",
    }
    volume = _disk_path(arguments, number)
    lines = [f"{name}={value}" for name, value in values.items()]
    volume.with_name(f"{volume.name}.meta").write_text("\n".join([*lines, "EOF"]) + "\n")


def _volume_format(arguments: Arguments) -> str:
    return "COW" if arguments.output_format == "qcow2" else "RAW"


def _ovf_disk(arguments: Arguments, number: int, size: int) -> str:
    image, volume = _uuids(arguments, number)
    kind = _volume_format(arguments)
    return (
        f"<Disk ovf:diskId='{volume}' ovf:size='1' ovf:capacity='{size}' ovf:fileRef='{image}/{volume}'"
        f" ovf:volume-format='{kind}' ovf:volume-type='Sparse' ovf:disk-interface='VirtIO'/>"
    )


def _qemu_img(*arguments: str) -> str:
    done = subprocess.run(["qemu-img", *arguments], check=True, capture_output=True, text=True)
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
