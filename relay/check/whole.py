"""All checks together, within a bound of time.

In: what is to be looked at. Out: the report.
"""

import asyncio
from collections.abc import Awaitable
from urllib.parse import urlsplit

from relay.api.dialect import Dialect
from relay.check.api import ApiChecks, Reach
from relay.check.findings import UNREACHABLE, Report
from relay.check.kafka import KafkaChecks, Wanted


async def check_all(wanted: Wanted, reach: Reach, dialect: Dialect, *, seconds_max: float) -> Report:
    """Kafka and the API side by side; Kafka's findings come first."""
    kafka, api = Report(), Report()
    await asyncio.gather(
        _bounded(KafkaChecks(wanted, kafka).run(), kafka, "kafka", wanted.bootstrap_servers, seconds_max),
        _bounded(ApiChecks(reach, dialect, api).run(), api, "api", f"{urlsplit(reach.url).netloc}", seconds_max),
    )
    whole = Report()
    whole.findings = [*kafka.findings, *api.findings]
    return whole


async def _bounded(checks: Awaitable[None], report: Report, name: str, subject: str, seconds_max: float) -> None:
    try:
        async with asyncio.timeout(seconds_max):
            await checks
    except TimeoutError:
        report.fail(f"{name}.time", subject, f"not finished within {seconds_max:g} s", "raise --timeout", UNREACHABLE)
