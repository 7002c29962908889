"""Finds data centers, storage domains, proxy hosts and providers by name or id."""

from app.cli.client import Service, is_id, local_problem
from app.cli.output import Json

CENTERS = "/v1/data-centers"
DOMAINS = "/v1/storage-domains"
HOSTS = "/v1/proxy-hosts"
PROVIDERS = "/v1/providers"


def data_center_id(service: Service, name_or_id: str | None) -> str:
    """The id; without a name the only data center that there is."""
    if name_or_id is not None:
        return _id(service.find(CENTERS, name_or_id))
    centers = service.items(CENTERS, limit=2)
    if len(centers) == 1:
        return _id(centers[0])
    raise local_problem(
        "data_center_needed",
        "Say which data center",
        "There is none yet." if not centers else "There are several.",
        "`v2v-import data-centers add NAME` makes one." if not centers else "Give --data-center NAME.",
    )


def storage_domain_id(service: Service, name_or_id: str, center: str | None) -> str:
    return _id_among(service, DOMAINS, name_or_id, center)


def proxy_host_id(service: Service, name_or_id: str, center: str | None = None) -> str:
    return _id_among(service, HOSTS, name_or_id, center)


def provider_id(service: Service, name_or_id: str) -> str:
    return _id_among(service, PROVIDERS, name_or_id, None)


def _id_among(service: Service, path: str, name_or_id: str, center: str | None) -> str:
    if is_id(name_or_id):
        return name_or_id
    return _id(service.find(path, name_or_id, center=center))


def _id(document: Json) -> str:
    identity: str = document["id"]
    return identity
