"""What the commands on dead letters print, and that they show nobody's words unasked."""

import asyncio
import base64
import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Capture = pytest.CaptureFixture[str]
DOCUMENT = Path(__file__).parents[2] / "docs" / "dead-letters.md"


def commands_in_the_document() -> list[list[str]]:
    """Each line of the document that somebody could type."""
    blocks: list[str] = re.findall(r"```sh\n(.*?)```", DOCUMENT.read_text("utf-8"), re.DOTALL)
    return [shlex.split(line)[2:] for block in blocks for line in block.splitlines() if line.startswith("relay dead-letters")]


def test_every_command_of_the_document_works(
    stage: Callable[..., Any], capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In their order, as they stand there. To delete takes a real Kafka, and a test of its own."""
    monkeypatch.chdir(tmp_path)

    async def story() -> None:
        async with stage(faults=["sessions:400:1"]) as it:
            for number in range(8):
                it.say(f"player-{number}", "sessionStart", "sessionEnd")
            await it.handle_everything(16)
            capsys.readouterr()
            for arguments in commands_in_the_document():
                if arguments == ["purge", "--yes"]:
                    continue
                assert await it.command(*arguments) == 0, arguments
                printed = capsys.readouterr().out
                assert printed, arguments
                if "--unmasked" not in arguments:
                    assert not re.search(r"player-\d", printed)

    asyncio.run(story())
    assert (tmp_path / "letters.jsonl").exists()


def test_a_letter_is_shown_masked_or_as_it_is(stage: Callable[..., Any], capsys: Capture) -> None:
    """Masked, names of members and the event's type and time are left; unmasked, everything is there."""

    async def story() -> tuple[Any, Any]:
        async with stage(faults=["sessions:400:1"]) as it:
            it.say("anna@example.org", "sessionStart", headers=[("trace", b"geheim")], params={"media.name": "geheim"})
            await it.handle_everything(1)
            assert await it.command("list", "--json") == 0
            letter = json.loads(capsys.readouterr().out)
            shapes = []
            for more in ((), ("--unmasked",)):
                assert await it.command("show", str(letter["partition"]), str(letter["offset"]), "--json", *more) == 0
                shapes.append(json.loads(capsys.readouterr().out))
            assert await it.command("show", "0", "999") == 1
            assert "there is no letter" in capsys.readouterr().err
            return shapes[0], shapes[1]

    masked, plain = asyncio.run(story())
    assert not re.search("anna|geheim|A title", json.dumps(masked))
    assert masked["value"]["eventType"] == "sessionStart"
    assert masked["value"]["playerTime"] == plain["value"]["playerTime"]
    assert masked["value"]["params"]["media.name"] == "********"
    assert (plain["key"], plain["session"], plain["headers"]) == ("anna@example.org", "anna@example.org", [["trace", "geheim"]])
    assert plain["value"]["params"]["media.name"] == "geheim"
    assert plain["detail"]


def test_the_list_is_chosen_from(stage: Callable[..., Any], capsys: Capture) -> None:
    """By reason, session, place and time; poison is listed as well, and names no session where it has none."""

    async def story() -> None:
        async with stage(faults=["sessions:400:1"]) as it:
            it.say("anna", "sessionStart", "play")
            it.say("ben", "sessionStart", "dance")
            await it.handle_everything(4)

            async def count(*arguments: str) -> int:
                capsys.readouterr()
                assert await it.command("list", "--json", *arguments) == 0
                return len(capsys.readouterr().out.splitlines())

            assert await count() == 4
            assert await count("--reason", "rejected") == 2
            assert await count("--reason", "session_refused", "--reason", "unknown_event_type") == 2
            assert await count("--session", "anna") == 2
            assert await count("--session", "anna", "--reason", "rejected") == 1
            assert await count("--limit", "3") == 3
            assert await count("--since", "1h") == 4
            assert await count("--until", "2020-01-01T00:00") == 0
            assert await count("--topic", "elsewhere") == 0
            assert sum([await count("--partition", str(number)) for number in range(4)]) == 4
            assert await count("--offset", "1-2") == 2
            assert await it.command("list", "--offset", "x") == 2
            assert await it.command("list", "--since", "yesterday") == 2

    asyncio.run(story())


def test_an_export_holds_everything(stage: Callable[..., Any], capsys: Capture, tmp_path: Path) -> None:
    """Key, value and headers come back byte for byte; a file that is there is not written over."""
    file = tmp_path / "letters.jsonl"

    async def story() -> None:
        async with stage(faults=["sessions:400:1"]) as it:
            it.say("anna", "sessionStart", headers=[("trace", b"\xff\x00")])
            it.say("ben", "sessionStart")
            await it.handle_everything(2)
            assert await it.command("purge", "--export", str(file), "--session", "anna", "--json") == 0
            shape = json.loads(capsys.readouterr().out.splitlines()[-1])
            assert (shape["deleted"], sum(one["exported"] for one in shape["partitions"])) == (False, 1)
            assert await it.command("purge", "--export", str(file)) == 1

    asyncio.run(story())
    (line,) = map(json.loads, file.read_text("utf-8").splitlines())
    assert base64.b64decode(line["key"]) == b"anna"
    assert json.loads(base64.b64decode(line["value"]))["eventType"] == "sessionStart"
    assert [(name, base64.b64decode(value)) for name, value in line["headers"]] == [("trace", b"\xff\x00")]
