"""What a virt-v2v can do, from its own words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.v2v.features import features_of, missing, status_of

OLD = "virt-v2v\nvirt-v2v-2.0\nmac-option\ninput:disk\ninput:ova\noutput:local\noutput:rhv\noutput:vdsm\n"
NEW = "virt-v2v\nvirt-v2v-2.0\nmac-option\ninput:disk\noutput:disk\noutput:ovirt\noutput:ovirt-upload\n"


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("virt-v2v 2.2.0\n", (2, 2, 0)),
        ("virt-v2v 2.7.1rhel=9,release=5.el9\n", (2, 7, 1)),
        ("virt-v2v 1.42.0rhel=8,release=21.module+el8", (1, 42, 0)),
        ("virt-v2v 2.10.0\n", (2, 10, 0)),
        ("virt-v2v 1.40.2fedora=29,release=1.fc29\n", (1, 40, 2)),
        ("virt-v2v " + "9" * 5000, (999999,)),
        ("virt-v2v ²", ()),
        ("who knows", ()),
        ("", ()),
    ],
)
def test_versions_are_read_whatever_a_distribution_adds(text: str, version: tuple[int, ...]) -> None:
    assert features_of(status_of(text, OLD)).version == version


@pytest.mark.parametrize("words", [OLD, NEW])
def test_old_and_new_names_are_equal(words: str) -> None:
    features = features_of(status_of("virt-v2v 2.2.0", words))
    assert missing(features, frozenset({"output:local", "output:disk", "output:rhv", "output:ovirt"})) == []


def test_what_is_missing_is_named_in_order() -> None:
    features = features_of(status_of("virt-v2v 2.2.0", OLD))
    needed = frozenset({"output:openstack", "input:vmx", "option:parallel-option", "input:ova"})
    assert missing(features, needed) == ["input:vmx", "option:parallel-option", "output:openstack"]


def test_the_record_keeps_the_binary_s_own_words() -> None:
    status = status_of("virt-v2v 2.10.0", NEW)
    assert (status.version, status.outputs) == ("2.10.0", ("disk", "ovirt", "ovirt-upload"))
    assert "mac-option" in status.features


def test_an_option_s_old_and_new_names_are_equal() -> None:
    features = features_of(status_of("virt-v2v 2.10.0", "ovf:ovirtexp\n"))
    assert missing(features, frozenset({"option:ovf:rhvexp", "option:ovf:ovirtexp"})) == []


def test_what_every_version_has_need_not_be_announced() -> None:
    features = features_of(status_of("virt-v2v 1.38.0", ""))
    needed = {"input:disk", "input:libvirtxml", "input:ova", "output:local", "output:null", "output:disk"}
    assert missing(features, frozenset(needed)) == []


def test_an_ability_of_an_unknown_kind_is_missing() -> None:
    assert missing(features_of(status_of("", OLD)), frozenset({"ova", "x:y"})) == ["ova", "x:y"]


@given(st.text(), st.text())
def test_whatever_a_host_says_of_itself_is_understood_as_far_as_it_goes(version: str, words: str) -> None:
    features_of(status_of(f"virt-v2v {version}", words))
