"""What Schemathesis has to know of this API: where proxy hosts may be, and what a schema can't say."""

from base64 import b64encode
from typing import Any

import httpx
import schemathesis
from hypothesis import strategies
from schemathesis import APIOperation, Case, CheckContext, HookContext, Response, SerializationContext

AnyCase = Case[APIOperation[Any, Any, Any, Any]]

PORT = 9
"""Nothing listens there on this machine: generated addresses must lead nowhere else."""
BEYOND_SCHEMAS = frozenset({"invalid_key", "exactly_one", "needed_with"})
"""Codes of faults that JSON Schema has no words for: keys that can't be read, rules between members."""
PLACE = b64encode(b"0196f1d2-7c1e-7000-8000-00000000000b").decode()
METADATA = [f"filename eA==,{place} {PLACE}" for place in ("proxy_host_id", "data_center_id")]
"""Of uploads: the places are well-formed, and not there."""

# Generated headers have letters and digits alone, and so never a quote.
schemathesis.openapi.format("etags", strategies.sampled_from(["*", '"1"', 'W/"1"', '"1", "2"']))

schemathesis.openapi.format("tus-metadata", strategies.sampled_from(METADATA))

schemathesis.openapi.format(
    "tus-checksum", strategies.sampled_from([f"sha1 {'A' * 27}=", f"sha256 {'A' * 43}="])
)


@schemathesis.serializer("application/offset+octet-stream")
def send_as_it_is(ctx: SerializationContext, value: object) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


URLS = {"kvm": f"qemu+tcp://127.0.0.1:{PORT}/system", "xen": f"xen+ssh://127.0.0.1:{PORT}"}


@schemathesis.hook
def before_call(context: HookContext, case: AnyCase, kwargs: dict[str, object]) -> None:
    """Well-formed proxy hosts and providers lie on this machine, whatever the generated address is."""
    is_positive = case.meta is None or case.meta.generation.mode.is_positive
    if not is_positive or not isinstance(case.body, dict):
        return
    if "address" in case.body:
        case.body |= {"address": "127.0.0.1", "port": PORT}
    if "url" in case.body:
        case.body |= {"url": URLS.get(str(case.body.get("kind")), f"https://127.0.0.1:{PORT}")}


@schemathesis.check
def schema_says_what_is_refused(ctx: CheckContext, response: Response, case: AnyCase) -> None:
    """What fits the document is never refused for its form."""
    is_positive = case.meta is not None and case.meta.generation.mode.is_positive
    if is_positive and response.status_code == httpx.codes.UNPROCESSABLE_ENTITY:
        problem = response.json()
        faults = {fault["code"] for fault in problem["errors"]}
        assert problem["code"] != "validation_error" or faults <= BEYOND_SCHEMAS, problem["detail"]
