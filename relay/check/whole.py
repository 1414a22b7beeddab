"""All checks together, within a bound of time.

In: what is to be looked at. Out: the report.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

from relay.check.findings import UNREACHABLE, Report


class Ask(NamedTuple):
    """Something that the service needs: how it is looked at."""

    name: str
    subject: str
    run: Callable[[Report], Awaitable[None]]


async def check_all(asks: Sequence[Ask], *, seconds_max: float) -> Report:
    """All side by side; their findings come in this order."""
    reports = [Report() for _ in asks]
    await asyncio.gather(*(_bounded(ask, report, seconds_max) for ask, report in zip(asks, reports, strict=True)))
    whole = Report()
    whole.findings = [finding for report in reports for finding in report.findings]
    return whole


async def _bounded(ask: Ask, report: Report, seconds_max: float) -> None:
    try:
        async with asyncio.timeout(seconds_max):
            await ask.run(report)
    except TimeoutError:
        report.fail(f"{ask.name}.time", ask.subject, f"not finished within {seconds_max:g} s", "raise --timeout", UNREACHABLE)
