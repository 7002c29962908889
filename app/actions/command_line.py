"""The command of an import: the source's half, the destination's half, the properties."""

from app.actions.examine import with_properties
from app.destinations.base import Target
from app.errors import MissingAbilityError
from app.models.proxy_hosts import ProxyHost
from app.models.storage_domains import StorageDomain
from app.models.vm import VmConfig
from app.providers.base import ProviderAccess
from app.services import storage_domains
from app.services.specs import VmImportCreate
from app.sources import source_of
from app.sources.base import Reached
from app.v2v.command import Command, V2vInput, V2vProperties, build_argv
from app.v2v.copying import build_copy
from app.v2v.features import features_of


def command_line(
    spec: VmImportCreate,
    host: ProxyHost,
    domain: StorageDomain,
    source: VmConfig,
    target: Target,
    *,
    access: ProviderAccess | None = None,
) -> Command:
    """virt-v2v's, or that of a copy; `access` is that of the provider which the source names.

    Raises MissingAbilityError when the host's virt-v2v was never probed or lacks what is needed.
    """
    reached = Reached(access, host.status.virt_v2v) if access is not None else None
    given = source_of(spec.source.kind).input(spec.source, source, spec, target.attempt_dir, reached)
    if spec.conversion.is_copy:
        destination, settings = storage_domains.opened(domain)
        output = destination.copy(settings, target, with_properties(source, spec))
        return build_copy(given, output, attempt_dir=target.attempt_dir)
    return _conversion(spec, host, domain, given, target)


def _conversion(
    spec: VmImportCreate, host: ProxyHost, domain: StorageDomain, given: V2vInput, target: Target
) -> Command:
    if host.status.virt_v2v is None:
        raise MissingAbilityError(f"The proxy host {host.name!r} has not been checked yet.")
    destination, settings = storage_domains.opened(domain)
    return build_argv(
        host.virt_v2v_path,
        features_of(host.status.virt_v2v),
        given,
        destination.output(settings, target),
        V2vProperties(
            root=spec.conversion.root,
            nics=spec.nics,
            luks_keys=spec.conversion.luks_keys,
            debug=spec.conversion.debug,
        ),
        attempt_dir=target.attempt_dir,
    )
