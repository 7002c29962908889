"""How the proxy host logs in to a VM's host, by what the provider's record has."""

from uuid import UUID

import pytest
from pydantic import SecretStr

from app.errors import ProviderKeyUnverifiedError, ProviderRefusedError
from app.models.providers import TlsChecks
from app.providers import PROVIDER_KINDS, kind_of, parse_url
from app.providers.base import ProviderAccess, SshAccess
from app.providers.kvm import KvmOptions
from app.sources.provider_vms import PROVIDER_SOURCES
from app.sources.provider_vms.remote_disks import login_of

KEY = SecretStr("a key")
SSH = SshAccess(username="importer", private_key=KEY, password=None, host_key="ssh-ed25519 AAAA")


def access(url: str, ssh: SshAccess | None) -> ProviderAccess:
    return ProviderAccess(
        id=UUID(int=1),
        name="kvm-1",
        kind="kvm",
        url=parse_url(kind_of("kvm"), url, allows_local=False),
        username=None,
        password=SecretStr("libvirt's own"),
        ssh=ssh,
        tls=TlsChecks(),
        options=KvmOptions(),
        proxy_host_id=None,
    )


@pytest.mark.parametrize(
    ("url", "port"),
    [
        ("qemu+ssh://importer@kvm.example:2222/system", 2222),
        ("qemu+ssh://kvm.example/system", 22),
        ("qemu+tls://kvm.example:1234/system", 22),
        ("qemu+tcp://kvm.example/system", 22),
    ],
)
def test_the_login_is_ssh_s_whatever_libvirt_is_asked_by(url: str, port: int) -> None:
    login, secret = login_of(access(url, SSH))
    assert (login.host, login.port, login.username) == ("kvm.example", port, "importer")
    assert (secret, login.by_password) == (KEY, False)


def test_a_password_is_used_where_there_is_no_key() -> None:
    ssh = SshAccess(username="root", private_key=None, password=SecretStr("p"), host_key="ssh-ed25519 AAAA")
    login, secret = login_of(access("qemu+ssh://kvm.example/system", ssh))
    assert (secret.get_secret_value(), login.by_password) == ("p", True)


@pytest.mark.parametrize("ssh", [None, SshAccess("root", None, None, "ssh-ed25519 AAAA")])
def test_without_a_login_the_disks_are_refused(ssh: SshAccess | None) -> None:
    with pytest.raises(ProviderRefusedError, match="give the provider 'kvm-1' a login in `ssh`"):
        login_of(access("qemu+tls://kvm.example/system", ssh))


def test_without_an_accepted_key_nothing_is_sent() -> None:
    with pytest.raises(ProviderKeyUnverifiedError):
        login_of(access("qemu+ssh://kvm.example/system", SshAccess("root", KEY, None, None)))


def test_vms_of_each_kind_of_provider_can_be_imported() -> None:
    assert {source.kind for source in PROVIDER_SOURCES} == {kind.kind for kind in PROVIDER_KINDS}
