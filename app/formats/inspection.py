"""What virt-v2v-inspector(1) found in a guest."""

from xml.etree.ElementTree import Element

from app.errors import MalformedXmlError
from app.formats.xml import child, local, parse, text
from app.models.vm import Firmware, Guest

FIRMWARES = {"bios": Firmware.BIOS, "uefi": Firmware.UEFI}
UNKNOWN = "unknown"
"""libguestfs's word for what it didn't find."""


def read_inspection(data: bytes) -> Guest:
    """Raises MalformedXmlError for what is no document of that program."""
    root = parse(data)
    if local(root.tag) != "v2v-inspection":
        raise MalformedXmlError("This is no document of virt-v2v-inspector.")
    system, firmware = child(root, "operatingsystem"), child(root, "firmware")
    told = {
        name: _known(system, name) for name in ("name", "distro", "product_name", "arch", "package_format")
    }
    return Guest(
        type=told["name"],
        distro=told["distro"],
        name=told["product_name"],
        version=_version(system),
        architecture=told["arch"],
        package_format=told["package_format"],
        firmware=FIRMWARES.get(firmware.get("type", "")) if firmware is not None else None,
    )


def _version(system: Element | None) -> str | None:
    numbers = [_known(system, name) for name in ("major_version", "minor_version")]
    return ".".join(number for number in numbers if number is not None) or None


def _known(system: Element | None, name: str) -> str | None:
    found = None if system is None else text(system, name)
    return found if found != UNKNOWN else None
