"""Why an event was set aside, dropped or skipped: closed lists, shared by dead letters, metrics, logs, pages and commands."""

from enum import StrEnum


class Reason(StrEnum):
    """The value of the header `relay.reason`. Adding one is a change of the outside; renaming one breaks replays."""

    # The record itself, found before it reached a lane.
    EMPTY_VALUE = "empty_value"  # a null or zero-length value
    RECORD_TOO_LARGE = "record_too_large"  # more bytes than the limit for one record
    INVALID_KEY = "invalid_key"  # not UTF-8, too long, or missing where the value has no sessionKey either
    NOT_JSON = "not_json"  # the value cannot be parsed
    NOT_DECODABLE = "not_decodable"  # key or value is not what its format or its schema says
    UNKNOWN_SCHEMA = "unknown_schema"  # the registry has no schema of this id
    UNUSABLE_SCHEMA = "unusable_schema"  # it has one, of another kind or beyond what is read safely
    INVALID_EVENT = "invalid_event"  # parsed, but a field is missing, unknown or of another type
    UNKNOWN_EVENT_TYPE = "unknown_event_type"
    UNTRANSLATABLE = "untranslatable"  # valid, but has no place in the dialect that goes out

    # The session that the event belongs to.
    NO_SESSION_START = "no_session_start"  # unknown session, and not enough known to open it
    SESSION_REFUSED = "session_refused"  # the API refused the opening of its session
    AFTER_END = "after_end"  # came after sessionEnd, or after sessionComplete and is no sessionEnd
    LOST_TOO_OFTEN = "lost_too_often"  # each of the sessions opened for it was gone again
    PARKED = "parked"  # its session failed for long and held up others, which the API served; to be replayed in order

    # What the API answered to the event itself.
    REJECTED = "rejected"  # 400, 413, 415, 422: the same body would fail again
    ATTEMPTS_EXHAUSTED = "attempts_exhausted"  # 500 each time, while the API served others
    TOO_OLD = "too_old"  # still failing when it was older than the limit, or not to be sent at that age


class Dropped(StrEnum):
    """Why an event was dropped: by a setting that is off by default, or because it says nothing new."""

    TOO_OLD = "too_old"  # older than its kind may be when its turn came
    UNCHANGED = "unchanged"  # a state of the player that says what was known
    SHED = "shed"  # a ping that another one supersedes, under an overload that lasted


class Skipped(StrEnum):
    """Why a record was not handled: it is finished already."""

    FINISHED_BEFORE = "finished_before"  # before a restart
    READ_AGAIN = "read_again"  # Kafka handed the same record over once more
    REPEATED = "repeated"  # its producer said the same a moment before, and RELAY_INPUT__ORDER drops that
