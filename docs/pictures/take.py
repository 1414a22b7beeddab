"""Takes the pictures of the README from a real run: the demonstration, with faults, and Chromium that looks at its console.

    PYTHONPATH=. python docs/pictures/take.py [--seconds 200]

Needs Chromium (apt-get install chromium). Writes `console.png` and `session.png` beside this file.
"""

import argparse
import asyncio
import json
import shutil
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any, Final

from playwright.async_api import async_playwright

HERE: Final = Path(__file__).parent
PORT: Final = 18_099
URL: Final = f"http://127.0.0.1:{PORT}"
WIDTH: Final = 1_120
ROWS_MIN: Final = 14  # to fill the picture


def ask(path: str) -> Any:
    """What the console says as JSON."""
    with urllib.request.urlopen(URL + path, timeout=5) as answer:  # noqa: S310  # our own
        return json.load(answer)


def most_eventful() -> str:
    """The page of a session that is still open and went through most: lost, opened again, tried again."""

    def worth(line: dict[str, Any]) -> int:
        happened = {step["what"] for step in line["steps"]}
        is_open = line["session"] is not None and line["session"]["state"] == "ready"
        return len(happened) * is_open * (len(line["steps"]) >= ROWS_MIN)

    openings = ask("/api/openings?cause=lost")["openings"][:60]
    paths = [f"/sessions/{one['topic']}/{one['partition']}/{one['name']}" for one in openings]
    return max(paths, key=lambda path: worth(ask(f"/api{path}")))


async def take(seconds: float) -> None:
    """Let it run, look, and write."""
    command = [sys.executable, "-m", "relay", "demo", "--console-port", str(PORT), "--restarts", "0"]
    demo = await asyncio.create_subprocess_exec(
        *command, "--seconds", str(seconds + 30), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        await asyncio.sleep(seconds)
        async with async_playwright() as playwright:
            chromium = await playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            for name, path, scheme, height in (("console", "/", "light", 830), ("session", most_eventful(), "dark", 830)):
                page = await chromium.new_page(viewport={"width": WIDTH, "height": height}, color_scheme=scheme)
                await page.goto(URL + path)
                await page.screenshot(path=HERE / f"{name}.png")
            await chromium.close()
    finally:
        demo.terminate()
        await demo.wait()


def main() -> None:
    """Take them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=200.0, help="how long the demonstration runs before")
    asyncio.run(take(parser.parse_args().seconds))


if __name__ == "__main__":
    main()
