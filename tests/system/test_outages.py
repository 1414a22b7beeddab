"""An API that is away, and one that refuses us: nothing is set aside, the relay stays alive, and it goes on by itself."""

import time
from collections.abc import Callable

import pytest
from system.rig import Rig
from system.waiting import wait_for

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(180)]

AWAY_SECONDS = 20.0
REQUESTS_PER_SECOND_MAX = 40
PLAYERS = {"content_seconds_min": 600, "content_seconds_max": 600, "ramp_up_seconds": 60}


def test_an_outage_passes(new_rig: Callable[..., Rig]) -> None:
    """While the API is away, few requests leave, nothing is set aside and `/livez` is well; when it is back, everything arrives once."""
    rig = new_rig()
    relay = rig.start_relay()
    relay.wait_until_ready()
    rig.start_players(sessions=200, rate=300, shape=PLAYERS)
    relay.wait_until(lambda scrape: scrape.events("delivered") > 300, "the players play")

    rig.api.tell("POST", "/_watch/away", b'{"seconds": %d}' % AWAY_SECONDS)
    began = time.monotonic()
    relay.wait_until(lambda scrape: scrape.total("relay_circuit_state") > 0, "the outage is noticed")
    since, before = time.monotonic(), relay.scrape().total("relay_api_requests_total")
    while time.monotonic() < began + AWAY_SECONDS - 1:
        assert relay.health("/livez")[0] == 200
        assert relay.health("/readyz")[0] == 200, "an outage of the API is not for the operators of the relay to mend"
        time.sleep(0.5)
    requests = relay.scrape().total("relay_api_requests_total") - before
    assert requests <= REQUESTS_PER_SECOND_MAX * (time.monotonic() - since)
    assert requests >= 2, "it looks again"

    relay.wait_until(lambda scrape: scrape.total("relay_circuit_state") == 0, "it is noticed that the API is back", 10)
    rig.stop_players()
    rig.settle()
    findings = rig.judge()
    findings.assert_nothing_lost()
    findings.assert_no_repeats()
    assert relay.scrape().events("dead_lettered") == 0
    assert relay.scrape().total("relay_order_violations_total") == 0


def test_a_refusal_is_held(new_rig: Callable[..., Rig]) -> None:
    """While the API answers 401, nothing is set aside and `/readyz` fails with what to check; when it takes us again, all goes on."""
    rig = new_rig(faults=["all:401:1"])
    relay = rig.start_relay()
    relay.wait_until_ready()
    rig.start_players(sessions=50, rate=200, shape={"events_exactly": 20, "ramp_up_seconds": 10}).exit_code(30)

    def is_held() -> bool:
        status, reasons = relay.health("/readyz")
        return status == 503 and "RELAY_API__HEADERS" in str(reasons["held"])

    wait_for(is_held, "readyz fails and says what to check", 20)
    since, before = time.monotonic(), relay.scrape().total("relay_api_requests_total")
    time.sleep(6)
    requests = relay.scrape().total("relay_api_requests_total") - before
    assert 1 <= requests <= 2 + 2 * (time.monotonic() - since) / 5, "one probe every five seconds, of each kind at most"
    assert relay.health("/livez")[0] == 200
    assert relay.log_lines("the API refuses us: everything waits until this is mended")

    rig.api.set_faults()
    relay.wait_until_ready()
    rig.settle()
    findings = rig.judge()
    assert findings.events == 50 * 20
    findings.assert_nothing_lost()
    findings.assert_no_repeats()
    assert relay.scrape().events("dead_lettered") == 0
