"""How the VMs of one kind of provider are imported."""

from collections.abc import Collection
from typing import ClassVar, Protocol

from app.models.common import Shape
from app.models.imports import ImportProperties
from app.models.vm import VmConfig
from app.providers.base import SourceProvider
from app.providers.urls import ProviderUrl
from app.sources.base import Reached, Site, SourceReading
from app.v2v.command import V2vInput


class ProviderSource(Protocol):
    """The import half of a provider kind. Stateless: everything is in what is handed over, and in the config
    that `read` found.
    """

    kind: ClassVar[str]
    """Of the provider: `kvm`."""

    def abilities(self, url: ProviderUrl, options: Shape) -> frozenset[str]:
        """What the proxy host's virt-v2v must be able to do, in its words, to convert: `input:libvirtxml`.

        Hosts that lack one are not chosen. Where one of several ways is enough, ask for what all of them
        need, and decide in `read` and `input` by `site.virt_v2v` and `reached.virt_v2v`.
        """

    def unsupported(
        self, url: ProviderUrl, options: Shape, properties: ImportProperties
    ) -> list[tuple[str, str]]:
        """(JSON pointer, sentence) of each property that can't be honoured; asked when the import is made."""

    async def read(
        self, vm_id: str, site: Site, provider: SourceProvider, *, without: Collection[str]
    ) -> SourceReading:
        """The VM as it is now (`await provider.vm(vm_id)`), looked at as far as the proxy host can.

        Changes nothing. Called for `POST /v1/imports/check`, and again in the job just before anything is
        made. Concerns come from the rules; what only this look can tell goes into `VmConfig.concerns`.
        `work_bytes` are those that `input` will need in the work directory of the proxy host. A `source` in
        the answer (any of `app.sources`) is what the job goes on with instead, with `roots` to read.

        Raises VmVanishedError, ProviderError, MissingAbilityError, InvalidSourceError, HostError.
        """

    def input(
        self, vm_id: str, config: VmConfig, properties: ImportProperties, attempt_dir: str, reached: Reached
    ) -> V2vInput:
        """virt-v2v's input half, pure: `config` is what `read` found, all disks in it.

        A password goes into a file that says so (`V2vFile(secret=True)`: 0600, gone with virt-v2v's process
        group), named in `argv` (`-ip ATTEMPT_DIR/NAME`); the whole file is the password, without a line end.
        What has to run on the proxy host first is `preparation`, which the agent gets with the roots. `disks`
        are for copies.

        Raises MissingAbilityError, UnsupportedPropertyError, TlsPinUnsupportedError.
        """
