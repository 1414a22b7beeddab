"""The shapes of what is shown: each page is drawn from one of these, and `/api/…` answers the same as JSON.

Fields are added, never renamed: programs read them. Times are Unix seconds, durations are seconds. `docs/reference/console-api.md` is
printed from here.
"""

from typing import Annotated

import msgspec

Says = msgspec.Meta


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """What all have in common."""


class Count(Shape, frozen=True, kw_only=True):
    """How often, by name."""

    name: Annotated[str, Says(description="A word of a closed list.")]
    count: Annotated[int, Says(description="How often, since the relay started.")]


class Instance(Shape, frozen=True, kw_only=True):
    """Which relay this is."""

    version: Annotated[str, Says(description="Its version.")]
    name: Annotated[str, Says(description="The host or pod that it runs on.")]
    group: Annotated[str, Says(description="The consumer group.")]
    dialect: Annotated[str, Says(description="The API that is spoken.")]
    started_at: Annotated[float, Says(description="When it started.")]
    now: Annotated[float, Says(description="Its clock.")]
    is_ready: Annotated[bool, Says(description="What /readyz says.")]
    is_masked: Annotated[bool, Says(description="Whether keys, ids and details are left out; RELAY_ADMIN__UNMASKED.")]


class Standing(Shape, frozen=True, kw_only=True):
    """How it stands, in words."""

    level: Annotated[str, Says(description="`well`, `watch` or `trouble`.")]
    sentence: Annotated[str, Says(description="The one thing to know.")]
    advice: Annotated[list[str], Says(description="What to look at or to do.")]


class Circuit(Shape, frozen=True, kw_only=True):
    """Whether calls of one kind may go."""

    operation: Annotated[str, Says(description="`open` or `send`.")]
    state: Annotated[str, Says(description="`closed` (the API serves), `probing` (it fails) or `held` (it refuses us).")]
    advice: Annotated[str, Says(description="What to check, while held.")]
    in_flight: Annotated[int, Says(description="Requests of this kind under way.")]
    limit: Annotated[int, Says(description="How many may be now; it follows what the API bears, where RELAY_API__CONCURRENCY is so set.")]
    throttled: Annotated[int, Says(description="How often the API asked for less, since the start.")]


class Latency(Shape, frozen=True, kw_only=True):
    """How long at most half of them, and 99 of 100, took."""

    p50_seconds: Annotated[float, Says(description="Half of them took at most this long.")]
    p99_seconds: Annotated[float, Says(description="99 of 100 took at most this long.")]


class Buffer(Shape, frozen=True, kw_only=True):
    """What waits in memory."""

    events: Annotated[int, Says(description="Events that wait.")]
    events_max: Annotated[int, Says(description="At so many, reading pauses.")]
    bytes: Annotated[int, Says(description="Their bytes.")]
    bytes_max: Annotated[int, Says(description="At so many, reading pauses.")]
    is_paused: Annotated[bool, Says(description="Whether reading is paused now.")]


