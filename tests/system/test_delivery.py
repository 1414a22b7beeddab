"""The whole way of an event, on a real Kafka and the shipped fake API: under faults, and among records that are no events."""

import json
import time
from collections.abc import Callable

import pytest
from system.rig import Rig

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(120)]

FAULTS = ("events:500:0.02", "events:404:0.0025", "events:410:0.0025", "all:reset:0.01")


def test_nothing_is_lost_under_faults(new_rig: Callable[..., Rig]) -> None:
    """200 sessions of 50 events reach an API that fails, forgets and hangs up: all of them, in order, none twice, and all is committed."""
    rig = new_rig(faults=FAULTS, is_watched=False)
    relay = rig.start_relay()
    relay.wait_until_ready()
    players = rig.start_players(sessions=200, rate=1500, shape={"events_exactly": 50, "ramp_up_seconds": 100})
    rig.settle()

    findings = rig.judge()
    assert players.exit_code(1) == 0
    assert findings.events == 200 * 50
    assert all(findings.faults.get(name, 0) > 5 for name in ("500", "404", "410", "reset")), findings.faults
    findings.assert_nothing_lost()
    assert findings.total["repeats"] == findings.total["repeats_excused"]
    assert findings.total["openings_needless"] == findings.total["retold_wrong"] == 0

    scrape = relay.scrape()
    consumed = scrape.total("relay_consumed_records_total")
    assert consumed == scrape.events("delivered") + scrape.events("dead_lettered") + scrape.events("deduplicated") == 200 * 50
    assert scrape.events("dead_lettered") == 0
    assert scrape.total("relay_order_violations_total") == 0
    relay.terminate()
    assert relay.exit_code(20) == 0


def test_poison_becomes_dead_letters(new_rig: Callable[..., Rig]) -> None:
    """Records that are no events are set aside as they came, with headers that say why; the events around them are delivered at once."""
    rig = new_rig(partitions=1, topic_config={"max.message.bytes": "6000000"})
    relay = rig.start_relay()
    relay.wait_until_ready()
    good = {"eventType": "ping", "playerTime": {"playhead": 1, "ts": 1_700_000_000_000}}
    wrong_type = json.dumps(good | {"playerTime": {"playhead": "1", "ts": 1_700_000_000_000}}).encode()
    poison: dict[str, tuple[bytes | None, bytes | None]] = {
        "not_json": (b"bad", b'{"eventType": "ping", '),
        "empty_value": (b"null", None),
        "invalid_event": (b"types", wrong_type),
        "unknown_event_type": (b"unknown", json.dumps(good | {"eventType": "seekStart"}).encode()),
        "record_too_large": (b"large", json.dumps(good | {"customMetadata": {"padding": "x" * 5_000_000}}).encode()),
        "invalid_key": (b"\xff\xfekey", json.dumps(good).encode()),
    }
    rig.start_players(sessions=20, rate=500, shape={"events_exactly": 20, "ramp_up_seconds": 10})
    before = int(time.time() * 1000)
    headers = [("trace", b"abc"), ("nothing", None)]
    rig.cluster.produce(rig.topic, [{"key": key, "value": value, "headers": headers} for key, value in poison.values()])
    rig.settle()
    after = int(time.time() * 1000)

    letters = {}
    for message in rig.dead_letters():
        own = {name: value.decode() for name, value in message.headers() if name.startswith("relay.")}
        letters[own["relay.reason"]] = (message, own)
    assert letters.keys() == poison.keys()
    for reason, (message, own) in letters.items():
        assert (message.key(), message.value()) == poison[reason]
        assert message.headers()[:2] == headers
        assert own["relay.detail"]
        assert (own["relay.topic"], own["relay.partition"]) == (rig.topic, "0")
        assert own["relay.offset"].isdecimal()
        assert before - 1000 <= int(own["relay.timestamp"]) <= int(own["relay.set_aside_at"]) <= after + 1000
        assert own["relay.version"]
        assert not own.keys() & {"relay.attempts", "relay.status", "relay.first_tried_at"}, "nothing was tried"
        key = poison[reason][0]
        assert own.get("relay.session") == (None if reason == "invalid_key" or key is None else key.decode())
    assert len({own["relay.offset"] for _, own in letters.values()}) == len(poison)

    findings = rig.judge()
    assert findings.events == 400
    findings.assert_nothing_lost()
    findings.assert_no_repeats()
    scrape = relay.scrape()
    assert (scrape.events("delivered"), scrape.events("dead_lettered")) == (400, 6)
    assert scrape.total("relay_end_to_end_latency_seconds_bucket", le="5.0") == 400, "no event waited for the letters"


def test_what_the_api_refuses_is_told_in_the_letter(new_rig: Callable[..., Rig]) -> None:
    """An event that the API refuses becomes a dead letter that says with which status and after how many attempts; its session goes on."""
    rig = new_rig(partitions=1)
    rig.start_relay().wait_until_ready()
    rig.start_players(sessions=1, rate=50, shape={"events_exactly": 10, "ramp_up_seconds": 0}).exit_code(20)
    session = "player-0-000000"
    last_ts = max(json.loads(message.value())["playerTime"]["ts"] for message in rig.cluster.read(rig.topic))
    late = {"eventType": "ping", "playerTime": {"playhead": 1, "ts": last_ts + 1}}
    start_without_params = {"eventType": "sessionStart", "playerTime": {"playhead": 0, "ts": last_ts + 2}, "params": {"media.id": "x"}}
    follower = {"eventType": "ping", "playerTime": {"playhead": 1, "ts": last_ts + 3}}
    rig.cluster.produce(rig.topic, [{"key": session, "value": json.dumps(one)} for one in (late, start_without_params, follower)])
    rig.settle()

    letters = [{name: value.decode() for name, value in message.headers()} for message in rig.dead_letters()]
    assert [own["relay.reason"] for own in letters] == ["after_end", "rejected", "session_refused"], "in the order of the topic"
    assert {own["relay.session"] for own in letters} == {session}
    rejected = letters[1]
    assert (rejected["relay.status"], rejected["relay.attempts"]) == ("400", "1")
    assert int(rejected["relay.first_tried_at"]) <= int(rejected["relay.set_aside_at"])
    assert not letters[2].keys() & {"relay.attempts", "relay.status", "relay.first_tried_at"}, "it was not tried"
    rig.judge().assert_nothing_lost()
