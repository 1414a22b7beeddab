"""When calls may go, when a circuit opens and closes, and when the source must pause."""

import itertools

import pytest

from relay.core.pressure import Allowance, Buffer, Circuit, CircuitState, Limits
from relay.settings.groups import ApiSettings, LimitSettings, RetrySettings, SessionSettings


def failed_for(seconds: float, circuit: Circuit, *, from_moment: float = 100.0) -> float:
    """Nothing but failures, one each second."""
    moment = from_moment
    while moment <= from_moment + seconds:
        circuit.depart(moment)
        circuit.land()
        circuit.fail(moment)
        moment += 1.0
    return from_moment + seconds


def probing(concurrency_max: int = 512) -> tuple[Circuit, float]:
    """A circuit that has just begun to probe."""
    circuit = Circuit(concurrency_max=concurrency_max)
    now = failed_for(5.0, circuit)
    assert circuit.looks_out(now)
    return circuit, now


def test_the_states_are_those_of_the_metric() -> None:
    """`relay_circuit_state` is a number: alerts of operators ask for 1 and 2."""
    assert {state.name: int(state) for state in CircuitState} == {"CLOSED": 0, "PROBING": 1, "HELD": 2}


def test_a_new_circuit_has_nothing_behind_it() -> None:
    """The console and the judgement of single events begin at nought."""
    circuit = Circuit(concurrency_max=8)
    assert (circuit.in_flight, circuit.served, circuit.throttled, circuit.closings, circuit.advice) == (0, 0, 0, 0, "")
    assert (circuit.served_at, circuit.closed_since) == (0, 0)


def crowd(circuit: Circuit, now: float, *, wanted: int, serves: bool = True) -> None:
    """So many calls want to go at once; those that may are answered a twentieth of a second later."""
    count = 0
    while count < wanted and circuit.admits(now):
        circuit.depart(now)
        count += 1
    for _ in range(count):
        circuit.land()
        if serves:
            circuit.succeed(now + 0.05, 0.05)
        else:
            circuit.fail(now + 0.05)


def test_a_limit_that_learns_is_told_all() -> None:
    """It stays where nobody needs more, grows where somebody is turned away, and shrinks by failures."""
    circuit = Circuit(concurrency_max=64, concurrency_min=4, is_adaptive=True)
    for step in range(10):
        crowd(circuit, 100.0 + step, wanted=8)
    assert circuit.concurrency.limit == 8
    for step in range(10):
        crowd(circuit, 110.0 + step, wanted=100)
    assert circuit.concurrency.limit == 64
    for step in range(3):
        crowd(circuit, 120.0 + step, wanted=100, serves=False)
    assert circuit.concurrency.limit < 64


def test_a_healthy_circuit_admits_up_to_its_limit() -> None:
    """Calls pass side by side up to the limit; a call that lands makes room for another."""
    circuit = Circuit(concurrency_max=2)
    for _ in range(2):
        assert circuit.admits(0.0)
        circuit.depart(0.0)
    assert not circuit.admits(0.0)
    circuit.land()
    assert circuit.admits(0.0)
    assert circuit.ask_again_at() is None


def test_failures_become_an_outage_after_five_seconds() -> None:
    """Nothing but failures for five seconds is an outage, not a moment earlier."""
    circuit = Circuit(concurrency_max=8)
    circuit.fail(100.0)
    assert circuit.ask_again_at() == 105.0
    assert not circuit.looks_out(104.9)
    assert circuit.looks_out(105.0)
    assert circuit.state is CircuitState.PROBING
    assert not circuit.looks_out(106.0), "it begins once"


@pytest.mark.parametrize(("after", "proofs"), [(29.5, 3), (30.0, 3), (30.5, 1)])
def test_who_opens_again_soon_has_closed_for_a_chance_success(after: float, proofs: int) -> None:
    """Within half a minute one success is no proof any more, and it takes three; later it is another outage."""
    circuit, now = probing()
    probe(circuit, now, serves=True)
    assert (circuit.state, circuit.closed_since, circuit.closings) == (CircuitState.CLOSED, 105.0, 1)
    circuit.fail(105.0 + after - 5.0)
    assert circuit.looks_out(105.0 + after)
    assert proofs_of(circuit, 105.0 + after) == proofs