class Overview(Shape, frozen=True, kw_only=True):
    """The first page. Rates and latencies are those of the last minute."""

    relay: Annotated[Instance, Says(description="Which relay this is.")]
    standing: Annotated[Standing, Says(description="How it stands.")]
    delivered_per_second: Annotated[float, Says(description="Events delivered.")]
    failed_calls_per_second: Annotated[float, Says(description="Requests that were not answered with 2xx.")]
    latency: Annotated[Latency, Says(description="From the append to Kafka until delivery.")]
    call_p99_seconds: Annotated[float, Says(description="99 of 100 requests took at most this long.")]
    lag: Annotated[int, Says(description="Records of our partitions that are not finished.")]
    oldest_undelivered_seconds: Annotated[float, Says(description="The age of the oldest event that was read and is not finished.")]
    partitions: Annotated[int, Says(description="Partitions that are ours.")]
    sessions_open: Annotated[int, Says(description="API sessions that are open.")]
    sessions_held: Annotated[int, Says(description="Player sessions in memory.")]
    sessions_max: Annotated[int, Says(description="At so many, reading pauses.")]
    in_flight: Annotated[int, Says(description="Requests under way.")]
    concurrency_max: Annotated[int, Says(description="How many may be.")]
    circuits: Annotated[list[Circuit], Says(description="One for openings, one for events.")]
    pace: Annotated[float, Says(description="Requests that may leave per second; 0 when nothing limits them.")]
    throttled_seconds: Annotated[float, Says(description="For how long nothing leaves yet, because the API asked to wait.")]
    buffer: Annotated[Buffer, Says(description="What waits in memory.")]
    letters_pending: Annotated[int, Says(description="Dead letters that Kafka has not confirmed yet.")]
    delivered: Annotated[int, Says(description="Events delivered since the start.")]
    outcomes: Annotated[list[Count], Says(description="Events that are finished in any other way.")]
    reasons: Annotated[list[Count], Says(description="Why events were set aside, the most frequent first.")]
    failures: Annotated[list[Count], Says(description="Why calls are tried again, the most frequent first.")]
    openings: Annotated[list[Count], Says(description="Why API sessions were opened.")]


class Series(Shape, frozen=True, kw_only=True):
    """The last hour, column by column, oldest first; all columns are of one length."""

    at: Annotated[list[float], Says(description="When each sample ends.")]
    delivered_per_second: Annotated[list[float], Says(description="Events delivered.")]
    failed_calls_per_second: Annotated[list[float], Says(description="Requests that were not answered with 2xx.")]
    latency_p50_seconds: Annotated[list[float], Says(description="From the append to Kafka until delivery, the median.")]
    latency_p99_seconds: Annotated[list[float], Says(description="The same, 99 of 100.")]
    call_p99_seconds: Annotated[list[float], Says(description="Requests, 99 of 100.")]
    lag: Annotated[list[float], Says(description="Records that are not finished.")]
    oldest_undelivered_seconds: Annotated[list[float], Says(description="The age of the oldest event that is not finished.")]
    in_flight: Annotated[list[float], Says(description="Requests under way.")]
    sessions_open: Annotated[list[float], Says(description="API sessions that are open.")]


class HeldBy(Shape, frozen=True, kw_only=True):
    """The event that a partition waits for."""

    name: Annotated[str, Says(description="The short name of its session; empty when only its dead letter is awaited.")]
    key: Annotated[str | None, Says(description="Its key; null while masked.")]
    offset: Annotated[int, Says(description="Its place.")]
    waits_for: Annotated[str, Says(description="`opening`, `answer`, `circuit`, `retry_after`, `backoff`, `turn` or `dead_letter`.")]
    cause: Annotated[str, Says(description="Of its last failure; a word of a closed list.")]
    status: Annotated[int, Says(description="Its last answer; 0 without one.")]
    tries: Annotated[int, Says(description="Requests that it cost so far.")]


class Partition(Shape, frozen=True, kw_only=True):
    """One partition that is ours."""

    topic: Annotated[str, Says(description="Its topic.")]
    partition: Annotated[int, Says(description="Its number.")]
    stage: Annotated[str, Says(description="`owned`, or `leaving`.")]
    lag: Annotated[int | None, Says(description="Records that are not finished; null until Kafka has said where the end is.")]
    committed: Annotated[int | None, Says(description="The offset below which all is finished.")]
    read_to: Annotated[int | None, Says(description="The offset after the last that was read.")]
    unfinished: Annotated[int, Says(description="Records that were read and are not finished.")]
    oldest_undelivered_seconds: Annotated[float, Says(description="The age of the oldest of them.")]
    finished_beyond: Annotated[int, Says(description="Records after it that are finished, and cannot be committed before it.")]
    standing_seconds: Annotated[float, Says(description="How long it has stood still with others finished beyond it.")]
    held_by: Annotated[HeldBy | None, Says(description="What it waits for, once it has stood still for five seconds.")]
    sessions: Annotated[int, Says(description="Player sessions in memory.")]
    in_flight: Annotated[int, Says(description="Requests under way.")]
    letters_pending: Annotated[int, Says(description="Dead letters that Kafka has not confirmed yet.")]


