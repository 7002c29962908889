"""The error tree: every expected failure, with the status and the stable code that clients see.

AppError
├── InvalidRequestError (400)      malformed JSON, cursor or header
├── UnauthorizedError (401) · ForbiddenError (403) · NotFoundError (404)
├── ConflictError (409)            a clash with state, one subclass a code
├── PreconditionFailedError (412) · TooLargeError (413) · UnprocessableError (422) · TooManyError (429)
├── RequestTimeoutError (408) · UploadGoneError (410) · UploadLockedError (423) · UploadChecksumError (460)
├── UnavailableError (503)         a host or Redis can't be reached
│   └── HostError                  a proxy host refused or failed us, one subclass a code
├── DeadlineError (504)
└── ImportFailureError (422)       an import can't go on, one subclass a code
    └── ProviderError (503)        a provider refused or failed us, one subclass a code
"""

from typing import ClassVar

from pydantic import BaseModel, ConfigDict


class FieldError(BaseModel):
    """One fault in a request body; `pointer` is a JSON pointer (RFC 6901) into it."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    pointer: str
    """A JSON pointer (RFC 6901) into the body; elsewhere the place and name: `query:limit`."""
    code: str
    """Stable."""
    detail: str


def json_pointer(*parts: object) -> str:
    """A JSON pointer of these members. A key of the client's may hold anything, so it is cut and mended."""
    return "".join(f"/{_escaped(str(part))}" for part in parts)


def _escaped(part: str) -> str:
    plain = part.encode("utf-8", "replace").decode()[:200]
    return plain.replace("~", "~0").replace("/", "~1")


class Problem(BaseModel):
    """A problem document (RFC 9457): one form in HTTP answers, on imports and in events."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    type: str
    """`/problems/` and the code."""
    title: str
    status: int
    detail: str
    """What happened this time, as a sentence."""
    code: str
    """Stable: what programs decide by."""
    hint: str | None = None
    """What to do about it."""
    errors: tuple[FieldError, ...] = ()


class AppError(Exception):
    """An expected failure. Each concrete subclass owns one code; `hint` says what to do about it."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal_error"
    title: ClassVar[str] = "Internal error"
    hint: ClassVar[str | None] = None
    is_shown: ClassVar[bool] = True
    """False for what only the service itself raises and catches; clients never see its code."""

    def __init__(
        self,
        detail: str | None = None,
        *,
        errors: tuple[FieldError, ...] = (),
        hint: str | None = None,
        retry_after_seconds: int | None = None,
    ) -> None:
        """`detail` is a sentence to the user; without one the title stands."""
        super().__init__(detail or self.title)
        self.detail = detail or self.title
        self.errors = errors
        self.own_hint = hint
        self.retry_after_seconds = retry_after_seconds

    def to_problem(self) -> Problem:
        return Problem(
            type=f"/problems/{self.code}",
            title=self.title,
            status=self.status,
            detail=self.detail,
            code=self.code,
            hint=self.own_hint or self.hint,
            errors=self.errors,
        )


def problem_classes() -> list[type[AppError]]:
    """Every error that clients may see, ordered by code: the list that the docs and `/v1/kinds` show."""
    found: dict[str, type[AppError]] = {}
    waiting: list[type[AppError]] = [AppError]
    while waiting:
        kind = waiting.pop()
        if kind.is_shown:
            found[kind.code] = found.get(kind.code, kind)
        waiting.extend(kind.__subclasses__())
    return [found[code] for code in sorted(found)]


def error_of(problem: Problem) -> AppError:
    """The error that the problem told of, to be raised again."""
    kind = next((kind for kind in problem_classes() if kind.code == problem.code), AppError)
    return kind(problem.detail, errors=problem.errors, hint=problem.hint)


class InvalidRequestError(AppError):
    status, code, title = 400, "invalid_request", "The request is malformed"


class InvalidCursorError(InvalidRequestError):
    code, title = "invalid_cursor", "The cursor is malformed"
    hint = "Give back a cursor exactly as it was received, or none to begin anew."


class UnauthorizedError(AppError):
    status, code, title = 401, "unauthorized", "A valid token is needed"
    hint = "Send `Authorization: Bearer TOKEN`; `v2v-import token create` makes one."


class ForbiddenError(AppError):
    status, code, title = 403, "forbidden", "The token's role does not allow this"


