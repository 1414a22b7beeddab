"""Moments as people and programs write them: in UTC.

In: milliseconds, as records and headers say them. Out: text; what lies beyond any calendar is shown as the number that it is.
"""

from datetime import UTC, datetime


def written(milliseconds: int, *, to_the: str = "milliseconds") -> str:
    """A moment, to the millisecond or to the second. A producer that mistakes the unit writes times that no calendar has."""
    try:
        return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec=to_the).replace("+00:00", "Z")
    except (OverflowError, ValueError, OSError):
        return f"{milliseconds} ms"