class Partitions(Shape, frozen=True, kw_only=True):
    """The partitions of this relay, in order; at most 200 at once."""

    partitions: Annotated[list[Partition], Says(description="Those of this page.")]
    count: Annotated[int, Says(description="How many there are.")]
    next: Annotated[str, Says(description="Give this as `from` for those that follow; empty at the end.")]


class Session(Shape, frozen=True, kw_only=True):
    """One player session."""

    name: Annotated[str, Says(description="A short name that cannot be turned back; the field `session` of the log.")]
    key: Annotated[str | None, Says(description="Its key; null while masked.")]
    topic: Annotated[str, Says(description="Where its events come from.")]
    partition: Annotated[int, Says(description="And in which partition.")]
    state: Annotated[str, Says(description="Where it stands in its life: `docs/reference/life.md`, in lower case.")]
    waits_for: Annotated[str, Says(description="What it waits for, in words.")]
    waiting: Annotated[int, Says(description="Events that wait in its lane.")]
    oldest_waiting_seconds: Annotated[float, Says(description="The age of the first of them, since it was appended to Kafka.")]
    silent_seconds: Annotated[float, Says(description="How long nothing came in.")]
    tries: Annotated[int, Says(description="Requests that the event at the head has cost so far.")]


class Sessions(Shape, frozen=True, kw_only=True):
    """Sessions that match, at most 50 at once."""

    sessions: Annotated[list[Session], Says(description="Those of this page.")]
    held: Annotated[int, Says(description="Player sessions in memory.")]
    looked_at: Annotated[int, Says(description="How many were looked at for this page.")]
    next: Annotated[str, Says(description="Give this as `from` for those that follow; empty at the end.")]


class Step(Shape, frozen=True, kw_only=True):
    """One row of a time line."""

    at: Annotated[float, Says(description="When it was received, or happened.")]
    gap_seconds: Annotated[float, Says(description="Since the row before.")]
    what: Annotated[str, Says(description="`event`, `opening`, `told`, `farewell`, or what became of the session.")]
    event: Annotated[str, Says(description="The type of the event.")]
    offset: Annotated[int | None, Says(description="Its place in the partition.")]
    delay_seconds: Annotated[float | None, Says(description="From its append to Kafka until it was received.")]
    queued_seconds: Annotated[float | None, Says(description="From there until it was first sent.")]
    took_seconds: Annotated[float | None, Says(description="From there until the last answer.")]
    tries: Annotated[int, Says(description="Requests that it cost.")]
    outcome: Annotated[
        str, Says(description="`delivered`, `opened`, `over`, `refused`, `set aside`, `dropped`, `answer lost`; empty while it waits.")
    ]
    cause: Annotated[str, Says(description="Why; a word of a closed list.")]
    status: Annotated[int, Says(description="The last answer that was not 2xx; 0 without one.")]


class Opening(Shape, frozen=True, kw_only=True):
    """An API session that was opened."""

    at: Annotated[float, Says(description="When.")]
    cause: Annotated[str, Says(description="`first`, `lost`, `rejoined`, `restarted` or `replayed`.")]
    name: Annotated[str, Says(description="The short name of the player session.")]
    key: Annotated[str | None, Says(description="Its key; null while masked.")]
    topic: Annotated[str, Says(description="Where its events come from.")]
    partition: Annotated[int, Says(description="And in which partition.")]
    offset: Annotated[int, Says(description="The event that it was opened for.")]
    event: Annotated[str, Says(description="Its type.")]
    after_status: Annotated[int, Says(description="For `lost`: the answer that said so; 0 where it is not known.")]


