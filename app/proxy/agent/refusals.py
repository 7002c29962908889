"""What the service is told instead of a result; each code is one of the service's problem codes."""

from __future__ import annotations

import errno

NO_ROOM = {errno.ENOSPC, errno.EDQUOT}


class RefusedError(Exception):
    """An expected failure: `code` for the service, a sentence for people."""

    code = "host_command_failed"


class DomainUnusableError(RefusedError):
    code = "storage_domain_unusable"


class FencedError(RefusedError):
    code = "fenced"


class InvalidSourceError(RefusedError):
    code = "invalid_source"


class DiskMissingError(InvalidSourceError):
    code = "disk_missing"


class SourceTruncatedError(InvalidSourceError):
    code = "source_truncated"


class UnsafeArchiveError(InvalidSourceError):
    code = "unsafe_archive"


class MountFailedError(RefusedError):
    code = "mount_failed"


class NoRoomError(RefusedError):
    code = "no_room"


class ProviderAuthenticationError(RefusedError):
    code = "provider_authentication_failed"


class ProviderKeyMismatchError(RefusedError):
    code = "provider_host_key_mismatch"


class ProviderRefusedError(RefusedError):
    code = "provider_refused"


class ProviderTimeoutError(RefusedError):
    code = "provider_timeout"


class ProviderUnreachableError(RefusedError):
    code = "provider_unreachable"


class SourceNotAllowedError(RefusedError):
    code = "source_not_allowed"


class SourceNotFoundError(RefusedError):
    code = "source_not_found"


class SourceUnreadableError(RefusedError):
    code = "source_unreadable"


class UnsafeImageError(RefusedError):
    code = "unsafe_image"


class UploadLostError(RefusedError):
    code = "upload_lost"


class UploadLockedError(RefusedError):
    code = "upload_locked"


class UploadOffsetError(RefusedError):
    code = "upload_offset_mismatch"


class UploadTooLongError(RefusedError):
    code = "upload_too_long"


class UploadChecksumError(RefusedError):
    code = "upload_checksum_mismatch"


class VirtV2vMissingError(RefusedError):
    code = "virt_v2v_missing"


class WorkDirUnusableError(RefusedError):
    code = "work_dir_unusable"


def of_system(error: OSError, kind: type[RefusedError], what: str) -> RefusedError:
    """The system's error as a refusal of this kind; a full disk is always the same one."""
    if error.errno in NO_ROOM:
        return NoRoomError(f"{what}: there is no room.")
    return kind(f"{what}: {error}.")
