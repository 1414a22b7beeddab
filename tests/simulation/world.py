"""A world: players, a Kafka, an API and some relays, all in virtual time and all from one seed.

In: a seed. Out: `run` returns what happened, or raises `Violation`, or whatever bug came out of the relay. First everything goes wrong that
the seed has in store; then the world heals, and must become quiet within a bound.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from random import Random
from typing import Final

import msgspec
from simulation.api import Api
from simulation.checks import FORGOTTEN, Account
from simulation.ending import check_end
from simulation.facts import Figures, LostTrack, Terms, Violation
from simulation.faults import STEPS, Faults, draw_more
from simulation.kafka import Group, StateLog, Topic
from simulation.loop import VirtualLoop
from simulation.process import Process, Settings, draw_order
from simulation.situations import OUTCOMES, Situations
from simulation.states import StateTeller
from simulation.stories import Said, Storyteller

BEGAN: Final = 1_000.0  # of the virtual clock
SMALL_SECONDS: Final = 1_000.0  # what is longer does not come to pass in a world
PROCESSES_MAX: Final = 4
QUIET_SECONDS_MAX: Final = 600.0
REST_SECONDS: Final = 2.0  # what was answered last is taken in
SPIN_SECONDS: Final = 0.01
SPIN_STEPS_MAX: Final = 2_000
SETTLING_SECONDS: Final = 2.0  # after the end of a state outage what waited for it may still be under way


class World:
    """Everything there is."""

    def __init__(self, seed: int, *, tells: Callable[[str], None] | None = None) -> None:
        """Draw a world."""
        self.seed = seed
        self.random = random = Random(seed)  # noqa: S311  # a world, no secret
        self.loop = VirtualLoop()
        self._apart = Random(f"apart {seed}")  # noqa: S311  # what came to the worlds later, so that the rest of each stays
        self.faults, self.settings, self.seconds = self._draw(random)
        self.situations = Situations()
        self.are_letters_down = False
        self.is_registry_down = False
        self._tells = tells
        self._names = 0
        self._state_troubled_until = 0.0
        self._traps: list[str] = []
        partition_count = random.randrange(1, 4)
        self.topic = Topic(partition_count, random, has_gaps=random.random() < 0.5)
        self.process_count = random.choice((1, 1, 2, 3))
        self.account = Account(self.topic, self.loop.clock, self._terms(), self.situations)
        self.state = StateLog(partition_count)
        self.state.heard = self.account.remembered
        self.api = Api(self.loop, random, self.faults, self.account)
        self.group = Group(self.loop, random, self.faults, self.topic, self.account, is_classic=self._apart.random() < 0.5)
        self.account.group_owners = self.group.owners
        self.processes: list[Process] = []
        self.saids: list[Said] = []
        self._unsaid = self._plan_players()

    # --- the face ---------------------------------------------------------------------------------------------------------------------

    def run(self) -> Figures:
        """From the first event until everything is quiet."""
        try:
            self._go_on_until_quiet()
        except LostTrack:
            self.account.figures.excuse("lost track: a zombie wrote over what states rest on")
        return self.account.figures

    def _go_on_until_quiet(self) -> None:
        self.trace("world %d: %s %s", self.seed, self.faults, self.settings)
        for _ in range(self.process_count):
            self._start_process()
        self._plan_faults()
        end = self.loop.now + self.seconds
        self.loop.call_later(self.seconds, lambda: None)
        self._run_until(lambda: self.loop.now >= end)
        self._heal()
        self._become_quiet()
        self._check_end()

    def trace(self, text: str, *values: object) -> None:
        """One line, for those who replay a seed."""
        if self._tells is not None:
            self._tells(f"{self.loop.now - BEGAN:9.3f}  {text % values}")

    def exited(self, process: Process, how: str) -> None:
        """A process is gone; something starts it again, at once or later."""
        self.trace("%s %s", process.name, how)
        self.processes.remove(process)
        self.loop.call_later(self.random.choice((0.1, 1.0, 8.0)), self._start_process)

    def passed(self, step: str, process: Process) -> None:
        """A process has come to a step at which somebody may wait for it: it is killed there, or stands still."""
        if step in self._traps and not process.is_stopping:
            self._traps.remove(step)
            self.trace("%s is trapped: %s", process.name, step)
            trouble = self.random.choice((process.crash, process.crash, partial(process.freeze, 25.0), partial(process.hang, 25.0)))
            self.loop.call_later(self.random.choice((0.0, 0.001, 0.03)), trouble)

    @property
    def is_state_troubled(self) -> bool:
        """Whether memoirs may rightly not have been confirmed in time."""
        return self.loop.now < self._state_troubled_until or self.faults.state_latency[1] > 0.3

    # --- plans ------------------------------------------------------------------------------------------------------------------------

    def _draw(self, random: Random) -> tuple[Faults, Settings, float]:
        faults = draw_more(self._apart, Faults.draw(random))
        settings = replace(Settings.draw(random), order=draw_order(Random(~self.seed)))  # noqa: S311  # apart: the rest of the world stays
        settings = replace(settings, rules=msgspec.structs.replace(settings.rules, attempts_max=self._apart.choice((8, 8, 2))))
        return faults, settings, random.choice((10.0, 30.0, 60.0))

    def _plan_players(self) -> list[Said]:
        """Who says what, and in which order it comes: each player's events in theirs, the players mixed."""
        random = self.random
        storyteller = Storyteller(random)
        states = StateTeller(random, storyteller)
        # What is remembered of a player goes with the session that is forgotten: what a record comes to then depends on when.
        share = 0.6 if self._apart.random() < 0.3 and self.settings.rules.idle_seconds_max >= SMALL_SECONDS else 0.0
        stories: list[list[Said]] = []
        for number in range(random.randrange(1, 9)):
            story = (states if share and random.random() < share else storyteller).story(f"player-{number}")
            partition = random.randrange(len(self.topic.ends))
            events = [said for said in story if not said.is_silent]
            for said in story:
                said.partition = partition
            for place, said in enumerate(events):
                said.place = place
                said.is_bad = random.random() < self.faults.bad_records
                said.is_cursed = random.random() < self.faults.cursed_records
            if random.random() < self.faults.stuck_players:
                for said in story[random.randrange(len(story)) :]:
                    said.is_stuck = True
            self.account.players[story[0].key] = events
            self.account.silent[story[0].key] = [said for said in story if said.is_silent]
            stories.append(story)
        mixed: list[Said] = []
        while stories:
            story = random.choice(stories)
            mixed += [story.pop(0) for _ in range(min(len(story), random.randrange(1, 4)))]
            if not story:
                stories.remove(story)
            if random.random() < 0.03:
                poison = storyteller.poison(random.choice(("player-0", "nobody")))
                poison.partition = random.randrange(len(self.topic.ends))
                mixed.append(poison)
        return mixed

    def _plan_faults(self) -> None:
        """Spread over the first part of the world's time."""
        random, faults, loop = self.random, self.faults, self.loop
        speed = self.seconds * 0.9 / len(self._unsaid)
        moment = 0.0
        for said in self._unsaid:
            if said.parts and said is not said.parts[0]:
                continue  # its record comes with the first
            moment += random.random() * 2 * speed if random.random() < 0.9 else 0.0
            loop.call_later(min(moment, self.seconds * 0.95), partial(self._produce, said))

        def plan(count: int, act: Callable[[], None]) -> None:
            for _ in range(count):
                loop.call_later(random.random() * self.seconds, act)

        plan(faults.purges, self.api.purge)
        plan(faults.outages, self._interrupt_api)
        plan(faults.refusals_of_us, lambda: self._for_a_while("the API refuses us", self.api, "refuses_us", random.uniform(1.0, 20.0)))
        plan(faults.commit_outages, lambda: self._for_a_while("no commits", self.group, "is_refusing", random.uniform(0.5, 10.0)))
        plan(faults.letter_outages, lambda: self._for_a_while("no letters", self, "are_letters_down", random.uniform(0.5, 20.0)))
        plan(faults.registry_outages, lambda: self._for_a_while("no schemas", self, "is_registry_down", random.uniform(0.5, 20.0)))
        plan(faults.state_outages, self._interrupt_state)
        plan(faults.compactions, lambda: self.state.compact(drops_tombstones=random.random() < 0.5))
        for trouble in faults.troubles:
            loop.call_later(random.random() * self.seconds, partial(self._trouble, trouble))

    def _terms(self) -> Terms:
        faults, rules = self.faults, self.settings.rules
        is_plain = self.process_count == 1 and set(faults.troubles) <= {"crash", "terminate", "reread"} and faults.has_prompt_receipts
        receipt_seconds = 2 * self.settings.receipt_seconds + 6 * faults.state_latency[1] + 2 * faults.commit_latency[1] + 0.2
        return Terms(
            attempts_max=rules.attempts_max,
            openings_max=rules.openings_max,
            may_forget=rules.idle_seconds_max < SMALL_SECONDS,
            may_be_too_old=rules.age_seconds_max < SMALL_SECONDS,
            park_after_seconds=rules.park_after_seconds,
            session_events_max=self.settings.limits.session_events_max,
            age_seconds_max=rules.age_seconds_max,
            too_old=rules.too_old,
            skipped_when_unknown=rules.skipped_when_unknown,
            may_shed=self.settings.limits.shed_pings_after_seconds is not None,
            repeat_seconds_max=receipt_seconds if is_plain else None,
            durable_seconds_max=None if faults.state_outages else 4 * faults.state_latency[1] + 0.05,
        )

    # --- what happens -----------------------------------------------------------------------------------------------------------------

    def _produce(self, said: Said) -> None:
        self.topic.append(said, self.loop.now, self.loop.wall_clock())
        self.saids += said.parts
        self.trace("produced %s", said)
        self.situations.sometimes(OUTCOMES["derived in parts"], happens=said.is_derived and len(said.parts) > 1)
        for process in self.processes:
            process.consumer.wake()

    def _for_a_while(self, what: str, owner: object, name: str, seconds: float) -> None:
        self.trace("%s for %.1f s", what, seconds)
        setattr(owner, name, True)
        self.loop.call_later(seconds, lambda: setattr(owner, name, False))

    def _interrupt_api(self) -> None:
        self.api.out_since = self.loop.now
        self._for_a_while("the API is out", self.api, "is_out", self.random.uniform(*self.faults.outage_seconds))

    def _interrupt_state(self) -> None:
        seconds = self.random.uniform(0.2, 10.0)
        self._state_troubled_until = max(self._state_troubled_until, self.loop.now + seconds + SETTLING_SECONDS)
        self._for_a_while("no memoirs", self.state, "is_down", seconds)

    def _trouble(self, kind: str) -> None:
        """Something happens to a process; what is stopping already is left alone."""
        process = self.random.choice(self.processes) if self.processes else None
        if process is None or process.is_stopping:
            return
        self.trace("%s: %s", process.name, kind)
        seconds = self.random.choice((0.5, 4.0, 9.0, 20.0))
        consumer = process.consumer
        troubles: dict[str, Callable[[], object]] = {
            "crash": process.crash,
            "terminate": process.terminate,
            "hurry": lambda: process.hurry(self.random.random()),
            "join": self._start_process,
            "freeze": lambda: process.freeze(seconds),
            "hang": lambda: process.hang(seconds),
            "cut_off": lambda: consumer.cut_off(seconds),
            "shuffle": self.group.shuffle,
            "give_back": consumer.give_back,
            "reread": consumer.reread,
            "fence": consumer.fence,
            "trap": lambda: self._traps.append(self.random.choice(STEPS)),
        }
        troubles[kind]()

    def _start_process(self) -> None:
        if len(self.processes) < PROCESSES_MAX:
            self._names += 1
            self.processes.append(Process(self, f"relay-{self._names}"))

    # --- the end ----------------------------------------------------------------------------------------------------------------------

    def _heal(self) -> None:
        """No more faults. What is gone stays gone."""
        self.trace("the world heals")
        self.api.heal()
        self.group.heal()
        self.state.is_down = self.are_letters_down = self.is_registry_down = False
        self._traps.clear()
        for said in self.saids:
            said.is_cursed = said.is_stuck = False
        if not self.processes:
            self._start_process()

    def _become_quiet(self) -> None:
        end = self.loop.now + QUIET_SECONDS_MAX

        def tick() -> None:
            self.loop.call_later(1.0, tick)

        tick()
        self._run_until(lambda: self._is_quiet() or self.loop.now > end)
        if not self._is_quiet():
            unsettled = [said for said in self.saids if not self.account.is_on_record(said)]
            raise Violation(f"not quiet: {unsettled[:10]} of {len(unsettled)} are not on record; owners {self.group.owners}")

        end = self.loop.now + REST_SECONDS
        self._run_until(lambda: self.loop.now > end and self._is_quiet())

    def _is_quiet(self) -> bool:
        committed = self.group.committed
        return all(
            self.topic.is_complete(partition, committed.get(partition, (None, ""))[0]) for partition in range(len(self.topic.ends))
        ) and all(process.is_quiet for process in self.processes)

    def _check_end(self) -> None:
        check_end(self.account, self.saids)
        figures = self.account.figures
        repeats = figures.repeats - figures.excuses.get(FORGOTTEN, 0)  # where more sessions live than may be held, and old ones give way
        if self.faults.is_clean and (repeats or figures.openings_again):
            raise Violation(f"a clean world has repeats: {figures}")
        for process in self.processes:
            process.check_rest()

    def _run_until(self, is_reached: Callable[[], bool]) -> None:
        loop, step = self.loop, self.loop.step
        moment, steps = loop.now, loop.steps
        while not is_reached():
            if not step():
                return
            if loop.now > moment + SPIN_SECONDS:
                moment, steps = loop.now, loop.steps
            elif loop.steps > steps + SPIN_STEPS_MAX:
                raise Violation(f"something spins: {SPIN_STEPS_MAX} steps within {SPIN_SECONDS} s")