class NotFoundError(AppError):
    status, code, title = 404, "not_found", "There is no such resource"


class MethodNotAllowedError(AppError):
    status, code, title = 405, "method_not_allowed", "The resource has no such method"


class NotAcceptableError(AppError):
    status, code, title = 406, "not_acceptable", "The answer has no such media type"


class UnsupportedMediaTypeError(AppError):
    status, code, title = 415, "unsupported_media_type", "The body has the wrong media type"
    hint = "Send JSON with `Content-Type: application/json`."


class RangeNotSatisfiableError(AppError):
    status, code, title = 416, "range_not_satisfiable", "The range lies outside the content"


class ConflictError(AppError):
    status, code, title = 409, "conflict", "The request clashes with the resource's state"


class NameInUseError(ConflictError):
    code, title = "name_in_use", "The name is in use"
    hint = "Choose another name, or remove what bears it."


class InUseError(ConflictError):
    code, title = "in_use", "The resource is in use"
    hint = "End what uses it first; the detail names it."


class IdempotencyKeyReusedError(ConflictError):
    code, title = "idempotency_key_reused", "The idempotency key came with another body before"
    hint = "Use a new key for a new request."


class ImportNotEndedError(ConflictError):
    code, title = "import_not_ended", "The import has not ended"
    hint = "Cancel it, or wait until it has ended."


class ImportEndedError(ConflictError):
    code, title = "import_ended", "The import has ended"


class ImportNotRetryableError(ConflictError):
    code, title = "import_not_retryable", "Only a failed or cancelled import can be retried"


class ImportNotQueuedError(ConflictError):
    code, title = "import_not_queued", "Only a queued import can be changed this way"


class PreconditionFailedError(AppError):
    status, code, title = 412, "precondition_failed", "The resource has changed since it was read"
    hint = "Read it again and repeat the change with the new ETag."


class TooLargeError(AppError):
    status, code, title = 413, "too_large", "The request body is too large"


class UnprocessableError(AppError):
    status, code, title = 422, "validation_error", "The request does not fit the schema"


class UnknownReferenceError(UnprocessableError):
    code, title = "unknown_reference", "The body refers to something that does not exist"


class UnsupportedPropertyError(UnprocessableError):
    code, title = "unsupported_property", "This combination of properties can't be carried out"


class InvalidNameError(UnprocessableError):
    code, title = "invalid_name", "The VM's name is not allowed"
    hint = "A name has 1 to 255 characters, no `/`, no control characters, and is neither `.` nor `..`."


class InvalidProviderUrlError(UnprocessableError):
    code, title = "invalid_provider_url", "The provider's URL is none that this kind has"
    hint = (
        "`https://vcenter.example`, `qemu+ssh://root@host/system` or `xen+ssh://root@host/system`, without a "
        "query part. Local ones (`test:///…`, `qemu:///system`) need `V2V_IMPORT_ALLOW_LOCAL_PROVIDERS`."
    )


class SecretsNeededError(UnprocessableError):
    code, title = "secrets_needed", "The change has to bring the provider's secrets again"
    hint = (
        "Saved secrets are never sent elsewhere: with another `url`, `proxy_host_id`, `ssh` or `tls` send "
        "each secret that the provider has, or null to take it away."
    )


class TooManyError(AppError):
    status, code, title = 429, "too_many_requests", "There are too many requests"


class UnavailableError(AppError):
    status, code, title = 503, "unavailable", "Something that is needed can't be reached now"


class EventsUnavailableError(UnavailableError):
    code, title = "events_unavailable", "Event streams are not available now"
    hint = "Redis can't be reached. Imports go on; try the stream again in a moment."


class ScanFailedError(UnavailableError):
    code, title = "scan_failed", "The scan failed"
    hint = "Scan again; the service's log has more."


class ScanInterruptedError(UnavailableError):
    code, title = "scan_interrupted", "The scan was interrupted too often"
    hint = "Look at the workers' logs, then scan again."


class SchemaMismatchError(UnavailableError):
    code, title = "schema_mismatch", "The database's schema is not this program's"
    hint = "Run `v2v-import migrate`, or update this program."


class UnknownRevisionError(AppError):
    """Of `migrate` alone: no request names a migration."""

    status, code, title, is_shown = 422, "unknown_revision", "There is no such migration", False


