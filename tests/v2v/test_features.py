"""What a virt-v2v can do, from its own words."""

import pytest

from app.v2v.features import features_of, missing, status_of

OLD = "virt-v2v\nvirt-v2v-2.0\nmac-option\ninput:disk\ninput:ova\noutput:local\noutput:rhv\noutput:vdsm\n"
NEW = "virt-v2v\nvirt-v2v-2.0\nmac-option\ninput:disk\noutput:disk\noutput:ovirt\noutput:ovirt-upload\n"


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("virt-v2v 2.2.0\n", (2, 2, 0)),
        ("virt-v2v 2.7.1rhel=9,release=5.el9\n", (2, 7, 1)),
        ("virt-v2v 1.42.0rhel=8,release=21.module+el8", (1, 42, 0)),
        ("who knows", ()),
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
