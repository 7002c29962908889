"""How long a turn that lost its host waits before it tries again."""

from app.jobs.trouble import _pause_seconds
from app.settings import Settings

BACK_IN_USE_SECONDS = 30.0


def test_the_first_tries_come_soon_and_later_ones_later() -> None:
    pauses = [_pause_seconds(troubles, 4.0) for troubles in (1, 2, 3, 4)]
    for pause, wanted in zip(pauses, (1, 2, 4, 8), strict=True):
        assert 0.75 * wanted <= pause <= 1.25 * wanted


def test_a_host_that_comes_back_is_used_again_in_time_however_long_it_was_away() -> None:
    for troubles in (5, 20, 10**6):
        assert _pause_seconds(troubles, Settings().host_retry_seconds) < BACK_IN_USE_SECONDS


def test_those_that_wait_together_do_not_come_back_together() -> None:
    assert len({_pause_seconds(3, 5.0) for _ in range(20)}) == 20
