"""The virt-v2v command of an import: the source's half, the destination's half, the properties."""

from app.destinations.base import Target
from app.errors import MissingAbilityError
from app.models.proxy_hosts import ProxyHost
from app.models.storage_domains import StorageDomain
from app.models.vm import VmConfig
from app.services import storage_domains
from app.services.specs import VmImportCreate
from app.sources import source_of
from app.v2v.command import Command, V2vProperties, build_argv
from app.v2v.features import features_of


def command_line(
    spec: VmImportCreate, host: ProxyHost, domain: StorageDomain, source: VmConfig, target: Target
) -> Command:
    """Raises MissingAbilityError when the host's virt-v2v was never probed or lacks what is needed."""
    if host.status.virt_v2v is None:
        raise MissingAbilityError(f"The proxy host {host.name!r} has not been checked yet.")
    destination, settings = storage_domains.opened(domain)
    return build_argv(
        host.virt_v2v_path,
        features_of(host.status.virt_v2v),
        source_of(spec.source.kind).input(spec.source, source, spec, target.attempt_dir),
        destination.output(settings, target),
        V2vProperties(
            root=spec.conversion.root,
            nics=spec.nics,
            luks_keys=spec.conversion.luks_keys,
            debug=spec.conversion.debug,
        ),
        attempt_dir=target.attempt_dir,
    )