def test_the_first_outage_of_a_young_process_takes_one_success() -> None:
    """Nothing has closed before it, whatever the clock says."""
    circuit = Circuit(concurrency_max=8)
    circuit.fail(1.0)
    assert circuit.looks_out(6.0)
    assert proofs_of(circuit, 6.0) == 1


def test_each_outage_is_probed_from_the_beginning() -> None:
    """Quickly at first, however rare the probes of the last one had become."""
    circuit, now = probing()
    for _ in range(20):
        now = probe(circuit, now, serves=False)
    probe(circuit, now, serves=True)
    circuit.fail(now + 60.0)
    assert circuit.looks_out(now + 65.0)
    assert probe(circuit, now + 65.0, serves=False) == pytest.approx(now + 65.1)


def test_one_success_ends_the_count() -> None:
    """One success among failures, and there is no outage."""
    circuit = Circuit(concurrency_max=8)
    circuit.fail(100.0)
    circuit.succeed(104.0)
    circuit.fail(104.5)
    assert not circuit.looks_out(109.0)
    assert circuit.looks_out(109.5)


def test_probes_become_rarer_but_never_rarer_than_promised() -> None:
    """A probe leaves at once, then more and more rarely, at least every two seconds."""
    circuit, now = probing()
    moments = list[float]()
    while len(moments) < 20:
        if circuit.admits(now):
            moments.append(now)
            circuit.depart(now)
            assert not circuit.admits(now)
            circuit.land()
            circuit.fail(now)
        now = circuit.ask_again_at() or now
    gaps = [later - earlier for earlier, later in itertools.pairwise(moments)]
    assert gaps[:3] == pytest.approx([0.1, 0.15, 0.225])
    assert gaps == sorted(gaps)
    assert gaps[-1] == pytest.approx(2.0)


def test_a_probe_that_hangs_does_not_stop_the_next() -> None:
    """Probes leave by the clock; one that is still under way holds nobody up."""
    circuit, now = probing()
    for _ in range(10):
        assert circuit.admits(now)
        circuit.depart(now)
        now = circuit.ask_again_at() or now


def test_the_crowd_returns_gently() -> None:
    """After an outage the number of calls side by side begins with one or two and doubles with each round trip at most, up to the limit."""
    circuit, now = probing(concurrency_max=20)
    circuit.depart(now)
    circuit.land()
    circuit.succeed(now)
    assert circuit.state is CircuitState.CLOSED
    sizes = []
    for _ in range(6):
        in_flight = 0
        while circuit.admits(now):
            circuit.depart(now)
            in_flight += 1
        sizes.append(in_flight)
        now += 0.1
        for _ in range(in_flight):
            circuit.land()
            circuit.succeed(now)
    assert sizes == [2, 4, 8, 16, 20, 20]


def test_who_refuses_us_is_probed_every_five_seconds() -> None:
    """After a 401 with no success before, one call passes every five seconds; the advice is kept until it is mended."""
    circuit = Circuit(concurrency_max=8)
    assert circuit.misconfigured(100.0, "check the credentials")
    assert (circuit.state, circuit.advice, circuit.ask_again_at()) == (CircuitState.HELD, "check the credentials", 105.0)
    assert not circuit.admits(104.9)
    for moment in (105.0, 110.0, 115.0):
        assert circuit.admits(moment)
        circuit.depart(moment)
        assert not circuit.admits(moment + 4.9)
        circuit.land()
        assert not circuit.misconfigured(moment + 0.1, "check the address"), "it is held already"
    assert circuit.advice == "check the address"
    circuit.succeed(115.2)
    assert (circuit.state, circuit.advice) == (CircuitState.CLOSED, "")


