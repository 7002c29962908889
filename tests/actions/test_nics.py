"""NICs: mapped by MAC address first, then by network; a new address where one is asked for."""

import pytest

from app.actions.nics import MAC_PREFIX, check_macs, mapped
from app.errors import UnknownReferenceError
from app.models.imports import MacPolicy, NicMap
from app.models.vm import SourceNic

MAC = "00:50:56:AB:cd:ef"
NIC = SourceNic(id="nic-1", mac=MAC, network="lan")


def test_a_nic_goes_where_its_network_goes() -> None:
    (nic,) = mapped([NIC], [NicMap(network="lan", target="ovirtmgmt")])
    assert (nic.network, nic.mac) == ("ovirtmgmt", MAC)


def test_the_mac_address_counts_more_than_the_network() -> None:
    maps = [NicMap(network="lan", target="a"), NicMap(mac=MAC.lower(), target="b")]
    assert mapped([NIC], maps)[0].network == "b"


def test_networks_may_be_swapped() -> None:
    nics = [NIC, SourceNic(id="nic-2", mac=None, network="dmz")]
    maps = [NicMap(network="lan", target="dmz"), NicMap(network="dmz", target="lan")]
    assert [nic.network for nic in mapped(nics, maps)] == ["dmz", "lan"]


def test_what_no_map_names_stays() -> None:
    assert mapped([NIC], [NicMap(network="dmz", target="b")]) == (NIC,)


def test_a_new_address_is_asked_for() -> None:
    (nic,) = mapped([NIC], [NicMap(network="lan", target="lan", mac_policy=MacPolicy.NEW)])
    assert nic.mac is not None
    assert nic.mac.startswith(MAC_PREFIX)
    assert len(nic.mac) == len(MAC)


def test_an_address_that_no_nic_has_is_told_with_its_pointer() -> None:
    maps = [NicMap(network="none", target="a"), NicMap(mac="00:00:00:00:00:01", target="b")]
    with pytest.raises(UnknownReferenceError) as raised:
        check_macs([NIC], maps)
    assert [fault.pointer for fault in raised.value.errors] == ["/nics/1/mac"]
