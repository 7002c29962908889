"""Numbers and units that came from outside."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import InvalidSourceError
from app.formats.numbers import LARGEST_BYTES, MOST_CPUS, cpu_count, size_bytes, whole_number
from app.formats.units import libvirt_unit_bytes, ovf_unit_bytes


@pytest.mark.parametrize(
    ("unit", "size"),
    [
        ("byte", 1),
        ("bytes", 1),
        ("byte * 2^20", 2**20),
        ("byte*2^30", 2**30),
        ("byte * 10^9", 10**9),
        (" Byte * 2 ^ 40 ", 2**40),
        ("MegaBytes", 2**20),
        ("GigaBytes", 2**30),
        ("KB", 2**10),
        ("GB", 2**30),
        ("MiB", 2**20),
    ],
)
def test_units_of_ovf(unit: str, size: int) -> None:
    assert ovf_unit_bytes(unit) == size


@pytest.mark.parametrize(
    "unit",
    ["", "hertz * 10^6", "byte * 2^99", "byte * 3^2", "byte * 2^" + "9" * 5000, "parsecs", "x" * 10_000],
)
def test_what_is_no_unit_of_ovf_is_refused(unit: str) -> None:
    with pytest.raises(InvalidSourceError, match="unit") as raised:
        ovf_unit_bytes(unit)
    assert len(raised.value.detail) < 100


@pytest.mark.parametrize(
    ("unit", "size"),
    [
        (None, 1024),
        ("b", 1),
        ("bytes", 1),
        ("KB", 1000),
        ("k", 1024),
        ("KiB", 1024),
        ("MB", 10**6),
        ("M", 2**20),
        ("MiB", 2**20),
        ("GiB", 2**30),
        ("TiB", 2**40),
    ],
)
def test_units_of_libvirt(unit: str | None, size: int) -> None:
    assert libvirt_unit_bytes(unit, default="KiB") == size


def test_what_is_no_unit_of_libvirt_is_refused() -> None:
    with pytest.raises(InvalidSourceError, match="unit"):
        libvirt_unit_bytes("stone", default="KiB")


@pytest.mark.parametrize("text", ["", "-1", "1.5", "0x10", "1e3", "\uff11", "²", " 1", "9" * 20, "9" * 5000])
def test_what_is_no_whole_number_is_refused(text: str) -> None:
    with pytest.raises(InvalidSourceError, match=r"The thing is .* no whole number") as raised:
        whole_number(text, "The thing")
    assert len(raised.value.detail) < 100


def test_what_is_not_there_is_no_number() -> None:
    assert (whole_number(None, "x"), size_bytes(None, 1, "x"), cpu_count(None)) == (None, None, None)


def test_a_size_that_nothing_could_keep_is_refused() -> None:
    assert size_bytes(str(LARGEST_BYTES), 1, "The size") == LARGEST_BYTES
    with pytest.raises(InvalidSourceError, match=r"The size is .* too much"):
        size_bytes(str(LARGEST_BYTES), 2, "The size")


def test_no_cpu_at_all_means_that_their_number_is_not_told() -> None:
    assert (cpu_count("0"), cpu_count("8")) == (None, 8)
    with pytest.raises(InvalidSourceError, match="CPUs"):
        cpu_count(str(MOST_CPUS + 1))


@given(st.text())
def test_any_text_is_a_number_or_refused(text: str) -> None:
    with contextlib.suppress(InvalidSourceError):
        assert whole_number(text, "x") == int(text)
