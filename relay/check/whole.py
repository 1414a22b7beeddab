"""All checks together, within a bound of time.

In: what is to be looked at. Out: the report.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple
from urllib.parse import urlsplit

from relay.api.dialect import Dialect
from relay.check.api import ApiChecks, Reach
from relay.check.findings import UNREACHABLE, Report
from relay.check.kafka import KafkaChecks, Wanted


class Ask(NamedTuple):
    """One more thing that the service needs: how it is looked at."""

    name: str
    subject: str
    run: Callable[[Report], Awaitable[None]]


async def check_all(wanted: Wanted, reach: Reach, dialect: Dialect, *, seconds_max: float, others: Sequence[Ask] = ()) -> Report:
    """Kafka, the API and whatever else side by side; Kafka's findings come first."""
    kafka, api = Report(), Report()
    more = [Report() for _ in others]
    await asyncio.gather(
        _bounded(KafkaChecks(wanted, kafka).run(), kafka, "kafka", wanted.bootstrap_servers, seconds_max),
        _bounded(ApiChecks(reach, dialect, api).run(), api, "api", f"{urlsplit(reach.url).netloc}", seconds_max),
        *(_bounded(one.run(report), report, one.name, one.subject, seconds_max) for one, report in zip(others, more, strict=True)),
    )
    whole = Report()
    whole.findings = [finding for report in (kafka, *more, api) for finding in report.findings]
    return whole


async def _bounded(checks: Awaitable[None], report: Report, name: str, subject: str, seconds_max: float) -> None:
    try:
        async with asyncio.timeout(seconds_max):
            await checks
    except TimeoutError:
        report.fail(f"{name}.time", subject, f"not finished within {seconds_max:g} s", "raise --timeout", UNREACHABLE)
