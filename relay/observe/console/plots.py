"""Small plots as inline SVG: no script draws them, no style is written into them, and a sentence says the same to those who do not see.

In: one or two rows of figures. Out: markup. The scale begins at zero.
"""

from collections.abc import Sequence
from typing import Final

from relay.observe.console.html import Markup, element

WIDTH: Final = 240
HEIGHT: Final = 44
_TOP: Final = 2  # room for the line's own width

svg, path, title, rect = element("svg"), element("path"), element("title"), element("rect")


def plot(values: Sequence[float], *, says: str, second: Sequence[float] = ()) -> Markup:
    """An area with a line over it, and perhaps a second line."""
    top = max([*values, *second], default=0.0) or 1.0
    line = _line(values, top)
    area = f"{line}V{HEIGHT}H0Z" if line else ""
    return svg(
        title(says),
        path(class_="area", d=area) if area else None,
        path(class_="line", d=line, vector_effect="non-scaling-stroke") if line else None,
        path(class_="line second", d=_line(second, top), vector_effect="non-scaling-stroke") if second else None,
        class_="plot",
        viewBox=f"0 0 {WIDTH} {HEIGHT}",
        preserveAspectRatio="none",
        role="img",
        aria_label=says,
    )


def bar(share: float) -> Markup:
    """A share of the whole; the figure stands beside it, so it says nothing aloud."""
    return svg(
        rect(class_="track", width=100, height=4),
        rect(class_="fill", width=f"{min(1.0, max(0.0, share)) * 100:.1f}", height=4),
        class_="bar",
        viewBox="0 0 100 4",
        preserveAspectRatio="none",
        aria_hidden="true",
    )


def _line(values: Sequence[float], top: float) -> str:
    if not values:
        return ""
    if len(values) == 1:
        values = [values[0], values[0]]
    step = WIDTH / (len(values) - 1)
    points = [f"{index * step:.1f} {HEIGHT - value / top * (HEIGHT - _TOP):.1f}" for index, value in enumerate(values)]
    return "M" + "L".join(points)