def test_one_refusal_among_successes_is_a_moments_failure() -> None:
    """One 401 within five seconds of a success holds nothing."""
    circuit = Circuit(concurrency_max=8)
    circuit.succeed(100.0)
    assert not circuit.misconfigured(104.9, "check")
    assert (circuit.state, circuit.ask_again_at()) == (CircuitState.CLOSED, 109.9)
    assert circuit.misconfigured(105.0, "check"), "five seconds without a success, and it is our configuration"


def test_an_outage_may_turn_out_to_be_our_own_fault() -> None:
    """A probe that is answered 401 holds the circuit."""
    circuit, now = probing()
    circuit.depart(now)
    circuit.land()
    assert circuit.misconfigured(now, "check")
    assert (circuit.state, circuit.ask_again_at()) == (CircuitState.HELD, now + 5.0)


# --- hardly anything is served -------------------------------------------------------------------------------------------------------


def tried_for(  # noqa: PLR0913  # figures, each by its name
    circuit: Circuit, *, seconds: int, failed: int, served: int, first: bool = True, from_moment: float = 100.0
) -> CircuitState:
    """So many calls fail and so many are served each second; how the circuit stands in the end."""
    for second in range(seconds):
        moment = from_moment + second
        for number in range(failed + served):
            circuit.depart(moment)
            circuit.land(first or number >= failed)
            if number < failed:
                circuit.fail(moment, is_first=first)
            else:
                circuit.succeed(moment)
        if circuit.looks_out(moment):
            break
    return circuit.state


@pytest.mark.parametrize(
    ("failed", "served", "state"),
    [
        (100, 0, CircuitState.PROBING),
        (98, 2, CircuitState.PROBING),
        (90, 10, CircuitState.PROBING),
        (88, 12, CircuitState.CLOSED),
        (50, 50, CircuitState.CLOSED),
        (4, 0, CircuitState.PROBING),
        (3, 0, CircuitState.CLOSED),  # nothing but failures, yet too few to tell in this way
        (0, 100, CircuitState.CLOSED),
    ],
)
def test_nine_failures_of_ten_open_a_circuit(failed: int, served: int, state: CircuitState) -> None:
    """Over five seconds and twenty calls; with less, the calls that succeed would pay for it."""
    circuit = Circuit(concurrency_max=512)
    tried_for(circuit, seconds=20, failed=0, served=10)
    assert tried_for(circuit, seconds=5, failed=failed, served=served, from_moment=120.0) is state


def test_what_fails_again_does_not_open_a_circuit() -> None:
    """A hundred sessions that can never succeed are tried again and again; the one that is served goes on."""
    circuit = Circuit(concurrency_max=512)
    assert tried_for(circuit, seconds=60, failed=100, served=1, first=False) is CircuitState.CLOSED


def test_a_moment_of_failures_opens_nothing() -> None:
    """Four seconds of nothing but failures among a steady stream are no outage."""
    circuit = Circuit(concurrency_max=512)
    tried_for(circuit, seconds=20, failed=0, served=100)
    assert tried_for(circuit, seconds=3, failed=100, served=0, from_moment=120.0) is CircuitState.CLOSED
    assert tried_for(circuit, seconds=10, failed=0, served=100, from_moment=123.0) is CircuitState.CLOSED


def test_whoever_looks_often_sees_the_same_five_seconds() -> None:
    """The pump looks whenever it has a turn: three seconds of failures are no outage for it either."""
    circuit = Circuit(concurrency_max=512)
    for step in range(130):
        moment = 100.0 + step / 10
        for _ in range(10):
            circuit.depart(moment)
            circuit.land()
            if step < 100:
                circuit.succeed(moment)
            else:
                circuit.fail(moment)
        assert not circuit.looks_out(moment)


def nearly_out() -> tuple[Circuit, float]:
    """A circuit that opened though some calls were served."""
    circuit = Circuit(concurrency_max=512)
    assert tried_for(circuit, seconds=10, failed=95, served=5) is CircuitState.PROBING
    return circuit, circuit.ask_again_at() or 0.0


def probe(circuit: Circuit, now: float, *, serves: bool) -> float:
    """One probe; when the next may go."""
    assert circuit.admits(now)
    circuit.depart(now)
    circuit.land(is_first=False)
    if serves:
        circuit.succeed(now)
    else:
        circuit.fail(now, is_first=False)
    return circuit.ask_again_at() or now


