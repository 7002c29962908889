"""States and the moves between them that are allowed."""

from enum import StrEnum


class ImportState(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    CANCELLING = "cancelling"
    CANCELLED = "cancelled"
    FAILED = "failed"
    SUCCEEDED = "succeeded"


ENDED = frozenset({ImportState.CANCELLED, ImportState.FAILED, ImportState.SUCCEEDED})
LIVE = frozenset(ImportState) - ENDED

MOVES: dict[ImportState, frozenset[ImportState]] = {
    ImportState.QUEUED: frozenset(
        {ImportState.RUNNING, ImportState.CANCELLING, ImportState.CANCELLED, ImportState.FAILED}
    ),
    ImportState.RUNNING: frozenset(
        # Back to the queue only while nothing was made: the chosen host doesn't hold the source.
        {ImportState.QUEUED, ImportState.CANCELLING, ImportState.FAILED, ImportState.SUCCEEDED}
    ),
    ImportState.CANCELLING: frozenset({ImportState.CANCELLED}),
    ImportState.CANCELLED: frozenset({ImportState.QUEUED}),
    ImportState.FAILED: frozenset({ImportState.QUEUED}),
    ImportState.SUCCEEDED: frozenset(),
}


class StepName(StrEnum):
    """The steps of an import, in order; the number is the feature page's."""

    CHOOSE_PROXY_HOST = "choose_proxy_host"
    READ_CONFIG = "read_config"
    PREPARE_HOST = "prepare_host"
    RESERVE_TARGET = "reserve_target"
    CONVERT_DISKS = "convert_disks"
    VERIFY_OUTPUT = "verify_output"
    UPDATE_TARGET = "update_target"
    RELEASE_TARGET = "release_target"


PAGE_NUMBER: dict[StepName, int] = {
    StepName.CHOOSE_PROXY_HOST: 3,
    StepName.READ_CONFIG: 5,
    StepName.PREPARE_HOST: 6,
    StepName.RESERVE_TARGET: 7,
    StepName.CONVERT_DISKS: 8,
    StepName.VERIFY_OUTPUT: 8,
    StepName.UPDATE_TARGET: 9,
    StepName.RELEASE_TARGET: 10,
}


class Role(StrEnum):
    """What a token may do; each role may also do what those before it may."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"
