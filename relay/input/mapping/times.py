"""The player's clock, however it is written → Unix milliseconds.

In: a value of a raw event. Out: an integer, or `Misfit`.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from relay.input.mapping.values import Misfit, as_number

_YEAR_2286: Final = 10_000_000_000_000  # in milliseconds: beyond it somebody has mistaken the unit


def from_iso8601(value: Any) -> int:
    """A time with an offset or `Z`; without either it is taken for UTC."""
    if type(value) is not str:
        raise Misfit("expected a time as text in ISO 8601")
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise Misfit("expected a time in ISO 8601, as 2024-01-31T10:00:00.000Z") from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    milliseconds = round(moment.timestamp() * 1000)
    if not 0 <= milliseconds < _YEAR_2286:
        raise Misfit("the time is out of bounds: it lies before 1970 or after 2286")
    return milliseconds


def _from_unix(per_millisecond: float, unit: str) -> Callable[[Any], int]:
    latest = _YEAR_2286 * per_millisecond

    def from_unix(value: Any) -> int:
        number = as_number(value)
        if not 0 <= number < latest:
            raise Misfit(f"the time is out of bounds; is it really in {unit}?")
        return round(number * 1000) if per_millisecond < 1 else int(number // per_millisecond)

    return from_unix


READ: Final[dict[str, Callable[[Any], int]]] = {
    "iso8601": from_iso8601,
    "unix_seconds": _from_unix(0.001, "seconds"),
    "unix_milliseconds": _from_unix(1, "milliseconds"),
    "unix_microseconds": _from_unix(1_000, "microseconds"),
    "unix_nanoseconds": _from_unix(1_000_000, "nanoseconds"),
}