def proofs_of(circuit: Circuit, now: float) -> int:
    """How many successes in a row close it."""
    count = 0
    while circuit.state is not CircuitState.CLOSED:
        now = probe(circuit, now, serves=True)
        count += 1
    return count


def test_where_some_always_passed_one_success_proves_nothing() -> None:
    """Three in a row close such a circuit, a tenth of a second apart; a failure in between begins the count anew."""
    circuit, now = nearly_out()
    for serves in (True, True, False, True, True):
        now = probe(circuit, now, serves=serves)
        assert circuit.state is CircuitState.PROBING
    assert probe(circuit, now, serves=True) >= now
    assert circuit.state is CircuitState.CLOSED
    assert circuit.concurrency.limit == 2, "gently"


def test_a_circuit_does_not_stay_open_for_want_of_calls() -> None:
    """One probe was served, and nobody else has anything to say: five seconds later it is closed."""
    circuit, now = nearly_out()
    probe(circuit, now, serves=True)
    circuit.looks_out(now + 4.0)
    assert circuit.state is CircuitState.PROBING
    circuit.looks_out(now + 5.0)
    assert circuit.state is CircuitState.CLOSED
    circuit.looks_out(now + 10.0)
    assert circuit.closings == 1, "once"


def test_a_circuit_does_not_close_without_any_success() -> None:
    """Nobody has anything to say since a probe failed: it stays as it is."""
    circuit, now = nearly_out()
    probe(circuit, now, serves=False)
    circuit.looks_out(now + 6.0)
    assert circuit.state is CircuitState.PROBING


def test_after_a_success_probes_are_frequent_again() -> None:
    """Where it takes several: a tenth of a second after the next failure, however rare they had become."""
    circuit, now = nearly_out()
    for _ in range(20):
        now = probe(circuit, now, serves=False)
    next_at = probe(circuit, now, serves=True)
    assert next_at == pytest.approx(now + 0.1)
    assert probe(circuit, next_at, serves=False) == pytest.approx(next_at + 0.1)


def test_who_refuses_us_has_failed_for_another_reason() -> None:
    """Some calls always passed before; then come the credentials, and the first success says that they are mended."""
    circuit, now = nearly_out()
    assert circuit.misconfigured(now + 6.0, "check")
    assert proofs_of(circuit, now + 11.0) == 1


def test_the_failures_of_an_outage_do_not_open_the_circuit_again() -> None:
    """What failed before it closed is over; only what is tried since then is looked at."""
    circuit, now = nearly_out()
    for _ in range(3):
        now = probe(circuit, now, serves=True)
    assert tried_for(circuit, seconds=8, failed=0, served=10, from_moment=now) is CircuitState.CLOSED
    assert tried_for(circuit, seconds=8, failed=95, served=5, from_moment=now + 8.0) is CircuitState.PROBING


@pytest.mark.parametrize(("seconds", "state"), [(5, CircuitState.CLOSED), (6, CircuitState.PROBING)])
def test_after_an_outage_five_seconds_are_looked_at_first(seconds: int, state: CircuitState) -> None:
    """Then nine failures of ten open the circuit as ever."""
    circuit, _ = nearly_out()
    for moment in (118.0, 119.0, 120.0):
        probe(circuit, moment, serves=True)
    assert tried_for(circuit, seconds=seconds, failed=95, served=5, from_moment=120.0) is state


