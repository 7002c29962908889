"""The program for vSphere against a simulated vCenter and ESXi."""

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
from pyVmomi import vim

from app.children.answering import ChildError, Code
from app.children.vsphere.__main__ import answer
from app.children.vsphere.session import Session, opened
from app.models.vm import VmConfig
from tests.support.sshd import free_port
from tests.support.vcenter import Vcenter, running_vcenter

SOCKET_SECONDS = 0.5


def ask(vcenter: Vcenter, do: str, **changes: Any) -> Any:
    return answer(vcenter.request(do, **changes))


def refusal(vcenter: Vcenter, do: str = "check", **changes: Any) -> ChildError:
    with pytest.raises(ChildError) as refused:
        ask(vcenter, do, **changes)
    return refused.value


@contextlib.contextmanager
def objects(vcenter: Vcenter) -> Iterator[Session]:
    """A session of the test's own, to change what is there."""
    with opened(vcenter.request("check")) as session:
        yield session


def make_vm(session: Session, folder: Any, name: str) -> str:
    """A VM without devices on the first host. The name is as vSphere escapes it."""
    datacenter = next(each for each in session.content.rootFolder.childEntity)
    compute = datacenter.hostFolder.childEntity[0]
    spec = vim.vm.ConfigSpec(name=name, guestId="otherGuest", files=vim.vm.FileInfo(vmPathName="[LocalDS_0]"))
    task = folder.CreateVM_Task(spec, compute.resourcePool, compute.host[0])
    made: str = task.info.result._moId
    return made


def test_a_check_tells_product_and_version(vcenter: Vcenter) -> None:
    assert ask(vcenter, "check") == {
        "product": "VMware vCenter Server",
        "version": "6.5.0 build-5973321",
    }


def test_an_esxi_host_is_told_from_a_vcenter(esxi: Vcenter) -> None:
    vms = ask(esxi, "list")["vms"]

    assert ask(esxi, "check")["product"] == "VMware ESXi"
    assert [vm["path"] for vm in vms] == ["/ha-datacenter/vm"] * 2
    assert ask(esxi, "vm", vm_id=vms[0]["config"]["id"])["config"]["origin"]["api"] == "esxi"


def test_every_session_is_closed(vcenter: Vcenter) -> None:
    vcenter.calls()

    ask(vcenter, "list")

    calls = vcenter.calls()
    assert calls["Login"] == calls["Logout"] == 1
    assert calls["CreateContainerView"] == calls["DestroyView"] == 1


def test_a_list_has_all_vms_of_all_pages(vcenter: Vcenter) -> None:
    """The simulator gives four objects a page."""
    vcenter.calls()

    listed = ask(vcenter, "list")

    calls = vcenter.calls()
    assert [vm["config"]["name"] for vm in listed["vms"]] == ["DC0_C0_RP0_VM0", "DC0_C0_RP0_VM1"]
    assert calls["ContinueRetrievePropertiesEx"] == 1
    assert listed["round_trips"] == sum(calls.values()) - calls["Logout"]


def test_more_vms_need_no_more_round_trips_but_for_their_pages() -> None:
    with running_vcenter("-machines", "30") as large:
        listed = ask(large, "list")

    assert len(listed["vms"]) == 30
    assert listed["round_trips"] == 5


def test_a_summary_is_what_is_known_without_devices(vcenter: Vcenter) -> None:
    first = ask(vcenter, "list")["vms"][0]

    config = VmConfig.model_validate(first["config"])
    assert (config.state, config.cpu_count, config.memory_bytes) == ("down", 1, 2**25)
    assert (first["path"], first["disk_count"]) == ("/DC0/vm", 1)


def test_one_vm_is_read_with_its_disks_and_nics(vcenter: Vcenter) -> None:
    identity = ask(vcenter, "list")["vms"][0]["config"]["id"]

    found = ask(vcenter, "vm", vm_id=identity)

    config = VmConfig.model_validate(found["config"])
    assert (config.id, found["path"]) == (identity, "/DC0/vm")
    [disk] = config.disks
    assert (disk.id, disk.bus, disk.capacity_bytes) == ("scsi0:0", "scsi", 2**20)
    assert disk.path == "[LocalDS_0] DC0_C0_RP0_VM0/disk1.vmdk"
    [nic] = config.nics
    assert (nic.network, nic.model) == ("DC0_DVPG0", "e1000")
    assert config.origin["path"] == "DC0\nDC0_C0\nDC0_C0_H0"
    assert config.origin["certificate_pem"].strip() == vcenter.certificate.pem.strip()


