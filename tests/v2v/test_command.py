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
    attempt_dir: str = "/w/attempts/1",
) -> Command:
    features = Features(version, frozenset(), frozenset(), options)
    wanted = properties(nics=nics, keys=keys, debug=debug)
    return build_argv("virt-v2v", features, SOURCE, TARGET, wanted, attempt_dir=attempt_dir)


def properties(
    *, nics: tuple[NicMap, ...] = (), keys: tuple[str, ...] = (), debug: bool = False
) -> V2vProperties:
    return V2vProperties("first", nics, tuple(SecretStr(key) for key in keys), debug)


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


def test_what_a_network_is_mapped_to_may_hold_a_colon() -> None:
    assert built(nics=(NicMap(network="a", target="b:c"),)).argv[-2:] == ("--network", "a:b:c")
    mac = "52:54:00:00:00:01"
    assert built(nics=(NicMap(mac=mac, target="b:c"),)).argv[-2:] == ("--mac", f"{mac}:network:b:c")


def test_a_network_with_a_colon_is_refused_for_virt_v2v_would_misread_it() -> None:
    with pytest.raises(UnsupportedPropertyError, match="/nics/1/network"):
        built(nics=(NicMap(network="a", target="b"), NicMap(network="a:b", target="c")))


def test_a_name_that_begins_like_an_option_is_no_option() -> None:
    assert built(nics=(NicMap(network="-x", target="--root"),)).argv[-2:] == ("--network", "-x:--root")


def test_of_two_maps_the_first_counts() -> None:
    nics = (
        NicMap(network="a", target="1"),
        NicMap(mac="52:54:00:00:00:0a", target="2"),
        NicMap(network="a", target="3"),
        NicMap(mac="52:54:00:00:00:0A", target="4"),
    )
    argv = built(nics=nics).argv
    assert argv[-4:-2] == ("--network", "a:1")
    assert argv[-1].endswith(":network:2")
    assert (argv.count("--network"), argv.count("--mac")) == (1, 1)


def test_a_binary_without_mac_mapping_is_refused_by_name() -> None:
    with pytest.raises(MissingAbilityError, match="mac-option"):
        built(options=frozenset(), nics=(NicMap(mac="52:54:00:00:00:01", target="a"),))


def test_keys_are_in_secret_files_and_in_no_argument() -> None:
    command = built(version=(2, 4), keys=("correct horse", "battery"))
    keys = [file for file in command.files if file.secret]
    assert [(file.name, file.data, file.mode) for file in keys] == [
        ("luks-key-0", b"correct horse", 0o600),
        ("luks-key-1", b"battery", 0o600),
    ]
    assert command.argv[-4:] == (
        "--key",
        "all:file:/w/attempts/1/luks-key-0",
        "--key",
        "all:file:/w/attempts/1/luks-key-1",
    )
    assert not [word for word in command.argv + command.masked if "horse" in word]
    assert "horse" not in repr(properties(keys=("correct horse",)))


@pytest.mark.parametrize("version", [(), (1, 42, 0), (2, 2, 0)])
def test_keys_are_refused_where_they_would_open_nothing(version: tuple[int, ...]) -> None:
    with pytest.raises(MissingAbilityError, match=r"2\.4"):
        built(version=version, keys=("x",))


@pytest.mark.parametrize("key", ["", "two\nlines", "carriage\rreturn", "nul\0"])
def test_a_key_that_virt_v2v_would_cut_is_refused_and_not_told(key: str) -> None:
    with pytest.raises(UnsupportedPropertyError) as raised:
        built(version=(2, 4), keys=("good", key))
    assert raised.value.detail == "/conversion/luks_keys/1: a passphrase is one line of text."


def test_keys_are_refused_where_their_files_cannot_be_named() -> None:
    with pytest.raises(UnsupportedPropertyError, match="work_dir"):
        built(version=(2, 4), keys=("x",), attempt_dir="/w:1")


@pytest.mark.parametrize(("version", "is_asked"), [((1, 40, 2), False), ((1, 42, 0), True), ((), False)])
def test_json_is_asked_for_where_it_is_written(version: tuple[int, ...], is_asked: bool) -> None:
    assert ("--machine-readable=stream:stdout" in built(version=version).argv) is is_asked


def test_each_half_may_set_the_environment() -> None:
    source = V2vInput((), environment={"A": "1", "LIBGUESTFS_BACKEND": "libvirt"})
    features = Features((2, 2, 0), frozenset(), frozenset(), frozenset())
    target = V2vOutput((), environment={"B": "2"})
    made = build_argv("virt-v2v", features, source, target, properties(), attempt_dir="/w")
    assert made.environment == {"A": "1", "B": "2", "LIBGUESTFS_BACKEND": "libvirt"}