@pytest.mark.parametrize(
    ("failed", "served", "is_sound"),
    [(60, 40, False), (50, 50, True), (40, 60, True), (10, 0, False), (9, 0, True), (0, 0, True)],
)
def test_who_fails_most_is_no_judge(failed: int, served: int, *, is_sound: bool) -> None:
    """While most first tries fail, a failure says nothing about its event; a few failures tell nothing."""
    circuit = Circuit(concurrency_max=512)
    tried_for(circuit, seconds=1, failed=0, served=0)
    for second in range(1, 6):
        tried_for(circuit, seconds=1, failed=failed // 5 + (second <= failed % 5), served=served // 5, from_moment=100.0 + second)
    assert circuit.is_sound is is_sound


def test_who_was_no_judge_becomes_one_by_serving() -> None:
    """Not by being asked for little."""
    circuit = Circuit(concurrency_max=512)
    tried_for(circuit, seconds=6, failed=12, served=8)
    assert not circuit.is_sound
    tried_for(circuit, seconds=10, failed=1, served=0, from_moment=106.0)
    assert not circuit.is_sound
    tried_for(circuit, seconds=6, failed=1, served=1, from_moment=116.0)
    assert circuit.is_sound


# --- lost sessions, and the source ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("moment", [0.0, 0.5, 100.0])
def test_an_allowance_is_a_seconds_worth_and_then_so_many_per_second(moment: float) -> None:
    """A second's worth may go at once, from the first moment on; then one by one."""
    allowance = Allowance(4.0)
    count = 0
    while allowance.admits(moment):
        assert allowance.ask_again_at() == moment, "at once"
        allowance.take()
        count += 1
    assert count == 4
    assert allowance.ask_again_at() == pytest.approx(moment + 0.25)
    assert not allowance.admits(moment + 0.2)
    assert allowance.admits(moment + 0.251)


def test_an_allowance_below_one_per_second_still_lets_one_go() -> None:
    """One every ten seconds is a whole one every ten seconds."""
    allowance = Allowance(0.1)
    assert allowance.admits(100.0)
    allowance.take()
    assert not allowance.admits(109.0)
    assert allowance.admits(150.0)
    allowance.take()
    assert not allowance.admits(150.0), "nothing is saved up"


def test_an_allowance_is_not_saved_up() -> None:
    """However long nobody asked, no more than a second's worth goes at once."""
    allowance = Allowance(3.0)
    allowance.admits(0.0)
    count = 0
    while allowance.admits(86_400.0):
        allowance.take()
        count += 1
    assert count == 3


@pytest.mark.parametrize(("name", "limit"), [("byte_count", 1_000), ("event_count", 100), ("lane_count", 50), ("crowded_lanes", 1)])
def test_each_limit_pauses_the_source(name: str, limit: int) -> None:
    """Bytes, events, lanes, or one session that holds all it may: any of them is enough."""
    buffer = Buffer(Limits(buffer_bytes_max=1_000, buffer_events_max=100, lanes_max=50))
    setattr(buffer, name, limit - 1)
    assert not buffer.is_full
    setattr(buffer, name, limit)
    assert buffer.is_full
    setattr(buffer, name, 0)
    assert not buffer.is_full


@pytest.mark.parametrize(("name", "limit"), [("byte_count", 1_000), ("event_count", 100)])
def test_the_source_goes_on_only_when_there_is_some_room(name: str, limit: int) -> None:
    """Once full, full until a quarter is free: pausing throws away what was prefetched."""
    buffer = Buffer(Limits(buffer_bytes_max=1_000, buffer_events_max=100))
    setattr(buffer, name, limit)
    assert buffer.is_full
    setattr(buffer, name, int(limit * 0.75))
    assert buffer.is_full
    setattr(buffer, name, int(limit * 0.75) - 1)
    assert not buffer.is_full
    setattr(buffer, name, limit - 1)
    assert not buffer.is_full, "and then up to the limit again"


def test_what_is_held_unless_somebody_says_otherwise() -> None:
    """The core by itself holds what the settings say by default, so that benches measure what users run."""
    limits, fields = Limits(), ApiSettings.model_fields
    assert limits.concurrency_max == fields["concurrency_max"].default
    assert limits.concurrency_min == fields["concurrency_min"].default
    assert limits.retry_after_seconds_max == RetrySettings().retry_after_seconds_max
    assert limits.reopenings_per_second_max == SessionSettings().reopenings_per_second_max
    for name in ("buffer_bytes_max", "buffer_events_max", "session_events_max", "lanes_max", "shed_pings_after_seconds"):
        assert getattr(limits, name) == getattr(LimitSettings(), name)
