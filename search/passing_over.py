"""What a sampler learns from candidates that were proposed and not trained.

python search/passing_over.py  runs 40 searches of 30 trainings each way: on a parabola over three bases, by TPE, every training chosen out of four proposals,
once by chance and once by guesses that are right in part; what is passed over told as pruned, or as failed, which TPE does not see.
"""

import numpy as np
import optuna
from optuna.trial import TrialState

_BASES = ("a", "b", "c")
_TRAININGS, _STARTUP, _SEARCHES = 30, 10, 40
_TOP = 2.0


def regret(seed: int, pool: int, state: TrialState, skill: float) -> float:
    """How far the best of a search is below the top."""
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed))
    rng, best = np.random.default_rng(seed), -np.inf
    for training in range(_TRAININGS):
        asked = []
        for _ in range(pool if training >= _STARTUP else 1):
            trial = study.ask()
            base = _BASES.index(trial.suggest_categorical("base", _BASES))
            score = base - 10 * (trial.suggest_float("x", -1, 3) - 0.3) ** 2
            asked.append((skill * score + (1 - skill) * rng.normal(0, 3), score, trial))
        asked.sort(key=lambda one: -one[0])
        for _, _, trial in asked[1:]:
            study.tell(trial, state=state)
        study.tell(asked[0][2], asked[0][1])
        best = max(best, asked[0][1])
    return float(_TOP - best)


def main() -> None:
    """Print the median of each way."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    ways = [("all are trained", 1, TrialState.PRUNED, 0.0)]
    ways += [
        (f"passed over {how}, told as {state.name.lower()}", 4, state, skill)
        for how, skill in (("by chance", 0.0), ("by guesses", 0.7))
        for state in (TrialState.PRUNED, TrialState.FAIL)
    ]
    for name, pool, state, skill in ways:
        found = [regret(seed, pool, state, skill) for seed in range(_SEARCHES)]
        print(f"{name:45}{np.median(found):.4f} below the top")


if __name__ == "__main__":
    main()