class Openings(Shape, frozen=True, kw_only=True):
    """Why API sessions were opened: at most the latest 500 of each cause, the newest first, 100 at once."""

    openings: Annotated[list[Opening], Says(description="Those of this page.")]
    counts: Annotated[list[Count], Says(description="How many there were, by cause.")]
    kept: Annotated[int, Says(description="How many match.")]
    next: Annotated[str, Says(description="Give this as `from` for those that follow; empty at the end.")]


class Letter(Shape, frozen=True, kw_only=True):
    """An event that was set aside."""

    at: Annotated[float, Says(description="When.")]
    reason: Annotated[str, Says(description="Why.")]
    name: Annotated[str, Says(description="The short name of the player session; empty when it is not known.")]
    key: Annotated[str | None, Says(description="Its key; null while masked.")]
    topic: Annotated[str, Says(description="Where the event came from.")]
    partition: Annotated[int, Says(description="And in which partition.")]
    offset: Annotated[int, Says(description="And at which place.")]
    tries: Annotated[int, Says(description="Requests that it cost.")]
    status: Annotated[int, Says(description="The last answer; 0 without one.")]
    detail: Annotated[str | None, Says(description="What was wrong; it may quote a player, and is null while masked.")]


class LetterGroup(Shape, frozen=True, kw_only=True):
    """The dead letters of one reason."""

    reason: Annotated[str, Says(description="Why.")]
    meaning: Annotated[str, Says(description="In words.")]
    count: Annotated[int, Says(description="How many since the start.")]
    samples: Annotated[list[Letter], Says(description="The latest of them, at most 20, the newest first.")]


class Fault(Shape, frozen=True, kw_only=True):
    """Something that was wrong with events, in words that may be shown to anybody."""

    reason: Annotated[str, Says(description="Why they were set aside.")]
    path: Annotated[str, Says(description="Where in the event; names that are in no vocabulary are `*`. Empty where nobody said.")]
    problem: Annotated[str, Says(description="What kind it is; a word of a closed list.")]
    count: Annotated[int, Says(description="How often.")]


class DeadLetters(Shape, frozen=True, kw_only=True):
    """What this relay has set aside since it started, by reason."""

    since: Annotated[float, Says(description="When it started.")]
    count: Annotated[int, Says(description="How many.")]
    pending: Annotated[int, Says(description="How many of them Kafka has not confirmed yet.")]
    topic: Annotated[str, Says(description="The topic that holds them.")]
    faults: Annotated[list[Fault], Says(description="What was wrong with them, the most frequent first; at most 20.")]
    groups: Annotated[list[LetterGroup], Says(description="By reason, the most frequent first.")]


class TimeLine(Shape, frozen=True, kw_only=True):
    """One session, and what happened to it."""

    session: Annotated[Session | None, Says(description="As it stands; null when it is no longer held.")]
    name: Annotated[str, Says(description="Its short name.")]
    topic: Annotated[str, Says(description="Where its events come from.")]
    partition: Annotated[int, Says(description="And in which partition.")]
    api_session: Annotated[str | None, Says(description="The id of its API session; null without one, and while masked.")]
    playhead: Annotated[float | None, Says(description="Where the player was at the last event that was delivered.")]
    player_time: Annotated[float | None, Says(description="What the player's clock said then.")]
    kept_since: Annotated[float | None, Says(description="Since when a time line is kept; null when none is.")]
    is_followed: Annotated[bool, Says(description="Whether a longer one is kept, since somebody asked.")]
    left_out: Annotated[int, Says(description="Rows that were dropped between the first 40 and the last ones.")]
    more_waiting: Annotated[int, Says(description="Events that were received while too many waited to have a row each.")]
    steps: Annotated[list[Step], Says(description="What happened, the oldest first.")]
    openings: Annotated[list[Opening], Says(description="Its openings among the latest.")]
    letters: Annotated[list[Letter], Says(description="Its dead letters among the latest.")]