class DeadlineError(AppError):
    status, code, title = 504, "deadline_exceeded", "The other side did not answer in time"


class ScanTimeoutError(DeadlineError):
    code, title = "scan_timeout", "The scan took longer than it may"
    hint = "Scan a part of the source, or set a longer `V2V_IMPORT_SCAN_LIMIT_SECONDS`."


# --- uploads ---------------------------------------------------------------------------------------------


class UnsupportedTusVersionError(PreconditionFailedError):
    code, title = "unsupported_tus_version", "This version of the tus protocol is not spoken here"
    hint = "Send `Tus-Resumable: 1.0.0`."


class UnsupportedTusExtensionError(InvalidRequestError):
    code, title = "unsupported_tus_extension", "This extension of the tus protocol is not offered"
    hint = "`OPTIONS /v1/uploads` tells those that are; an upload says its whole length when it is made."


class RequestTimeoutError(AppError):
    status, code, title = 408, "request_timeout", "The client sent nothing for too long"
    hint = "Ask for the offset (HEAD) and go on from there."


class UploadTooLongError(TooLargeError):
    code, title = "upload_too_long", "The upload is longer than it may be"
    hint = "`OPTIONS /v1/uploads` tells the most that an upload may have (`Tus-Max-Size`)."


class UploadOffsetError(ConflictError):
    code, title = "upload_offset_mismatch", "The upload is at another offset"
    hint = "Ask for the offset (HEAD) and go on from there."


class UploadNotCompleteError(ConflictError):
    code, title = "upload_not_complete", "The upload is not complete"
    hint = "Send the rest of it first."


class UploadLockedError(AppError):
    status, code, title = 423, "upload_locked", "Somebody else is sending to this upload"
    hint = "Wait a moment; a connection that broke is noticed within a minute."


class UploadChecksumError(AppError):
    """The status is the tus protocol's own."""

    status, code, title = 460, "upload_checksum_mismatch", "What arrived is not what the checksum says"
    hint = "It was discarded: send it again from the same offset."


class UploadGoneError(AppError):
    status, code, title = 410, "upload_gone", "The upload is not there any more"
    hint = "Upload the file anew."


class UploadExpiredError(UploadGoneError):
    code, title = "upload_expired", "The upload has expired"


class UploadLostError(UploadGoneError):
    code, title = "upload_lost", "The proxy host does not have the upload any more"


# --- proxy hosts -----------------------------------------------------------------------------------------


class HostError(UnavailableError):
    code, title = "host_failed", "The proxy host failed"


class HostUnreachableError(HostError):
    code, title = "host_unreachable", "The proxy host does not answer"
    hint = "Check the address, the port, the firewall and that sshd runs on the host."


class HostConnectionLostError(HostError):
    code, title = "host_connection_lost", "The connection to the proxy host was lost"
    hint = "Nothing to do: what runs on the host goes on, and the service connects again."


class HostAuthenticationError(HostError):
    code, title = "host_authentication_failed", "The proxy host refused the user name or key"
    hint = "Check the user name and that the key is in the host's authorized_keys."


class HostKeyMismatchError(HostError):
    code, title = "host_key_mismatch", "The proxy host shows another host key than the one accepted"
    hint = "If the host was reinstalled, accept its new key with a PATCH of `host_key`; else beware."


class HostKeyUnverifiedError(HostError):
    code, title = "host_key_unverified", "The proxy host's key has not been accepted yet"
    hint = (
        "Compare `status.fingerprint` with the host's, then PATCH `host_key` with `status.offered_host_key`."
    )


class HostCommandError(HostError):
    code, title = "host_command_failed", "A command on the proxy host failed"


class HostBusyError(HostError):
    code, title = "host_busy", "The connection to the proxy host carries as much as it can"
    hint = "Send fewer files to this proxy host at the same time."


class HostDeadlineError(HostError):
    status, code, title = 504, "host_deadline", "The proxy host did not answer in time"


class SudoRefusedError(HostError):
    code, title = "sudo_refused", "The user may not become root on the proxy host"
    hint = "Allow `sudo -n` for the user, or set `sudo` to false and use root."


class PythonMissingError(HostError):
    code, title = "python_missing", "The proxy host has no Python 3.7 or newer"
    hint = "Install python3 on the proxy host."


