"""Provider URLs: what is harmless is rebuilt from its parts, everything else is refused."""

import pytest

from app.errors import InvalidProviderUrlError
from app.providers import kind_of, parse_url
from app.providers.urls import ProviderUrl, Reach


def parsed(kind: str, text: str, *, allows_local: bool = True) -> ProviderUrl:
    return parse_url(kind_of(kind), text, allows_local=allows_local)


@pytest.mark.parametrize(
    ("kind", "text", "rebuilt"),
    [
        ("vmware", "https://vcenter.example", "https://vcenter.example"),
        ("vmware", "https://VCenter.Example:8443/", "https://vcenter.example:8443"),
        ("vmware", "https://vcenter.example/sdk", "https://vcenter.example/sdk"),
        ("vmware", "https://[2001:DB8::1]", "https://[2001:db8::1]"),
        ("kvm", "qemu+ssh://root@kvm-1/system", "qemu+ssh://root@kvm-1/system"),
        ("kvm", "qemu+ssh://kvm-1:2222", "qemu+ssh://kvm-1:2222/system"),
        ("kvm", "qemu+tls://192.0.2.1/system", "qemu+tls://192.0.2.1/system"),
        ("kvm", "qemu:///session", "qemu:///session"),
        ("kvm", "test:///default", "test:///default"),
        ("kvm", "test:///srv/a b/node.xml", "test:///srv/a b/node.xml"),
        ("xen", "xen+ssh://root@xen-1", "xen+ssh://root@xen-1"),
    ],
)
def test_a_url_is_rebuilt_from_its_parts(kind: str, text: str, rebuilt: str) -> None:
    url = parsed(kind, text)
    assert str(url) == rebuilt
    assert parsed(kind, rebuilt) == url


HOSTILE = (
    "",
    "vcenter.example",
    "https://",
    "https:///path",
    "http://vcenter.example",
    "HTTPS://vcenter.example",
    "qemu+ext://host/system?command=/bin/sh",
    "qemu+ext://host/system",
    "qemu+libssh2://host/system",
    "qemu+ssh://host/system?command=/bin/sh",
    "qemu+ssh://host/system?keyfile=/etc/shadow&no_verify=1",
    "qemu+ssh://host/system?netcat=/bin/sh",
    "qemu+ssh://host/system?",
    "qemu+ssh://host/system#x",
    "qemu+ssh://root:s3cret@host/system",
    "qemu+ssh://-oProxyCommand=x@host/system",
    "qemu+ssh://-oProxyCommand=x/system",
    "qemu+ssh://a b@host/system",
    "qemu+ssh://@host/system",
    "qemu+ssh://host;touch x/system",
    "qemu+ssh://host%20x/system",
    "qemu+ssh://host\\x/system",
    "qemu+ssh://host/../etc",
    "qemu+ssh://host/system/more",
    "qemu+ssh://host\n/system",
    "qemu+ssh://host/system\n",
    "qemu+ssh://h\u00f6st/system",
    "qemu+ssh://host:0/system",
    "qemu+ssh://host:65536/system",
    "qemu+ssh://host:22x/system",
    "qemu+ssh://a..b/system",
    "qemu+ssh://[::1/system",
    "qemu+ssh://[not:an:address]/system",
    "qemu:///system?socket=/tmp/s",
    "qemu://host/system",
    "test://host/default",
    "test:///",
    "test:///a/../b",
    "test:///a\0b",
    "test:///a?b",
    "qemu+tls://root@host/system",
    "esx://host",
)


@pytest.mark.parametrize("text", HOSTILE)
def test_whatever_could_mean_more_is_refused(text: str) -> None:
    for kind in ("kvm", "xen", "vmware"):
        with pytest.raises(InvalidProviderUrlError) as raised:
            parsed(kind, text)
        assert "s3cret" not in raised.value.detail


@pytest.mark.parametrize("text", ["https://user@vcenter.example", "https://vcenter.example/ui"])
def test_a_vcenter_has_no_user_and_no_path(text: str) -> None:
    with pytest.raises(InvalidProviderUrlError):
        parsed("vmware", text)


@pytest.mark.parametrize("text", ["test:///default", "qemu:///system", "qemu+unix:///system"])
def test_what_is_local_needs_the_setting(text: str) -> None:
    assert parsed("kvm", text).reach is Reach.LOCAL
    with pytest.raises(InvalidProviderUrlError, match="V2V_IMPORT_ALLOW_LOCAL_PROVIDERS"):
        parsed("kvm", text, allows_local=False)
