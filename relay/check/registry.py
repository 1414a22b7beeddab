"""Whether the schema registry would serve.

In: the registry, as the service asks it. Out: a finding. A schema is asked for that may well not exist: to be told so is an answer as well.
"""

import asyncio
from typing import Final

from relay.check.findings import SETTINGS, UNREACHABLE, Report
from relay.input.framing import SchemaId
from relay.input.registry import FetchesSchemas, NoSuchSchema, NotNow

ANY_SCHEMA: Final[SchemaId] = 1
_CHECK: Final = "registry.schemas"


async def check_registry(registry: FetchesSchemas, url: str, report: Report) -> None:
    """Ask it for a schema. The client blocks, so it has a thread."""
    try:
        await asyncio.to_thread(registry.fetch, ANY_SCHEMA)
    except NoSuchSchema:
        report.ok(_CHECK, url, f"it answers; it has no schema {ANY_SCHEMA}")
    except NotNow as problem:
        advice = problem.advice or "check RELAY_INPUT__SCHEMA_REGISTRY__URL, its certificate, and the way there"
        report.fail(_CHECK, url, f"no answer: {problem.cause}", advice, SETTINGS if problem.advice else UNREACHABLE)
    else:
        report.ok(_CHECK, url, f"it answers; it has a schema {ANY_SCHEMA}")
    finally:
        registry.close()
