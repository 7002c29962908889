"""A VM that a provider holds: each kind of provider has its own way to it."""

from collections.abc import Collection
from typing import Annotated, ClassVar, Literal
from uuid import UUID

from pydantic import Field, StringConstraints

from app.errors import InvalidSourceError
from app.models.common import NoNul, Shape
from app.models.imports import ImportProperties
from app.models.vm import VmConfig
from app.sources.base import Reached, Site, SourceReading
from app.sources.properties import for_conversion_alone
from app.sources.provider_vms import provider_source_of
from app.v2v.command import V2vInput


class ProviderVmSource(Shape):
    """A VM of a provider, by the id that the provider's list has. With a `proxy_host_id` at the provider the
    import runs there, unless it names another proxy host itself.
    """

    kind: Literal["provider_vm"]
    provider_id: UUID = Field(examples=["0196f1d2-7c1e-7000-8000-000000000012"])
    vm_id: Annotated[str, StringConstraints(min_length=1, max_length=1024), NoNul] = Field(
        examples=["vm-1042"]
    )


class ProviderVm:
    kind: ClassVar[str] = "provider_vm"
    title: ClassVar[str] = "VM of a provider"
    Spec: type[ProviderVmSource] = ProviderVmSource

    def abilities(self, spec: ProviderVmSource) -> frozenset[str]:
        """What its kind of provider needs besides is asked of `provider_source_of`."""
        return frozenset()

    async def read(
        self, spec: ProviderVmSource, site: Site, *, without: Collection[str] = ()
    ) -> SourceReading:
        if site.provider is None:
            raise InvalidSourceError("The provider was not looked up.")
        source = provider_source_of(site.provider.access.kind)
        return await source.read(spec.vm_id, site, site.provider, without=without)

    def unsupported(self, properties: ImportProperties) -> list[tuple[str, str]]:
        """What its kind of provider can't honour besides is asked of `provider_source_of`."""
        return for_conversion_alone(properties)

    def input(
        self,
        spec: ProviderVmSource,
        config: VmConfig,
        properties: ImportProperties,
        attempt_dir: str,
        reached: Reached | None = None,
    ) -> V2vInput:
        if reached is None:
            raise InvalidSourceError("The provider was not looked up.")
        source = provider_source_of(reached.access.kind)
        return source.input(spec.vm_id, config, properties, attempt_dir, reached)


def provider_id_in(source: Shape) -> UUID | None:
    """The provider that a source is of; most kinds of sources have none."""
    return source.provider_id if isinstance(source, ProviderVmSource) else None
