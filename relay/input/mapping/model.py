"""What a mapping file may say: the shape of the file, with a description of each member.

In: what a YAML file holds. Out: a `Mapping`, or pydantic's account of what is wrong. The JSON Schema for editors and the reference of the
language are made from here.
"""

# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false, reportUnknownMemberType=false
# What JSON and YAML hold has no type, and a look at it gives it half of one.

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints


def _as_list(given: object) -> object:
    return given if isinstance(given, list) else [given]


Expression = Annotated[str, StringConstraints(min_length=1), Field(description="A JMESPath expression, read against the raw event.")]
Expressions = Annotated[
    list[Expression],
    Field(min_length=1),
    BeforeValidator(_as_list, json_schema_input_type=str | list[str]),
]
Reason = Annotated[
    str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,39}$"), Field(description="A word in small letters; it becomes a label of a metric.")
]
Unit: TypeAlias = Literal["seconds", "milliseconds", "microseconds", "nanoseconds", "minutes"]
TimeFormat: TypeAlias = Literal["iso8601", "unix_seconds", "unix_milliseconds", "unix_microseconds", "unix_nanoseconds"]
Scalar: TypeAlias = str | int | float | bool


class Part(BaseModel):
    """What all parts have in common: nothing unknown is taken."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class From(Part):
    """A value with more to say than where it stands."""

    from_: Expressions | None = Field(
        default=None, alias="from", description="Where the value is. Of several, the first that is there counts."
    )
    template: str | None = Field(
        default=None,
        description="Text with JMESPath expressions in braces: `S{season}E{episode}`. A brace is written twice. When one of them is not"
        " there, neither is the text.",
    )
    constant: Scalar | None = Field(default=None, description="Always this.")
    unit: Unit | None = Field(
        default=None,
        description="What a duration or place is measured in. It is turned into seconds; `media.qoe.timeToStart` into milliseconds.",
    )
    times: float | None = Field(default=None, description="A number that the value is multiplied by.")
    values: dict[str, Scalar] | None = Field(
        default=None, description="An enumeration: the value that comes in → the one that goes out. `*` stands for any other."
    )
    default: Scalar | None = Field(default=None, description="What counts when there is no value, or it is null.")
    required: bool = Field(default=False, description="Without it the record is set aside, and the dead letter says what is missing.")


def _as_value(given: object) -> object:
    if isinstance(given, str):
        return {"from": given}
    return {"constant": given} if isinstance(given, int | float) else given


Value = Annotated[
    From,
    BeforeValidator(_as_value, json_schema_input_type=str | int | float | bool | From),
    Field(
        description="A JMESPath expression; a number or a boolean, which stands for itself; or an object with `from`, `template` or"
        " `constant`."
    ),
]
Values: TypeAlias = dict[str, Value]


class Time(Part):
    """Where the player's clock is, and how it is written."""

    from_: Expressions = Field(alias="from", description="Where the time is. Of several, the first that is there counts.")
    format: TimeFormat = Field(default="unix_milliseconds", description="How it is written.")
    default: Literal["record"] | None = Field(default=None, description="`record`: the time of the Kafka record, when there is none.")


class Copy(Part):
    """Custom metadata by pattern: members of an object, or a list of names and values, taken over as they are."""

    from_: Expression = Field(alias="from", description="Where the object is, or a list of objects with `name` and `value`.")
    matching: str = Field(default=".*", description="A regular expression that the whole name must match.")
    prefix: str = Field(default="", description="What is put before each name.")


class Said(Part):
    """What an event carries."""

    params: Values = Field(default={}, description="By the name of the param, where its value is.")
    qoe: Values = Field(default={}, description="Quality data, likewise.")
    metadata: Values = Field(default={}, description="Custom metadata, likewise; written as text.")
    copy_metadata: list[Copy] = Field(default=[], description="Custom metadata by pattern.")


