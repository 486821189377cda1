"""The loop of a search: ask for candidates, have them trained seed by seed, tell what came of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import optuna
from optuna.trial import TrialState

from eafo.activation import Activation
from eafo.search.executors import Executor, Job, Result
from eafo.search.records import ACTIVATION, BASE, LAW, REASON, outcome_key, read_outcomes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eafo.search.plan import Plan
    from eafo.search.progress import Progress
    from eafo.search.space import Candidate
    from eafo.tasks import Outcome

__all__ = ["Driver"]


@dataclass(eq=False)
class _Flight:
    """A trial that has been asked and not told."""

    trial: optuna.Trial
    activation: Activation
    outcomes: dict[int, Outcome]
    reported: int
    sent: set[int] = field(default_factory=set)

    @property
    def mean(self) -> float:
        return sum(o.score for o in self.outcomes.values()) / len(self.outcomes)


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
    """

    def __init__(
        self,
        study: optuna.Study,
        plan: Plan,
        candidates: Sequence[Candidate],
        executor: Executor,
        progress: Progress,
    ) -> None:
        self._study, self._plan, self._executor, self._progress = study, plan, executor, progress
        self._candidates = {(c.base, c.law): c for c in candidates}
        self._flights: dict[int, _Flight] = {}
        self._busy = 0
        self._known: dict[tuple[str, int], Outcome] = {}
        self._best: tuple[float, str] | None = None
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
        self._progress.started(total * self._plan.seeds, ended * self._plan.seeds)
        try:
            for frozen in open_trials:
                self._resume(frozen)
            self._fill()
            while self._busy:
                self._take(self._executor.next())
                self._fill()
        finally:
            self._progress.finished()

    def _ask_no_more(self) -> None:
        self._missing = 0

    # -- asking ------------------------------------------------------------------------------------------------

    def _recall(self, trials: Sequence[optuna.trial.FrozenTrial]) -> None:
        """Remember the outcomes of earlier runs, and the best score."""
        for trial in trials:
            if ACTIVATION not in trial.user_attrs:
                continue
            activation = str(trial.user_attrs[ACTIVATION])
            for seed, outcome in read_outcomes(trial).items():
                self._known[activation, seed] = outcome
            if trial.state == TrialState.COMPLETE and trial.value is not None:
                self._note_best(trial.value, Activation.from_json(activation), trial.number)

    def _resume(self, frozen: optuna.trial.FrozenTrial) -> None:
        if frozen.state == TrialState.WAITING:
            # Put there by hand (Optuna's enqueue_trial): asked for in its turn like any other.
            self._missing += 1
            return
        trial = optuna.trial.Trial(self._study, frozen._trial_id)
        self._board(trial, read_outcomes(frozen), len(frozen.intermediate_values))

    def _ask(self) -> None:
        self._missing -= 1
        self._board(self._study.ask(), {}, 0)

    def _board(self, trial: optuna.Trial, outcomes: dict[int, Outcome], reported: int) -> None:
        activation = self._suggest(trial)
        trial.set_user_attr(ACTIVATION, activation.to_json())
        flight = _Flight(trial, activation, outcomes, reported)
        self._flights[trial.number] = flight
        for seed in self._plan.all_seeds:
            known = self._known.get((activation.to_json(), seed))
            if known is not None and seed not in outcomes:
                self._store(flight, known)
        self._advance(flight)

    def _suggest(self, trial: optuna.Trial) -> Activation:
        """Define by run: base, law, then the parameters that this candidate has."""
        bases = list(dict.fromkeys(base for base, _ in self._candidates))
        laws = list(dict.fromkeys(law for _, law in self._candidates))
        base = str(trial.suggest_categorical(BASE, bases))
        law = str(trial.suggest_categorical(LAW, laws))
        candidate = self._candidates[base, law]
        return candidate.with_values(
            {r.name: trial.suggest_float(r.name, r.low, r.high, log=r.log) for _, r in candidate.ranges}
        )

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

    def _unsent(self, flight: _Flight) -> list[int]:
        return [s for s in self._plan.all_seeds if s not in flight.sent and s not in flight.outcomes]

    def _send(self, flight: _Flight, seed: int) -> None:
        flight.sent.add(seed)
        self._busy += 1
        plan = self._plan
        self._executor.submit(
            Job(flight.trial.number, flight.activation, plan.task, seed, plan.epochs, plan.setting)
        )

    def _take(self, result: Result) -> None:
        self._busy -= 1
        flight = self._flights.get(result.job.owner)
        if flight is None:
            return  # Pruned or failed while this seed was running.
        if result.outcome is None:
            self._end(flight, TrialState.FAIL, f"seed {result.job.seed}: {result.error}")
        else:
            self._store(flight, result.outcome)
            self._advance(flight)

    # -- telling -----------------------------------------------------------------------------------------------

    def _store(self, flight: _Flight, outcome: Outcome) -> None:
        flight.trial.set_user_attr(outcome_key(outcome.seed), outcome.to_dict())
        flight.outcomes[outcome.seed] = outcome
        self._known[flight.activation.to_json(), outcome.seed] = outcome
        self._progress.advanced(1, self._best[1] if self._best else "")

    def _advance(self, flight: _Flight) -> None:
        """Report the mean of each finished run of first seeds; end the trial where it is complete or hopeless."""
        seeds = self._plan.all_seeds
        finished = 0
        total = 0.0
        for seed in seeds:
            if seed not in flight.outcomes:
                break
            finished += 1
            total += flight.outcomes[seed].score
            if finished > flight.reported:
                flight.trial.report(total / finished, step=finished)
                flight.reported = finished
        if finished == len(seeds):
            self._end(flight, TrialState.COMPLETE)
        elif finished and flight.trial.should_prune():
            count = f"{finished} seed{'s' * (finished > 1)}"
            self._end(flight, TrialState.PRUNED, f"pruned after {count}, at a mean of {total / finished:.2f}")

    def _end(self, flight: _Flight, state: TrialState, reason: str = "") -> None:
        number = flight.trial.number
        if reason:
            flight.trial.set_user_attr(REASON, reason)
        self._study.tell(number, flight.mean if state == TrialState.COMPLETE else None, state=state)
        del self._flights[number]
        self._busy -= len(self._executor.cancel(number))
        if state == TrialState.COMPLETE:
            self._note_best(flight.mean, flight.activation, number)
        self._progress.advanced(self._plan.seeds - len(flight.outcomes), self._best[1] if self._best else "")

    def _note_best(self, mean: float, activation: Activation, number: int) -> None:
        if self._best is None or mean > self._best[0]:
            values = ", ".join(f"{name}={value:.4g}" for name, value in activation.defaults.items())
            shown = f"{activation.name}({values})" if values else activation.name
            self._best = mean, f"best {mean:.2f} {shown} #{number}"