class VirtV2vMissingError(HostError):
    code, title = "virt_v2v_missing", "The proxy host has no virt-v2v"
    hint = "Install virt-v2v on the proxy host, or set `virt_v2v_path`."


class VirtV2vTooOldError(HostError):
    code, title = "virt_v2v_too_old", "The proxy host's virt-v2v is too old"
    hint = "Install virt-v2v 1.38 or newer on the proxy host."


class WorkDirUnusableError(HostError):
    code, title = "work_dir_unusable", "The proxy host's work directory can't be used"
    hint = "It must be an absolute path of at most 40 bytes that the user can create and write."


class FencedError(AppError):
    """A newer turn has taken over; the older one must do nothing more."""

    status, code, title, is_shown = 409, "fenced", "A newer turn has taken over", False


# --- imports ---------------------------------------------------------------------------------------------


class ImportFailureError(AppError):
    """An import can't go on. In `POST /v1/imports/check` it is the answer, else it is on the import."""

    status, code, title = 422, "import_failed", "The import failed"
    goes_away: ClassVar[bool] = False
    """Whether it can go away by itself, so that another attempt is made without being asked for."""


class RecordUnreadableError(ImportFailureError):
    status, code, title = 409, "record_unreadable", "A saved record can't be read"
    hint = (
        "It is damaged, or a newer version of the program wrote it: update the program, or restore the row "
        "from a backup. What was made for it and can't be removed is among the orphans."
    )


class NoProxyHostError(ImportFailureError):
    code, title = "no_proxy_host", "No proxy host can take this import"
    hint = "The detail names each proxy host of the data center and why it can't."


class MissingAbilityError(ImportFailureError):
    code, title = "missing_ability", "The proxy host's virt-v2v lacks an ability that the import needs"
    hint = "Choose another proxy host or install a newer virt-v2v."


class SourceNotAllowedError(ImportFailureError):
    code, title = "source_not_allowed", "The path lies outside the proxy host's source_roots"
    hint = "Add a directory that holds it to `source_roots` of the proxy host."


class SourceNotFoundError(ImportFailureError):
    code, title = "source_not_found", "The source is not there"


class SourceUnreadableError(ImportFailureError):
    code, title = "source_unreadable", "The source can't be read"


class MountFailedError(ImportFailureError):
    code, title = "mount_failed", "The export or device that holds the source can't be mounted"
    hint = (
        "Try it on the proxy host as root: `mount -t nfs -o ro server:/export /mnt`. It needs nfs-common (or "
        "nfs-utils) there, and the server's leave."
    )


class InvalidSourceError(ImportFailureError):
    code, title = "invalid_source", "The source is not what its kind says"


class DiskMissingError(InvalidSourceError):
    code, title = "disk_missing", "A disk that the VM's description names is not there"
    hint = "Complete the source, or leave the disk out with `include: false`."


class SourceTruncatedError(InvalidSourceError):
    code, title = "source_truncated", "The source ends too early"
    hint = "It was probably not copied whole: compare its size with the original's."


class UnsafeArchiveError(InvalidSourceError):
    code, title = "unsafe_archive", "The archive holds what an OVA never does"
    hint = (
        "Links, devices, sparse members, names that come twice or lead outside are refused; "
        "export the VM anew, or pack its plain files with `tar`."
    )


class MalformedXmlError(InvalidSourceError):
    code, title = "malformed_xml", "The VM's description is no harmless, well-formed XML"


class UnsafeImageError(ImportFailureError):
    code, title = "unsafe_image", "A disk image refers to something outside its own directory"
    hint = "Flatten the image (`qemu-img convert`) and import the result."


class GuestUnreadableError(ImportFailureError):
    code, title = "guest_unreadable", "Nobody could look into the guest"
    hint = (
        "It needs guestfish (guestfs-tools, libguestfs-tools) on the proxy host, for vSphere "
        "virt-v2v-inspector; encrypted disks stay shut. "
        "The VM may be imported all the same."
    )


class NoRoomError(ImportFailureError):
    code, title = "no_room", "There is not enough free space"


class DomainUnusableError(ImportFailureError):
    code, title = "storage_domain_unusable", "The storage domain can't be used"


class ConcernsNotAcceptedError(ImportFailureError):
    code, title = "concerns_not_accepted", "The VM has critical concerns"
    hint = "Mend them, or name their codes in `accept_concerns`."


