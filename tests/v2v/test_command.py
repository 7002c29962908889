"""Command lines are lists that hold what the binary can do, and no secret."""

import pytest
from pydantic import SecretStr

from app.errors import MissingAbilityError, UnsupportedPropertyError
from app.models.imports import NicMap
from app.v2v.command import Command, V2vFile, V2vInput, V2vOutput, V2vProperties, build_argv
from app.v2v.features import Features

SOURCE = V2vInput(("-i", "disk", "/src/a b'$(x).qcow2", "-if", "qcow2"))
TARGET = V2vOutput(("-o", "local", "-os", "/out", "-on", "vm"), (V2vFile("note", b"n"),))


def built(
    *,
    version: tuple[int, ...] = (2, 2, 0),
    options: frozenset[str] = frozenset({"mac-option"}),
    nics: tuple[NicMap, ...] = (),
    keys: tuple[str, ...] = (),
    debug: bool = False,
) -> Command:
    features = Features(version, frozenset(), frozenset(), options)
    properties = V2vProperties("first", nics, tuple(SecretStr(key) for key in keys), debug)
    return build_argv("virt-v2v", features, SOURCE, TARGET, properties, attempt_dir="/w/attempts/1")


def test_a_command_is_a_list_and_nothing_is_quoted() -> None:
    command = built()
    assert command.argv == (
        "virt-v2v",
        "--machine-readable=stream:stdout",
        "--root",
        "first",
        *SOURCE.argv,
        *TARGET.argv,
    )
    assert command.environment["LIBGUESTFS_BACKEND"] == "direct"
    assert command.files == TARGET.files


def test_an_old_binary_is_not_asked_for_a_stream() -> None:
    assert not [word for word in built(version=(1, 38, 4)).argv if word.startswith("--machine-readable")]


def test_debugging_is_asked_for_only_when_wanted() -> None:
    assert "-x" not in built().argv
    assert {"-v", "-x"} <= set(built(debug=True).argv)


def test_nics_are_mapped_by_network_and_by_mac() -> None:
    command = built(
        nics=(NicMap(network="VM Network", target="red"), NicMap(mac="52:54:00:00:00:01", target="blue"))
    )
    assert command.argv[-4:] == ("--network", "VM Network:red", "--mac", "52:54:00:00:00:01:network:blue")


@pytest.mark.parametrize(
    "nic", [NicMap(network="a:b", target="c"), NicMap(mac="52:54:00:00:00:01", target="a:b")]
)
def test_a_colon_that_virt_v2v_would_misread_is_refused(nic: NicMap) -> None:
    with pytest.raises(UnsupportedPropertyError, match="/nics/0"):
        built(nics=(nic,))


def test_a_binary_without_mac_mapping_is_refused_by_name() -> None:
    with pytest.raises(MissingAbilityError, match="mac-option"):
        built(options=frozenset(), nics=(NicMap(mac="52:54:00:00:00:01", target="a"),))


def test_keys_are_in_secret_files_and_in_no_argument() -> None:
    command = built(keys=("correct horse", "battery"))
    keys = [file for file in command.files if file.secret]
    assert [(file.name, file.data, file.mode) for file in keys] == [
        ("luks-key-0", b"correct horse", 0o600),
        ("luks-key-1", b"battery", 0o600),
    ]
    assert command.argv[-2:] == ("--key", "all:file:/w/attempts/1/luks-key-1")
    assert not [word for word in command.argv + command.masked if "horse" in word]
    with pytest.raises(MissingAbilityError):
        built(version=(2, 0, 7), keys=("x",))
