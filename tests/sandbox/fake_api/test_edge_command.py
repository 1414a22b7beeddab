"""`relay fake-api` knows the datastreams that it is told of."""

import argparse
import asyncio
import json
import os
import signal
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from relay.sandbox.fake_api import command

Until = Callable[[Callable[[], bool]], Awaitable[None]]


@pytest.mark.parametrize(("arguments", "statuses"), [([], [200, 200]), (["--datastream", "one", "--datastream", "two"], [200, 400])])
def test_only_named_datastreams_are_known(
    capsys: pytest.CaptureFixture[str], until: Until, edge_body: Callable[..., dict[str, Any]], arguments: list[str], statuses: list[int]
) -> None:
    """Without any on the command line, all are."""
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)

    async def scene() -> list[int]:
        running = asyncio.create_task(command.run(parser.parse_args(["--port", "0", "--json", *arguments])))
        printed: list[str] = []

        def has_printed() -> bool:
            printed.append(capsys.readouterr().out)
            return "\n" in "".join(printed)

        await until(has_printed)
        start = f"{json.loads(''.join(printed))['url']}/ee/va/v1/sessionStart"
        async with httpx.AsyncClient(trust_env=False) as http:
            answers = [await http.post(start, params={"configId": name}, json=edge_body("sessionStart")) for name in ("two", "three")]
        os.kill(os.getpid(), signal.SIGTERM)
        async with asyncio.timeout(5):
            assert await running == 0
        return [answer.status_code for answer in answers]

    assert asyncio.run(scene()) == statuses
