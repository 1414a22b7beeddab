"""How simulated players behave: a frozen set of numbers, each with its bounds, from a YAML or JSON file or the defaults.

In: a file that a user wrote. Out: a `Shape`, or `InvalidShape` with one line that names the field and what was expected.
"""

from pathlib import Path
from typing import Annotated, Final, Self

import msgspec
import yaml

from relay.errors import SettingsError

SHAPE_FILE_BYTES_MAX: Final = 1_000_000  # a shape has some thirty numbers; whatever is larger is another file

Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
PerHour = Annotated[float, msgspec.Meta(ge=0, le=3600)]
Seconds = Annotated[float, msgspec.Meta(ge=1, le=86_400)]
SecondsOrNone = Annotated[float, msgspec.Meta(ge=0, le=86_400)]  # 0 stands for none


class InvalidShape(SettingsError):  # noqa: N818  # it names what was found
    """The shape cannot be used. The message says which field, and what was expected there."""


class Shape(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The habits of a crowd. Shares are 0 to 1, rates are per hour of watching, lengths are seconds."""

    # What is watched, and how often the player reports.
    content_seconds_min: Seconds = 120
    content_seconds_max: Seconds = 1800
    ping_seconds: Annotated[float, msgspec.Meta(ge=1, le=60)] = 10
    ad_ping_seconds: Annotated[float, msgspec.Meta(ge=1, le=60)] = 10

    # Ads: a break before the content, and one each time that so much of the content has passed.
    preroll_share: Share = 0.7
    midroll_every_seconds: SecondsOrNone = 300
    break_ads_max: Annotated[int, msgspec.Meta(ge=1, le=20)] = 3
    ad_seconds_min: Seconds = 5
    ad_seconds_max: Seconds = 30
    ad_skip_share: Share = 0.2
    ad_pause_share: Share = 0.03

    # Chapters, which stand side by side and cover the content.
    chapter_share: Share = 0.6
    chapter_seconds: Seconds = 240

    # What happens on the way.
    pauses_per_hour: PerHour = 12
    pause_seconds_max: Seconds = 90
    buffers_per_hour: PerHour = 12
    buffer_seconds_max: Seconds = 8
    seeks_per_hour: PerHour = 12
    state_changes_per_hour: PerHour = 20
    bitrate_changes_per_hour: PerHour = 20
    errors_per_hour: PerHour = 4
    ping_quality_share: Share = 0.1

    # How it ends: before its end, without a word, or at the end, and then with or without a sessionEnd.
    early_end_share: Share = 0.2
    vanish_share: Share = 0.05
    end_after_complete_share: Share = 0.5

    # The simple player: exactly so many events (sessionStart, pings, sessionEnd) and nothing of the above. 0 turns it off.
    events_exactly: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 0
    # A session is cut off after so many events, as if its player had vanished.
    events_max: Annotated[int, msgspec.Meta(ge=2, le=1_000_000)] = 10_000

    # The crowd: sessions begin spread over this time.
    ramp_up_seconds: SecondsOrNone = 30

    # What tests the relay more than players do.
    start_object_share: Share = 0  # events that carry what their sessionStart said
    hostile_share: Annotated[float, msgspec.Meta(ge=0, le=0.9)] = 0  # records that are no events, besides the events
    oversize_bytes: Annotated[int, msgspec.Meta(ge=1_000, le=9_900_000)] = 5_000_000

    def __post_init__(self) -> None:
        """Refuse what each field allows and the whole does not. msgspec reports a ValueError with the path."""
        for name in ("content_seconds", "ad_seconds"):
            if getattr(self, f"{name}_min") > getattr(self, f"{name}_max"):
                raise ValueError(f"{name}_min is above {name}_max")
        if self.events_exactly == 1:
            raise ValueError("events_exactly is 0 or at least 2: a start and an end")
        if self.early_end_share + self.vanish_share > 1:
            raise ValueError("early_end_share and vanish_share together are above 1")

    def having(self, **changes: float) -> Self:
        """Return a shape with some fields changed and all of them checked: constructing one in Python checks no bounds."""
        return msgspec.convert(msgspec.to_builtins(self) | changes, type(self))


def load_shape(file: Path) -> Shape:
    """Read a shape. JSON is YAML too, so one reader serves both."""
    try:
        with file.open("rb") as opened:
            text = opened.read(SHAPE_FILE_BYTES_MAX + 1)
    except OSError as error:
        raise InvalidShape(f"cannot read the shape {file}: {error.strerror}") from error
    if len(text) > SHAPE_FILE_BYTES_MAX:
        raise InvalidShape(f"the shape {file} is larger than {SHAPE_FILE_BYTES_MAX} bytes")
    try:
        fields: object = yaml.safe_load(text)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        where = f" in line {mark.line + 1}" if isinstance(error, yaml.MarkedYAMLError) and (mark := error.problem_mark) else ""
        raise InvalidShape(f"the shape {file} is neither YAML nor JSON{where}") from error
    try:
        return msgspec.convert({} if fields is None else fields, Shape)
    except msgspec.ValidationError as error:
        raise InvalidShape(f"the shape {file} is invalid: {error}") from error
