"""What vdsm notes beside a volume."""

from uuid import UUID

import pytest

from app.errors import InvalidSourceError
from app.formats.vdsm_meta import VolumeMeta, key_values, read_volume_meta

PARENT = UUID(int=5)
WHOLE = f"VOLTYPE=LEAF\nFORMAT=COW\nPUUID={PARENT}\nLEGALITY=LEGAL\nDESCRIPTION=a=b\nEOF\n"


def test_a_volume_and_its_parent_are_told() -> None:
    assert read_volume_meta(WHOLE, "x") == VolumeMeta(
        "qcow2", PARENT, is_legal=True, is_leaf=True, capacity_bytes=None
    )


def test_the_lowest_has_no_parent() -> None:
    assert read_volume_meta(WHOLE.replace(str(PARENT), str(UUID(int=0))), "x").parent_id is None


@pytest.mark.parametrize(("line", "size_bytes"), [("SIZE=4", 2048), ("CAP=2048", 2048)])
def test_its_size_is_told_in_sectors_or_in_bytes(line: str, size_bytes: int) -> None:
    assert read_volume_meta(f"{line}\n{WHOLE}", "x").capacity_bytes == size_bytes


@pytest.mark.parametrize(
    "text",
    [
        "",
        WHOLE.replace("EOF", ""),
        WHOLE.replace("FORMAT=COW", "FORMAT=VMDK"),
        WHOLE.replace(str(PARENT), "../x"),
        WHOLE.replace("PUUID", "OTHER"),
        f"CAP=-1\n{WHOLE}",
    ],
)
def test_what_is_not_whole_is_told_with_the_volume(text: str) -> None:
    with pytest.raises(InvalidSourceError, match="'/a/b'"):
        read_volume_meta(text, "'/a/b'")


def test_only_the_first_sign_divides() -> None:
    assert key_values("A=b=c\n B = d \nE\n") == {"A": "b=c", "B": "d", "E": ""}
