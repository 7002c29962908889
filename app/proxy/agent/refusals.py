"""What the service is told instead of a result; each code is one of the service's problem codes."""


class RefusedError(Exception):
    """An expected failure: `code` for the service, a sentence for people."""

    code = "host_command_failed"


class DomainUnusableError(RefusedError):
    code = "storage_domain_unusable"


class FencedError(RefusedError):
    code = "fenced"


class InvalidSourceError(RefusedError):
    code = "invalid_source"


class NoRoomError(RefusedError):
    code = "no_room"


class SourceNotAllowedError(RefusedError):
    code = "source_not_allowed"


class SourceNotFoundError(RefusedError):
    code = "source_not_found"


class SourceUnreadableError(RefusedError):
    code = "source_unreadable"


class UnsafeImageError(RefusedError):
    code = "unsafe_image"


class VirtV2vMissingError(RefusedError):
    code = "virt_v2v_missing"


class WorkDirUnusableError(RefusedError):
    code = "work_dir_unusable"
