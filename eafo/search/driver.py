"""The loop of a search: ask for candidates, have them trained seed by seed, tell what came of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import optuna
from optuna.trial import TrialState

from eafo.errors import EafoError
from eafo.search.cost import objective
from eafo.search.executors import Executor, Job, Result
from eafo.search.records import ACTIVATION, REASON, outcome_key, read_outcomes, read_rungs, rung_key
from eafo.search.suggesting import Proposal, Suggester
from eafo.search.surrogate import PASSED_OVER, Chooser

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eafo.activation import Activation
    from eafo.search.plan import Plan
    from eafo.search.progress import Progress
    from eafo.search.space import Candidate
    from eafo.search.suggesting import Key
    from eafo.tasks import Outcome

__all__ = ["Driver"]


#: A training of a candidate: epochs and seed.
_Unit = tuple[int, int]


@dataclass(eq=False)
class _Flight:
    """A trial that has been asked and not told."""

    trial: optuna.Trial
    proposal: Proposal
    #: By epochs and seed.
    outcomes: dict[_Unit, Outcome]
    reported: int
    sent: set[_Unit] = field(default_factory=set)


class Driver:
    """Runs what is missing of a study; it alone writes to the storage.

    Each finished seed is stored at once, so that a driver that is killed loses no more than the trainings in progress:
    the next one goes on with the same trials and the same parameters. A candidate that has been trained before gets the
    scores it had then, for a training is a pure function.

    Args:
        study: the Optuna study, with sampler and pruner.
        plan: what was asked for.
        candidates: the plan's bases × laws.
        executor: where trainings run.
        progress: told how far it is.
        batch: so many candidates are asked at once, and their results told in the order in which they were asked; None: one
            is asked whenever a worker is free.
    """

    def __init__(
        self,
        study: optuna.Study,
        plan: Plan,
        candidates: Sequence[Candidate],
        executor: Executor,
        progress: Progress,
        *,
        batch: int | None = None,
    ) -> None:
        self._study, self._plan, self._executor, self._progress = study, plan, executor, progress
        self._suggester = Suggester(plan, candidates)
        self._flights: dict[int, _Flight] = {}
        self._batch = batch
        self._busy = 0
        self._known: dict[tuple[Key, _Unit], Outcome] = {}
        self._costs: dict[Key, list[float]] = {}
        self._best: tuple[float, str] | None = None
        surrogate = plan.surrogate
        self._chooser = Chooser(plan, surrogate.pool, surrogate.startup) if surrogate else None
        #: Asked by an earlier run that did not get as far as choosing.
        self._undecided: list[optuna.Trial] = []
        # A sampler that has nothing left to propose (Optuna's GridSampler) calls this; Optuna's own raises when a study
        # is driven by ask and tell.
        study.stop = self._ask_no_more  # type: ignore[method-assign]

    def work(self) -> None:
        """Run until the study has all its trials."""
        trials = self._study.get_trials(deepcopy=False)
        self._missing = max(0, self._plan.trials - len(trials))
        self._recall(trials)
        open_trials = [t for t in trials if not t.state.is_finished()]
        ended = len(trials) - len(open_trials)
        total = ended + len(open_trials) + self._missing
        units = len(self._plan.units)
        self._progress.started(total * units, ended * units)
        try:
            for frozen in open_trials:
                self._resume(frozen)
            if self._batch is not None:
                self._work_in_batches(self._batch)
            self._fill()
            while self._busy:
                self._take(self._executor.next())
                self._fill()
        finally:
            self._progress.finished()

    def _work_in_batches(self, size: int) -> None:
        """The same study on however many workers: what is told, and when, does not depend on which training ends first."""
        while self._flights or self._missing:
            while self._missing and len(self._flights) < size:
                self._ask()
            for unit in self._plan.units:
                waiting = [f for f in self._flights.values() if unit not in f.outcomes]
                for flight in waiting:
                    self._send(flight, unit)
                results = sorted((self._executor.next() for _ in waiting), key=lambda r: r.job.owner)
                for result in results:
                    self._take(result)

    def _ask_no_more(self) -> None:
        self._missing = len(self._undecided)

    # -- asking ------------------------------------------------------------------------------------------------

    def _recall(self, trials: Sequence[optuna.trial.FrozenTrial]) -> None:
        """Remember the outcomes of earlier runs, and the best score."""
        for trial in trials:
            proposal = self._suggester.recall(trial)
            if proposal is None:
                continue
            for unit, outcome in self._read(trial).items():
                self._known[proposal.key, unit] = outcome
            if self._chooser:
                self._chooser.recall(trial, proposal, self._read(trial))
            if trial.state == TrialState.COMPLETE and trial.values:
                self._costs[proposal.key] = trial.values[1:]
                self._note_best(trial.values[0], proposal.activation, trial.number)

    def _resume(self, frozen: optuna.trial.FrozenTrial) -> None:
        if frozen.state == TrialState.WAITING:
            # Put there by hand (Optuna's enqueue_trial): asked for in its turn like any other.
            self._missing += 1
            return
        trial = optuna.trial.Trial(self._study, frozen._trial_id)
        reason = str(frozen.user_attrs.get(REASON, ""))
        if reason.startswith(PASSED_OVER):
            self._dismiss(trial, reason)
        elif self._chooser and ACTIVATION not in frozen.user_attrs:
            self._undecided.append(trial)
            self._missing += 1
        elif proposal := self._admitted(trial):
            self._board(trial, proposal, self._read(frozen), len(frozen.intermediate_values))

    def _read(self, trial: optuna.trial.FrozenTrial) -> dict[_Unit, Outcome]:
        """Every finished training of a trial."""
        whole = {(self._plan.epochs, seed): outcome for seed, outcome in read_outcomes(trial).items()}
        return read_rungs(trial) | whole

    def _ask(self) -> None:
        """Ask for a candidate; or for a pool of them, of which the surrogate chooses one."""
        pool: list[tuple[optuna.Trial, Proposal]] = []
        for _ in range(self._chooser.pool if self._chooser else 1):
            if not self._missing:
                break
            self._missing -= 1
            trial = self._undecided.pop(0) if self._undecided else self._study.ask()
            proposal = self._admitted(trial)
            if proposal is None:
                continue
            if self._chooser is None or self._costs_nothing(proposal):
                self._board(trial, proposal, {}, 0)
                continue
            self._chooser.look(trial, proposal)
            pool.append((trial, proposal))
        if self._chooser is None or not pool:
            return
        best, reasons = self._chooser.choose(pool)
        for (trial, proposal), reason in zip(pool, reasons, strict=True):
            if reason:
                self._dismiss(trial, reason, proposal)
        self._board(*pool[best], {}, 0)

    def _admitted(self, trial: optuna.Trial) -> Proposal | None:
        """The candidate of a trial; None, and the trial told, where it is none to be trained."""
        try:
            proposal = self._suggester.suggest(trial)
            filters = self._plan.space.filters
            refusal = filters.refusal(proposal.activation) if filters is not None else ""
        except EafoError as error:
            refusal = str(error)
        if refusal:
            self._dismiss(trial, f"left out: {refusal}")
            return None
        return proposal

    def _costs_nothing(self, proposal: Proposal) -> bool:
        """Whether it has been trained before."""
        return all((proposal.key, unit) in self._known for unit in self._plan.units)

    def _board(
        self, trial: optuna.Trial, proposal: Proposal, outcomes: dict[_Unit, Outcome], reported: int
    ) -> None:
        if self._chooser:
            self._chooser.look(trial, proposal)
        trial.set_user_attr(ACTIVATION, proposal.activation.to_json())
        flight = _Flight(trial, proposal, outcomes, reported)
        self._flights[trial.number] = flight
        for unit in self._plan.units:
            known = self._known.get((proposal.key, unit))
            if known is not None and unit not in outcomes:
                self._store(flight, unit, known)
        self._advance(flight)

    def _dismiss(self, trial: optuna.Trial, reason: str, proposal: Proposal | None = None) -> None:
        """Tell of a candidate that is not trained: pruned, so that the sampler learns from it."""
        trial.set_user_attr(REASON, reason)
        if proposal is not None:
            trial.set_user_attr(ACTIVATION, proposal.activation.to_json())
        self._study.tell(trial, state=TrialState.PRUNED)
        self._progress.advanced(len(self._plan.units), self._best[1] if self._best else "")

    # -- training ----------------------------------------------------------------------------------------------

    def _fill(self) -> None:
        """Keep every worker busy: first the next seed of each trial, then new trials, then seeds ahead of their turn."""
        while self._busy < self._executor.workers:
            waiting = [f for f in self._flights.values() if self._unsent(f)]
            idle = next((f for f in waiting if not f.sent - f.outcomes.keys()), None)
            if idle is None and self._missing:
                self._ask()
                continue
            flight = idle or next(iter(waiting), None)
            if flight is None:
                return
            self._send(flight, self._unsent(flight)[0])

    def _unsent(self, flight: _Flight) -> list[_Unit]:
        """What may be trained next; up the ladder one rung at a time, for the next may not be reached."""
        plan = self._plan
        for unit in plan.units[: len(plan.ladder)]:
            if unit not in flight.outcomes:
                return [] if unit in flight.sent else [unit]
        return [u for u in plan.units if u not in flight.sent and u not in flight.outcomes]

    def _send(self, flight: _Flight, unit: _Unit) -> None:
        flight.sent.add(unit)
        self._busy += 1
        proposal = flight.proposal
        self._executor.submit(
            Job(
                flight.trial.number,
                proposal.activation,
                self._plan.task,
                unit[1],
                unit[0],
                proposal.setting,
            )
        )

    def _take(self, result: Result) -> None:
        self._busy -= 1
        flight = self._flights.get(result.job.owner)
        if flight is None:
            return  # Pruned or failed while this seed was running.
        if result.outcome is None:
            self._end(flight, TrialState.FAIL, f"seed {result.job.seed}: {result.error}")
        else:
            self._store(flight, (result.job.epochs, result.job.seed), result.outcome)
            self._advance(flight)

    # -- telling -----------------------------------------------------------------------------------------------

    def _store(self, flight: _Flight, unit: _Unit, outcome: Outcome) -> None:
        epochs, seed = unit
        key = outcome_key(seed) if epochs == self._plan.epochs else rung_key(epochs, seed)
        flight.trial.set_user_attr(key, outcome.to_dict())
        flight.outcomes[unit] = outcome
        self._known[flight.proposal.key, unit] = outcome
        self._progress.advanced(1, self._best[1] if self._best else "")

    def _advance(self, flight: _Flight) -> None:
        """Report each rung's score, then the mean of each finished run of first seeds; end the trial where it is complete or hopeless."""
        units, rungs = self._plan.units, len(self._plan.ladder)
        # Optuna takes neither reports nor prunes where there are several objectives.
        single = len(self._plan.objectives) == 1
        finished = 0
        total = 0.0
        value = 0.0
        for unit in units:
            if unit not in flight.outcomes:
                break
            finished += 1
            score = flight.outcomes[unit].score
            total += score if finished > rungs else 0.0
            value = score if finished <= rungs else total / (finished - rungs)
            if single and finished > flight.reported:
                flight.trial.report(value, step=self._plan.step(finished - 1))
                flight.reported = finished
        if finished == len(units):
            self._end(flight, TrialState.COMPLETE, value=value)
        elif finished and single and flight.trial.should_prune():
            seeds = finished - rungs
            count = f"{seeds} seed{'s' * (seeds > 1)}" if seeds > 0 else f"{units[finished - 1][0]} epochs"
            self._end(flight, TrialState.PRUNED, f"pruned after {count}, at a mean of {value:.2f}")

    def _end(self, flight: _Flight, state: TrialState, reason: str = "", value: float | None = None) -> None:
        number, proposal = flight.trial.number, flight.proposal
        values = None
        if value is not None:
            try:
                values = [value, *self._further(proposal)]
            except EafoError as error:
                told = ", ".join(self._plan.objectives[1:])
                state, value, reason = TrialState.FAIL, None, f"{told}: {error}"
        if reason:
            flight.trial.set_user_attr(REASON, reason)
        self._study.tell(number, values, state=state)
        del self._flights[number]
        if self._chooser and state != TrialState.FAIL:
            self._chooser.learn(proposal, flight.outcomes)
        self._busy -= len(self._executor.cancel(number))
        if value is not None:
            self._note_best(value, proposal.activation, number)
        left = len(self._plan.units) - len(flight.outcomes)
        self._progress.advanced(left, self._best[1] if self._best else "")

    def _further(self, proposal: Proposal) -> list[float]:
        """The further objectives; of a candidate that had them before, those: the best of many measurements would flatter it."""
        if proposal.key not in self._costs:
            names = self._plan.objectives[1:]
            self._costs[proposal.key] = [objective(n, proposal.activation, proposal.setting) for n in names]
        return self._costs[proposal.key]

    def _note_best(self, mean: float, activation: Activation, number: int) -> None:
        if self._best is None or mean > self._best[0]:
            values = ", ".join(f"{name}={value:.4g}" for name, value in activation.defaults.items())
            shown = f"{activation.name}({values})" if values else activation.name
            self._best = mean, f"best {mean:.2f} {shown} #{number}"