class Holder(Shape, frozen=True, kw_only=True):
    """A member of the group that holds a partition."""

    member: Annotated[str, Says(description="Its instance id, else its member id.")]
    client: Annotated[str, Says(description="Its client id.")]
    host: Annotated[str, Says(description="Where it is, as the brokers see it.")]


class Candidate(Shape, frozen=True, kw_only=True):
    """A partition that a key may lie in."""

    topic: Annotated[str, Says(description="The topic.")]
    partition: Annotated[int, Says(description="The partition.")]
    partitioner: Annotated[str, Says(description="`murmur2` (Java) or `crc32` (librdkafka): how the producer would choose it.")]
    is_here: Annotated[bool, Says(description="Whether the relay that was asked holds it.")]
    holder: Annotated[Holder | None, Says(description="Who holds it, as far as the group says.")]


class Whereabouts(Shape, frozen=True, kw_only=True):
    """Where a player session lives."""

    name: Annotated[str, Says(description="Its short name.")]
    asked: Annotated[str, Says(description="The relay that was asked.")]
    lines: Annotated[list[TimeLine], Says(description="It, here; more than one if its key lies in several partitions.")]
    candidates: Annotated[list[Candidate], Says(description="Where else to look, when it is not here.")]


class Switch(Shape, frozen=True, kw_only=True):
    """A circuit that opened or closed."""

    at: Annotated[float, Says(description="When.")]
    operation: Annotated[str, Says(description="`open` or `send`.")]
    state: Annotated[str, Says(description="What it became: `closed`, `probing` or `held`.")]


class Problem(Shape, frozen=True, kw_only=True):
    """A call that did not end well."""

    at: Annotated[float, Says(description="When.")]
    change: Annotated[str, Says(description="What it came to, such as `retried`, `lost` or `refused`; a word of a closed list.")]
    cause: Annotated[str, Says(description="Why; a word of a closed list.")]
    status: Annotated[int, Says(description="The answer; 0 without one.")]
    name: Annotated[str, Says(description="The short name of the player session.")]
    topic: Annotated[str, Says(description="Where its events come from.")]
    partition: Annotated[int, Says(description="And in which partition.")]
    offset: Annotated[int, Says(description="The event at its head.")]


class Operation(Shape, frozen=True, kw_only=True):
    """The requests of one kind, since the start."""

    operation: Annotated[str, Says(description="`open` or `send`.")]
    requests: Annotated[int, Says(description="How many have ended.")]
    latency: Annotated[Latency, Says(description="How long they took.")]
    statuses: Annotated[list[Count], Says(description="By answer; `none` without one.")]


class Calls(Shape, frozen=True, kw_only=True):
    """How the API is."""

    circuits: Annotated[list[Circuit], Says(description="One for openings, one for events.")]
    in_flight: Annotated[int, Says(description="Requests under way.")]
    concurrency_max: Annotated[int, Says(description="How many may be.")]
    pace: Annotated[float, Says(description="Requests that may leave per second; 0 when nothing limits them.")]
    throttled_seconds: Annotated[float, Says(description="For how long nothing leaves yet, because the API asked to wait.")]
    operations: Annotated[list[Operation], Says(description="Openings and events.")]
    failures: Annotated[list[Count], Says(description="Why calls are tried again, the most frequent first.")]
    switches: Annotated[list[Switch], Says(description="When circuits opened or closed, the newest first; at most 50.")]
    problems: Annotated[list[Problem], Says(description="The latest calls that did not end well, the newest first; at most 200.")]


class Setting(Shape, frozen=True, kw_only=True):
    """One setting that is in force."""

    name: Annotated[str, Says(description="Its name in the environment.")]
    value: Annotated[object, Says(description="Its value; secrets are masked.")]
    source: Annotated[str, Says(description="`environment`, `file`, `secrets` or `default`.")]


class Settings(Shape, frozen=True, kw_only=True):
    """What is in force."""

    settings: Annotated[list[Setting], Says(description="Every one.")]