def test_folders_and_names_with_any_characters_are_told_as_they_are() -> None:
    with running_vcenter() as server:
        with objects(server) as session:
            datacenter = session.content.rootFolder.childEntity[0]
            folder = datacenter.vmFolder.CreateFolder("R & D %2f <tëst> 100%25")
            identity = make_vm(session, folder, "a%2fb \"c\" 'd' %25 é")

        [listed] = [vm for vm in ask(server, "list")["vms"] if vm["config"]["id"] == identity]
        found = ask(server, "vm", vm_id=identity)

    assert listed["path"] == found["path"] == "/DC0/vm/R & D %2f <tëst> 100%25"
    assert listed["config"]["name"] == found["config"]["name"] == "a/b \"c\" 'd' % é"
    assert found["config"]["origin"]["name"] == "a%2fb \"c\" 'd' %25 é"


def test_a_template_is_listed_as_one() -> None:
    with running_vcenter() as server:
        with objects(server) as session:
            vms = session.content.rootFolder.childEntity[0].vmFolder.childEntity
            vms[0].MarkAsTemplate()

        states = [vm["config"]["settings"] for vm in ask(server, "list")["vms"]]

    assert states == [{"is_template": "true"}, {}]


def test_a_running_vm_is_up() -> None:
    with running_vcenter() as server:
        with objects(server) as session:
            vm = session.content.rootFolder.childEntity[0].vmFolder.childEntity[0]
            vm.PowerOnVM_Task()
        identity = vm._moId

        assert [vm["config"]["state"] for vm in ask(server, "list")["vms"]] == ["up", "down"]
        assert ask(server, "vm", vm_id=identity)["config"]["state"] == "up"


def test_a_uuid_that_two_vms_share_is_not_told() -> None:
    with running_vcenter() as server:
        with objects(server) as session:
            first, second = session.content.rootFolder.childEntity[0].vmFolder.childEntity
            second.ReconfigVM_Task(vim.vm.ConfigSpec(uuid=first.config.uuid))

        assert "uuid" not in ask(server, "vm", vm_id=first._moId)["config"]["origin"]


def test_a_vm_that_is_gone_is_said_to_be(vcenter: Vcenter) -> None:
    assert refusal(vcenter, "vm", vm_id="vm-404").code is Code.VM_NOT_FOUND


# --- who may ask -----------------------------------------------------------------------------------------


def test_a_wrong_password_is_tried_once(vcenter: Vcenter) -> None:
    vcenter.calls()

    assert refusal(vcenter, password="wrong").code is Code.AUTHENTICATION_FAILED
    assert vcenter.calls()["Login"] == 1


def test_no_error_tells_the_password(vcenter: Vcenter) -> None:
    assert "hush-hush" not in refusal(vcenter, password="hush-hush").detail


def test_a_session_that_expired_is_opened_anew_once(vcenter: Vcenter) -> None:
    vcenter.calls()
    vcenter.fail("RetrievePropertiesEx", "NotAuthenticated")

    assert len(ask(vcenter, "list")["vms"]) == 2
    assert vcenter.calls()["Login"] == 2


def test_a_session_that_expires_again_and_again_is_given_up(vcenter: Vcenter) -> None:
    vcenter.calls()
    vcenter.fail("RetrievePropertiesEx", "NotAuthenticated", times=2)

    assert refusal(vcenter, "list").code is Code.FAILED
    assert vcenter.calls()["Login"] == 2


def test_a_missing_permission_is_told(vcenter: Vcenter) -> None:
    vcenter.fail("CreateContainerView", "NoPermission")

    assert refusal(vcenter, "list").code is Code.PERMISSION_DENIED


