"""One session that gets nowhere, and all the others: what they have delivered is never delivered again, however far they run ahead."""

import os
from collections.abc import Callable

import pytest
from system.rig import Rig
from system.stories import get_stuck

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(180)]

EVENTS = int(os.environ.get("SYSTEM_STUCK_EVENTS", "3000"))


def test_the_others_are_not_repeated(new_rig: Callable[..., Rig], tell: Callable[[str], None]) -> None:
    """With one session stuck, a restart repeats none of the events that others have finished, and a crash after a moment's rest neither."""
    figures = get_stuck(new_rig(partitions=2), events=EVENTS, tell=tell)
    tell(figures.in_words())
    figures.assert_repeated_nothing()
