"""The golden translations as a page: a script.

    python tests/api/edge/golden_page.py > docs/golden-translations.md

In: `golden.json` beside it. Out: Markdown. A test compares the page with what this prints.
"""

import json
import sys
from pathlib import Path
from typing import Any, Final

WIDTH: Final = 118
HEAD: Final = """# Golden translations

<!-- printed by `python tests/api/edge/golden_page.py > docs/golden-translations.md`; tests hold both dialects to the same table -->

What a player says, and the exact request that it becomes in each dialect: `RELAY_API__DIALECT=media-collection` and `media-edge`. The Edge
requests name the datastream `0a1b2c3d:dev`, and all events belong to one API session.

- The classic dialect passes on what the player said, byte for byte.
- The Edge dialect gives each key its place and leaves its value alone, except that the Edge takes whole numbers for playhead, lengths,
  offsets, positions and quality data: there the fraction is cut off.
- `analytics.*` and `visitor.marketingCloudOrgId` are left out on the Edge: the datastream knows them. Any other key without a place there,
  `visitor.aamLocationHint` and `appInstallationId` among them, sets the event aside: reason `untranslatable`, with the path of the key.
  `RELAY_API__EDGE_DROPPED_PARAMS` names params to leave out instead.
- What is missing or of the wrong type goes out as it is: the API says so, with all its reasons, and they stand in the dead letter.
- Units of bitrate and time to start are the player's in both dialects.
- Some starts leave out `analytics.*` and `visitor.marketingCloudOrgId` for brevity; the classic API requires them.
"""


def rows() -> list[dict[str, Any]]:
    """The table."""
    return json.loads(Path(__file__).with_name("golden.json").read_text("utf-8"))  # type: ignore[no-any-return]


def page() -> str:
    """The whole page."""
    parts = [HEAD]
    chapter = ""
    for row in rows():
        if row["chapter"] != chapter:
            chapter = row["chapter"]
            parts.append(f"## {chapter}\n")
        parts.append(_section(row))
    return "\n".join(parts)


def _section(row: dict[str, Any]) -> str:
    edge = row["edge"]
    parts = [f"### {row['says']}\n", f"```json\n{pretty(row['native'])}\n```\n", _request("Classic", row["classic"])]
    if "set_aside" in edge:
        parts.append(f"Edge: set aside, `untranslatable`:\n\n```text\n{edge['set_aside']}\n```\n")
    else:
        parts.append(_request("Edge", edge))
    if "refused_because" in row:
        parts.append(f"The Edge refuses that: {row['refused_because']}.\n")
    return "\n".join(parts)


def _request(name: str, request: dict[str, Any]) -> str:
    return f"{name}: `POST {request['path']}`\n\n```json\n{pretty(request['body'])}\n```\n"


def pretty(value: object, indent: int = 0) -> str:
    """JSON, an object or array on one line where it fits."""
    line = json.dumps(value, ensure_ascii=False)
    if len(line) + indent <= WIDTH or not isinstance(value, dict | list) or not value:
        return line
    inner = indent if len(value) == 1 else indent + 2
    if isinstance(value, dict):
        inside = [f"{json.dumps(key, ensure_ascii=False)}: {pretty(member, inner)}" for key, member in value.items()]
    else:
        inside = [pretty(item, inner) for item in value]
    opening, closing = ("{", "}") if isinstance(value, dict) else ("[", "]")
    if len(value) == 1:  # `{"events": [{"xdm": {` need not be a staircase
        return f"{opening}{inside[0]}{closing}"
    pad = "\n" + " " * inner
    return f"{opening}{pad}{(',' + pad).join(inside)}\n{' ' * indent}{closing}"


if __name__ == "__main__":
    sys.stdout.write(page())