def test_a_server_that_falls_silent_is_not_waited_for(vcenter: Vcenter) -> None:
    vcenter.calls()
    vcenter.fail("RetrievePropertiesEx", "silence")

    assert refusal(vcenter, "list", deadline_seconds=SOCKET_SECONDS).code is Code.TIMEOUT
    assert "Logout" not in vcenter.calls()


def test_a_server_that_is_busy_is_told_as_unreachable(vcenter: Vcenter) -> None:
    vcenter.fail("RetrieveServiceContent", "503")

    assert refusal(vcenter).code is Code.UNREACHABLE


def test_where_nothing_listens_nothing_is_reached(vcenter: Vcenter) -> None:
    url = vcenter.request("check")["url"] | {"port": free_port()}

    assert refusal(vcenter, url=url).code is Code.UNREACHABLE


# --- who is asked ----------------------------------------------------------------------------------------


def test_a_certificate_that_nobody_vouches_for_gets_no_password(vcenter: Vcenter) -> None:
    vcenter.calls()

    refused = refusal(vcenter, tls={"ca_pem": None})

    assert refused.code is Code.CERTIFICATE_UNTRUSTED
    assert refused.offered_thumbprint == vcenter.certificate.thumbprint()
    assert vcenter.calls() == {}


@pytest.mark.parametrize("algorithm", ["sha1", "sha256"])
def test_a_pinned_certificate_is_trusted_whoever_signed_it(vcenter: Vcenter, algorithm: str) -> None:
    tls = {"ca_pem": None, "thumbprint": vcenter.certificate.thumbprint(algorithm)}

    assert ask(vcenter, "check", tls=tls)["product"]


def test_another_certificate_than_the_pinned_one_gets_no_password(vcenter: Vcenter) -> None:
    vcenter.calls()

    refused = refusal(vcenter, tls={"thumbprint": ":".join(["00"] * 32)})

    assert refused.code is Code.CERTIFICATE_MISMATCH
    assert refused.offered_thumbprint == vcenter.certificate.thumbprint()
    assert vcenter.calls() == {}


def test_a_certificate_for_another_name_is_refused_on_loopback_too() -> None:
    with running_vcenter(name="elsewhere.test") as server:
        refused = refusal(server)
        pinned = {"ca_pem": None, "thumbprint": server.certificate.thumbprint()}

        assert refused.code is Code.CERTIFICATE_UNTRUSTED
        assert ask(server, "check", tls=pinned)["product"]


def test_nothing_is_verified_where_the_user_said_so(vcenter: Vcenter) -> None:
    assert ask(vcenter, "check", tls={"verify": False, "ca_pem": None})["product"]


def test_a_ca_that_is_none_is_told(vcenter: Vcenter) -> None:
    assert refusal(vcenter, tls={"ca_pem": "no certificate"}).code is Code.CERTIFICATE_UNTRUSTED


def test_whether_a_certificate_is_known_without_a_pin_is_told() -> None:
    """What virt-v2v runs pins nothing: it can be given the certificate, but checks the name in it."""
    with running_vcenter() as right, running_vcenter(name="elsewhere.test") as wrong:
        told = [
            ask(server, "vm", vm_id=first_vm(server), tls=pinned(server))["config"]["origin"]
            for server in (right, wrong)
        ]

    assert [origin.get("vouches_for_itself") for origin in told] == ["true", None]


def pinned(server: Vcenter) -> dict[str, Any]:
    return {"ca_pem": None, "thumbprint": server.certificate.thumbprint()}


def first_vm(server: Vcenter) -> str:
    identity: str = ask(server, "list", tls=pinned(server))["vms"][0]["config"]["id"]
    return identity


@pytest.mark.long
def test_ten_thousand_vms_are_listed_whole_in_a_few_round_trips() -> None:
    with running_vcenter("-machines", "10000") as large:
        listed = ask(large, "list", deadline_seconds=600.0)["vms"]
        calls = large.calls()

    assert len({vm["config"]["id"] for vm in listed}) == 10_000
    assert {vm["path"] for vm in listed} == {"/DC0/vm"}
    assert sum(calls.values()) == 16