class Start(Part):
    """What a sessionStart carries."""

    params: Values = Field(description="By the name of the param, where its value is.")
    metadata: Values = Field(default={}, description="Custom metadata, likewise; written as text.")
    copy_metadata: list[Copy] = Field(default=[], description="Custom metadata by pattern.")


SendType: TypeAlias = Literal[
    "sessionStart",
    "sessionComplete",
    "sessionEnd",
    "play",
    "ping",
    "pauseStart",
    "bufferStart",
    "bitrateChange",
    "error",
    "adBreakStart",
    "adBreakComplete",
    "adStart",
    "adComplete",
    "adSkip",
    "chapterStart",
    "chapterComplete",
    "chapterSkip",
    "stateStart",
    "stateEnd",
    "seekStart",
    "seekComplete",
    "bufferComplete",
    "tick",
]


class Send(Said):
    """One event that a raw event becomes."""

    type: SendType = Field(description="The event type. The last four are for player states only (`states`).")
    when: Expression | None = Field(default=None, description="Only when this is true.")
    each: Expression | None = Field(default=None, description="Once for each element of this list; the element is `item` in expressions.")
    playhead: Value | None = Field(default=None, description="Another playhead than that of the raw event.")


def _as_sends(given: object) -> object:
    return [{"type": one} if isinstance(one, str) else one for one in (given if isinstance(given, list) else [given])]


Sends = Annotated[
    list[Send], Field(min_length=1), BeforeValidator(_as_sends, json_schema_input_type=SendType | Send | list[SendType | Send])
]


class Rule(Part):
    """What becomes of a raw event."""

    when: Expression | None = Field(default=None, description="Only when this is true; else the next rule of the same event is asked.")
    send: Sends | None = Field(default=None, description="What it becomes: one event, or several in order.")
    drop: Reason | None = Field(default=None, description="It becomes nothing, and is counted under this reason.")
    refuse: str | None = Field(default=None, description="It is set aside, and the dead letter says this.")


Rules = Annotated[list[Rule], Field(min_length=1), BeforeValidator(_as_list, json_schema_input_type=Rule | list[Rule])]


class States(Part):
    """Player states to API events, as Adobe's own clients do it: only changes are sent."""

    ping_seconds: float | None = Field(
        default=10, ge=1, le=3600, description="A ping after so much event time without a change of playback; null: none is derived."
    )
    silence_seconds: float | None = Field(
        default=None,
        ge=10,
        le=86400,
        description="After so much event time without a raw event the session counts as ended where it was last seen.",
    )
    end_on_new_media: bool = Field(
        default=False, description="An event whose `start` has another `media.id` ends the session and begins another."
    )


class Mapping(Part):
    """A mapping file."""

    version: Literal[1] = Field(description="The version of this language.")
    description: str = Field(default="", description="For people.")
    session: Value | None = Field(default=None, description="The player session. Without it the record's key counts.")
    each: Expression | None = Field(
        default=None, description="A list in the raw event, each element of which is a raw event by itself. All are of one player session."
    )
    event: Value = Field(description="The name of the raw event, by which its rules are found.")
    time: Time = Field(description="The player's clock.")
    playhead: Value = Field(description="The playhead, in seconds.")
    qoe: Values = Field(default={}, description="Quality data of every event.")
    start: Start | None = Field(
        default=None,
        description="What a sessionStart carries. Every event brings it along, so that the first one of an unknown session opens it.",
    )
    carries: dict[SendType, Said] = Field(default={}, description="What events of a type carry, wherever they are sent.")
    events: dict[str, Rules] = Field(
        min_length=1,
        description="By the name of the raw event, what becomes of it: the first rule whose `when` is true. `*` is any other name.",
    )
    states: States | None = Field(default=None, description="Raw events are states of the player, and API events are derived from them.")


def json_schema() -> dict[str, Any]:
    """The JSON Schema of the file, for editors."""
    schema = Mapping.model_json_schema(by_alias=True)
    schema.pop("title")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "relay mapping", **schema}