class ConversionFailedError(ImportFailureError):
    code, title = "conversion_failed", "virt-v2v failed"
    hint = "Read the import's log."


class ConversionLostError(ImportFailureError):
    code, title = "conversion_lost", "virt-v2v ended without a trace"
    hint = (
        "The proxy host was probably restarted, or the process was killed. The service has tried again as "
        "often as it is set to; retry the import when the host is well."
    )
    goes_away = True


class StalledError(ImportFailureError):
    code, title = "stalled", "virt-v2v stood still for too long"
    hint = (
        "Look at the network and the storage of source and storage domain, then retry. The limit is "
        "`conversion.stall_limit_seconds`, or `V2V_IMPORT_STALL_LIMIT_SECONDS`."
    )


class TimeLimitError(ImportFailureError):
    code, title = "time_limit_exceeded", "virt-v2v ran longer than it may"
    hint = (
        "Retry with a longer `conversion.time_limit_seconds`, or with none: then it may take what it takes."
    )


class OutputInvalidError(ImportFailureError):
    code, title = "output_invalid", "virt-v2v reported success, but its output is not right"


# --- providers -------------------------------------------------------------------------------------------


class ProviderError(ImportFailureError):
    """A provider refused or failed us; asked for over HTTP it is the answer, else it is on the import."""

    status, code, title = 503, "provider_failed", "The provider failed"
    offered_thumbprint: str | None = None
    """Of the certificate that it showed."""


class ProviderUnreachableError(ProviderError):
    code, title = "provider_unreachable", "The provider does not answer"
    hint = "Check the URL and the network; `proxy_host_id` names the host that it is reached through."
    goes_away = True


class ProviderTimeoutError(ProviderError):
    status, code, title = 504, "provider_timeout", "The provider did not answer in time"
    goes_away = True


class ProviderBusyError(ProviderError):
    code, title = "provider_busy", "Too many providers are being asked at the same time"
    hint = "Ask again in a moment."
    goes_away = True


class ProviderReaderError(ProviderError):
    code, title = "provider_reader_failed", "The program that asks the provider failed"
    hint = "The service's log has what it said; `pyvmomi` and `libvirt-python` must be installed."


class ProviderRefusedError(ProviderError):
    """It goes away only when somebody changes something."""

    status, code, title = 422, "provider_refused", "The provider refused the request"


class ProviderAuthenticationError(ProviderRefusedError):
    code, title = "provider_authentication_failed", "The provider refused the user name or password"
    hint = "Send the right ones with a PATCH. The service doesn't try again by itself: accounts get locked."


class ProviderPermissionError(ProviderRefusedError):
    code, title = "provider_permission_denied", "The provider's user may not do this"
    hint = "Give the user the rights that docs/operators.md lists."


class ProviderCertificateError(ProviderRefusedError):
    code, title = "provider_certificate_untrusted", "The provider's certificate can't be verified"
    hint = "Give its CA in `tls.ca_pem`; or compare `status.offered_thumbprint`, then set `tls.thumbprint`."


class ProviderThumbprintError(ProviderRefusedError):
    code, title = (
        "provider_certificate_mismatch",
        "The provider shows another certificate than the pinned one",
    )
    hint = "If its certificate was renewed, set `tls.thumbprint` to the new one; else beware."


class ProviderKeyUnverifiedError(ProviderRefusedError):
    code, title = "provider_host_key_unverified", "The provider's SSH host key has not been accepted yet"
    hint = "Compare `status.fingerprint` with the host's, then PATCH `ssh.host_key`, and the secrets with it."


class ProviderKeyMismatchError(ProviderRefusedError):
    code, title = (
        "provider_host_key_mismatch",
        "The provider shows another SSH host key than the accepted one",
    )
    hint = "If the host was reinstalled, accept its new key with a PATCH of `ssh.host_key`; else beware."


class TlsPinUnsupportedError(ProviderRefusedError):
    code, title = "tls_pin_unsupported", "The pinned certificate can't be verified on this way"
    hint = "Give the CA in `tls.ca_pem`, use another proxy host, or say `tls.verify: false` if you must."


class VmVanishedError(ImportFailureError):
    code, title = "source_vm_not_found", "The provider has no such VM"
    hint = "It was removed, or the user may not see it: refresh the provider's inventory."
