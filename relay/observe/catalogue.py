"""Every metric, declared once: its name, what it says, its labels, and what to do when it moves. The reference is printed from here."""

from enum import StrEnum
from typing import Final, NamedTuple

PREFIX: Final = "relay_"

# The OpenTelemetry boundaries for HTTP durations, and 30 s for what has waited.
SECONDS_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 30.0)


class Kind(StrEnum):
    """What kind of figure it is."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Metric(NamedTuple):
    """One metric. `is_watched`: read from its owner at each scrape instead of being counted here."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...]
    advice: str
    is_watched: bool = False


def _counter(name: str, text: str, *labels: str, advice: str, is_watched: bool = False) -> Metric:
    return Metric(PREFIX + name, Kind.COUNTER, text, labels, advice, is_watched)


def _gauge(name: str, text: str, *labels: str, advice: str) -> Metric:
    return Metric(PREFIX + name, Kind.GAUGE, text, labels, advice, is_watched=True)


def _histogram(name: str, text: str, *labels: str, advice: str) -> Metric:
    return Metric(PREFIX + name, Kind.HISTOGRAM, text, labels, advice)


CATALOGUE: Final[tuple[Metric, ...]] = (
    # --- input
    _counter(
        "consumed_records_total",
        "Records read from Kafka.",
        "topic",
        advice="Flat while the lag grows: see assigned_partitions, then buffered_events (the relay has paused) and the log.",
    ),
    _gauge(
        "consumer_lag_messages",
        "Records of a partition that are not finished yet.",
        "topic",
        "partition",
        advice="Grows everywhere: the API or the relay is too slow, see circuit_state and api_requests_in_flight."
        " Grows in one: a hot or stuck session.",
    ),
    _gauge(
        "consumer_lag_seconds",
        "Age of the oldest event of a partition that was read and is not finished.",
        "topic",
        "partition",
        advice="Grows in one partition: a stuck session, see retries_total. Grows in all: the API is down, or there are too few instances.",
    ),
    _gauge(
        "committed_offset",
        "The offset that was last committed for a partition; everything below it is finished.",
        "topic",
        "partition",
        advice="Stands still while the lag is not 0: see oldest_undelivered_seconds and commits_total.",
    ),
    _gauge(
        "assigned_partitions",
        "Partitions that this instance owns.",
        advice="0 for long: more instances than partitions, or it cannot join the group.",
    ),
    _counter(
        "rebalances_total",
        "Changes of the assignment; kind is assigned, revoked or lost.",
        "kind",
        advice="Many per hour: instances come and go, or a poll is late; any `lost` means that work is repeated elsewhere.",
    ),
    _counter(
        "commits_total",
        "Commits of offsets; outcome is success or failure.",
        "outcome",
        advice="Failures in a row: what is delivered meanwhile is repeated after a restart. See the log for the cause.",
    ),
    _gauge(
        "input_awaiting_records",
        "Records that cannot be read until the schema that they are written in has come from the registry.",
        advice="Above 0 for more than a moment: the schema registry does not answer, see the log. Their partitions wait, nothing is lost.",
    ),
    _counter(
        "input_late_total",
        "Events that came in behind one of their session that follows them, by sequence number or `ts`.",
        advice="Rises: producers or what stands before Kafka change the order of a session. RELAY_INPUT__ORDER=reorder puts it right"
        " within a window.",
    ),
    _counter(
        "input_repeated_total",
        "Events that came in twice within a short while.",
        advice="Rises: a producer sends again what Kafka has, or two of them say the same. RELAY_INPUT__ORDER=drop_repeats drops them.",
    ),
    _counter(
        "input_scattered_sessions_total",
        "Player sessions that began in one partition while they were open in another of the same topic.",
        advice="Not 0: producers place keys in different ways, or the topic got more partitions."
        " The relay sees two sessions in such a one.",
    ),
    # --- sessions
    _gauge(
        "sessions_open",
        "API sessions that are open.",
        advice="Only grows: players do not end their sessions; they are forgotten when idle.",
    ),
    _counter(
        "sessions_opened_total",
        "API sessions opened; cause is first, lost, rejoined, restarted, replayed, or resumed after the relay had ended the one before.",
        "cause",
        advice="Many `lost`: the API forgets sessions, or two relays serve one player session."
        " Many `rejoined`: starts are missing in the topic.",
    ),
    _counter(
        "sessions_closed_total",
        "API sessions that are over; reason is ended, lost, forgotten, or suspended: ended by the relay for a silent player.",
        "reason",
        advice="Mostly `forgotten`: ends are missing in the topic, or RELAY_SESSION__IDLE_SECONDS_MAX is too short.",
    ),
    _counter(
        "keep_alive_pings_total",
        "Pings that the relay said itself to keep the sessions of silent players alive.",
        advice="Many for each open session: players do not send their own, or are gone without an end.",
    ),
    _counter(
        "sessions_refused_total",
        "Player sessions whose start the API refused.",
        advice="Look at the dead letters of reason rejected: their params are wrong at the source.",
    ),
    _counter(
        "sessions_parked_total",
        "Player sessions that failed for RELAY_SESSION__PARK_AFTER_SECONDS and held up others, while the API served those.",
        advice="Read the letters of reason parked and the log: what fails is of that session. Then `relay dead-letters replay`.",
    ),
    _counter(
        "sessions_restored_total",
        "Player sessions taken over from the state topic when a partition was assigned.",
        advice="Rises with each rebalance or restart. If it does not: RELAY_SESSION__STATE is memory, or the state topic is empty.",
    ),
    _counter(
        "api_warnings_total",
        "Openings that succeeded with a warning: upstream_error is a product behind the datastream that failed.",
        "cause",
        advice="Rises: sessions are tracked, but another product of the datastream misses them. Look there.",
    ),
    _counter(
        "memoirs_skipped_total",
        "Memoirs in the state topic that were not understood: damaged, of a version that is not known here, or of another group.",
        "cause",
        advice="Not 0: a newer relay or somebody else writes into the state topic; those sessions count as unknown.",
    ),
    _gauge(
        "restoring_partitions",
        "Partitions whose sessions are being read from the state topic; nothing of them is delivered meanwhile.",
        advice="Above 0 for more than seconds: the state topic is large, or its brokers do not answer.",
    ),
    _histogram(
        "restore_duration_seconds",
        "How long it took to read the sessions of a partition that was assigned.",
        advice="Many seconds: the state topic is large or its brokers are slow; nothing of the partition is delivered meanwhile.",
    ),
    _histogram(
        "revoke_duration_seconds",
        "How long the group waited for partitions that it took from us: for calls under way, then for the last memoirs.",
        advice="Near RELAY_KAFKA__REVOKE_SECONDS_MAX: calls hang, or the state topic does not answer. The next owner waits so long.",
    ),
    _gauge(
        "lanes",
        "Player sessions that are held in memory.",
        advice="Near RELAY_LIMITS__LANES_MAX: the relay pauses. Add instances or raise it.",
    ),
    # --- events
    _counter(
        "events_total",
        "Events that are finished; outcome is delivered, dead_lettered, dropped, deduplicated, or unknown where the answer was lost and a"
        " setting says not to send again.",
        "outcome",
        "reason",
        advice="Delivered is the work done. Anything else has a reason: see the dead letters, and docs/policies.md for what is dropped.",
    ),
    _gauge(
        "unfinished_events",
        "Records that were read and are not finished.",
        advice="With events_total and left_events_total it makes up consumed_records_total, at any moment.",
    ),
    _gauge(
        "extra_outcomes",
        "Outcomes in events_total beyond one for each record: a record may say several things.",
        advice="Part of the same sum; 0 where every record is one event.",
    ),
    _counter(
        "left_events_total",
        "Records that were read here and left unfinished when their partition was taken: the next owner reads them again.",
        advice="Rises at rebalances and restarts only. Many each time: RELAY_KAFKA__REVOKE_SECONDS_MAX is short, or the buffer is full.",
        is_watched=True,
    ),
    _histogram(
        "end_to_end_latency_seconds",
        "From the moment a record was appended to Kafka until its event was delivered.",
        advice="Rises with lag after an outage. Without lag: see api_request_duration_seconds.",
    ),
    _gauge(
        "oldest_undelivered_seconds",
        "Age of the oldest event that was read and is not finished.",
        advice="Grows while others are delivered: one session is stuck, see retries_total. Grows with everything: the API is down.",
    ),
    _gauge(
        "held_back_events",
        "Offsets of a partition that are finished and cannot be committed, since one before them is not.",
        "topic",
        "partition",
        advice="Grows in one partition: one session is stuck. The log names it, and what it waits for; see held_back_seconds.",
    ),
    _gauge(
        "held_back_seconds",
        "For how long the safe offset of a partition has stood still while others in it were finished.",
        "topic",
        "partition",
        advice="Minutes: a session is stuck. It is parked when it holds up everything (RELAY_SESSION__PARK_AFTER_SECONDS).",
    ),
    _counter(
        "order_violations_total",
        "Events that were about to leave behind a later one of their session.",
        advice="Must stay 0. Anything else is a bug of the relay: keep the log and report it.",
        is_watched=True,
    ),
    _gauge(
        "buffered_events",
        "Events that wait in memory.",
        advice="At RELAY_LIMITS__BUFFER_EVENTS_MAX the relay pauses: the API is slower than the topic.",
    ),
    _gauge(
        "buffered_bytes", "Bytes of events that wait in memory.", advice="At RELAY_LIMITS__BUFFER_BYTES_MAX the relay pauses, as above."
    ),
    _gauge(
        "source_paused",
        "1 while no more records are taken, because a limit is reached.",
        advice="1 in an outage: as it should be. Else: see buffered_bytes, buffered_events, lanes and dlq_pending for the limit.",
    ),
    _gauge(
        "last_delivery_timestamp_seconds",
        "When an event was last delivered, Unix time.",
        advice="Long ago while the lag is not 0: nothing moves. See circuit_state and the log.",
    ),
    # --- API
    _counter(
        "api_requests_total",
        "Requests that ended; status is the code, or none without an answer.",
        "operation",
        "status",
        advice="401, 403 or 3xx: our settings. 5xx, 429 or none: the API or the way to it. 400: the events.",
    ),
    _histogram(
        "api_request_duration_seconds",
        "How long requests took, answered or not.",
        "operation",
        advice="Near RELAY_API__TIMEOUT_SECONDS: the API is overloaded or the way to it is broken.",
    ),
    _gauge(
        "api_requests_in_flight",
        "Requests under way.",
        advice="At RELAY_API__CONCURRENCY_MAX with a growing lag: raise it, if the API bears it.",
    ),
    _gauge(
        "circuit_state",
        "0: the API serves. 1: nothing but failures, one call is tried now and then. 2: the API refuses us.",
        "operation",
        advice="1: wait for the API. 2: correct the settings that the log names.",
    ),
    _gauge(
        "concurrency_limit",
        "Requests of one kind that may be under way at once.",
        "operation",
        advice="Below RELAY_API__CONCURRENCY_MAX while events wait: more at once make the API slow, or fail."
        " With RELAY_API__CONCURRENCY=fixed only for a moment after an interruption.",
    ),
    _gauge(
        "concurrency_in_flight",
        "Requests of one kind that are under way.",
        "operation",
        advice="At concurrency_limit while the lag grows: the API is the bottleneck. Far below: it is the relay, or the pace.",
    ),
    _gauge(
        "pace_requests_per_second",
        "Requests that may leave per second, all kinds together; 0 when nothing limits them.",
        advice="Not 0: the API has refused more, or RELAY_API__REQUESTS_PER_SECOND_MAX is set. Ask its operators for more.",
    ),
    _gauge(
        "throttled_seconds",
        "For how long nothing leaves yet, because the API has asked to wait.",
        advice="Above 0 for long: the API asks for long waits (Retry-After); RELAY_RETRY__RETRY_AFTER_SECONDS_MAX bounds them.",
    ),
    _counter(
        "throttled_total",
        "Requests that the API answered 429, or 503 with Retry-After.",
        "operation",
        advice="A few while the pace is felt for are life. Many: several clients share one limit, or the limit is per something else.",
        is_watched=True,
    ),
    _counter(
        "retries_total",
        "Calls that failed and are tried again, by cause.",
        "reason",
        advice="Some are life. Many of one cause while the API serves: see the status in api_requests_total.",
    ),
    _counter(
        "unknown_outcomes_total",
        "Requests that left and whose answer was lost; policy is repeat or skip.",
        "operation",
        "policy",
        advice="Each `repeat` may be an event twice at the API, each `skip` one less. Many: the way to the API tears connections down, or"
        " RELAY_API__TIMEOUT_SECONDS is too short.",
    ),
    _counter(
        "retold_events_total",
        "Things told again to a session that was opened in place of a lost one.",
        advice="Follows sessions_opened_total of cause lost.",
    ),
    _counter(
        "retold_refused_total",
        "Things that the API took once and refused when they were told again.",
        advice="The new session lacks an ad, chapter or state. Should be rare: report it with the log.",
    ),
    _counter(
        "token_refresh_total",
        "Requests for a token; outcome is success, refused (our credentials) or failed (the moment).",
        "outcome",
        advice="Refused: correct the setting that the log names. Failed: the token endpoint or the way to it; calls wait once the"
        " token has expired.",
    ),
    _gauge(
        "token_expiry_timestamp_seconds",
        "When the token expires, Unix time; 0 while there is none. Only where RELAY_OAUTH__TOKEN_URL is set.",
        advice="In the past or 0: no call leaves, see token_refresh_total and the log.",
    ),
    # --- dead letters
    _counter(
        "dlq_records_total",
        "Events whose dead letter Kafka has confirmed.",
        "reason",
        advice="Read the letters of the reason that grows; correct the source or the settings, then replay.",
    ),
    _gauge(
        "dlq_pending",
        "Dead letters that Kafka has not confirmed yet.",
        advice="Stays above 0: the dead-letter topic is missing, forbidden or down; offsets do not advance meanwhile.",
    ),
    _counter(
        "dlq_produce_failures_total",
        "Times that Kafka did not take a dead letter; it is tried again.",
        advice="Rises: the dead-letter topic is missing, forbidden, too small for the record or down. The log names the cause.",
        is_watched=True,
    ),
    # --- process
    _gauge(
        "build_info", "Always 1; the version is in the label.", "version", advice="More than one version for long: a roll-out is stuck."
    ),
    _gauge(
        "config_info",
        "Always 1; what kind of relay this is, in the labels.",
        "dialect",
        "group_protocol",
        "state",
        advice="More than one combination in a group for long: a roll-out is stuck.",
    ),
    _gauge("ready", "1 when /readyz answers 200.", advice="0: ask /readyz for the reasons."),
    _gauge(
        "tasks",
        "Tasks of the event loop. Waiting sessions have none, so the number does not follow theirs.",
        advice="Grows for hours under a steady load: something is leaked; tell those who develop the relay.",
    ),
)
