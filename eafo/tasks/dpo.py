"""Preference tuning of GPT-2 as a task: supervised fine-tuning, then direct preference optimisation at four strengths."""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from eafo.tasks.classification import check_run
from eafo.tasks.gpt2 import OFFICIAL, TINY, Gpt2
from eafo.tasks.preference_files import HH, SHP
from eafo.tasks.preferences import GENERATED, Preferences
from eafo.tasks.protocol import Learned, Outcome
from eafo.tasks.recipe import Recipe
from eafo.tasks.setting import Setting

if TYPE_CHECKING:
    from collections.abc import Mapping

    from eafo.activation import Activation
    from eafo.tasks.preferring import Evaluation, Imitation, Preferring, Reference

__all__ = ["BETAS", "DPO", "DPO_HH", "DPO_SHP", "PreferenceTuning"]

BETAS = (0.1, 1.0, 2.0, 5.0)
#: Steps over which the published rate rises.
_WARMUP = 150
_PUBLISHED = Recipe("rmsprop", learning_rate=5e-7, batch=32, clip=10.0)
_FROM_RANDOM = Recipe("rmsprop", learning_rate=1e-3, batch=16, clip=10.0)


@dataclass(frozen=True)
class PreferenceTuning:
    """A task that tunes a GPT-2 on preferences, and scores how often it prefers what was preferred.

    The pipeline of Sun et al., A method on searching better activation functions, 2024 (section 5 and Appendix E.2), after Rafailov et al., 2023:
    the activation stands in every block; the network learns the chosen responses, and from there, with it as the reference, the
    preferences, once for each β of 0.1, 1, 2 and 5. Prompts and responses of 512 tokens at most.

    Score: the mean over the four β of the accuracy of the rewards on pairs held out, in percent. The outcome's ``metrics`` hold margin,
    accuracy and loss for each β, as the paper's table 4 does, and the nats a token after the fine-tuning.

    Args:
        name: how plans and commands call it.
        preferences: what is learned.
        network: the GPT-2.
        imitating: the recipe of the fine-tuning.
        preferring: that of the optimisation of preferences.
        lengths: epochs of each budget, of either part.
        counts: comparisons of each budget.
    """

    name: str
    preferences: Preferences
    network: Gpt2
    imitating: Recipe
    preferring: Recipe
    lengths: tuple[int, int, int]
    counts: tuple[int | None, int | None, int | None]
    measure: str = "accuracy of the rewards / %"

    @property
    def description(self) -> str:
        """In a sentence."""
        return (
            f"{self.network.name} on {self.preferences.name}: fine-tuning on the chosen responses, then DPO at β = 0.1, 1, 2, 5, "
            f"RMSprop {self.preferring.learning_rate:g}, batch {self.preferring.batch}; mean accuracy of the rewards on pairs held out"
        )

    @property
    def epochs(self) -> Mapping[str, int]:
        """The number of epochs of each budget, of the fine-tuning and of the rest."""
        return MappingProxyType(dict(zip(("tiny", "short", "full"), self.lengths, strict=True)))

    @property
    def examples(self) -> Mapping[str, int | None]:
        """The number of comparisons of each budget."""
        return MappingProxyType(dict(zip(("tiny", "short", "full"), self.counts, strict=True)))

    def prepare(self) -> None:
        """Check that files and packages are there.

        Raises:
            DataError: a file is missing.
            MissingDependencyError: transformers is not installed.
        """
        self.network.check()
        self.preferences.check()

    def run(self, activation: Activation, seed: int, epochs: int, setting: Setting | None = None) -> Outcome:
        """Tune and score; repeatable bit for bit on one machine's processor.

        Raises:
            InputError: a wrong seed or number of epochs.
            DataError: a file is missing or damaged.
            MissingDependencyError: transformers is not installed.
            DivergedError: a loss left the finite numbers.
        """
        check_run(seed, epochs)
        setting = setting or Setting()
        from eafo.tasks.preferring import judged  # noqa: PLC0415 - torch is loaded only where a training runs
        from eafo.tasks.train import prepared, train  # noqa: PLC0415

        imitation = self.imitation(setting)
        recipe = _warmed(self.imitating, epochs * imitation.steps)
        first = train(imitation, activation, recipe, seed=seed, epochs=epochs, share=0.0, setting=setting)
        with prepared(setting):
            reference = judged(imitation.built.eval(), imitation, setting.precision)
        parts, found = {"imitation": first}, {}
        for beta in BETAS:
            problem = self.optimisation(imitation, reference, beta)
            recipe = _warmed(self.preferring, epochs * problem.steps)
            parts[f"β={beta:g}"] = train(
                problem, activation, recipe, seed=seed, epochs=epochs, share=0.0, setting=setting
            )
            with prepared(setting):
                found[beta] = problem.evaluate(problem.built.eval())
        return _together(seed, parts, found)

    def imitation(self, setting: Setting) -> Imitation:
        """The fine-tuning."""
        from eafo.tasks.preferring import Imitation, sequences  # noqa: PLC0415 - as above

        tokens, keep_end = self.network.tokens(), self.preferences.keep_end
        pairs, test = (sequences(p, tokens, keep_end) for p in self.preferences.read(setting.examples))
        return Imitation(pairs, test, self.imitating.batch, self.network.build)

    def optimisation(self, imitation: Imitation, reference: Reference, beta: float) -> Preferring:
        """The optimisation of preferences that follows a fine-tuning."""
        from eafo.tasks.preferring import Preferring  # noqa: PLC0415 - as above

        pairs, test, batch = imitation.pairs, imitation.test_pairs, self.preferring.batch
        return Preferring(pairs, test, batch, imitation.built, reference, beta)


def _warmed(recipe: Recipe, steps: int) -> Recipe:
    """The recipe with its rate rising over 150 steps, or over all where there are fewer."""
    return replace(recipe, warmup=min(_WARMUP, steps) / steps)


def _together(seed: int, parts: Mapping[str, Outcome], found: Mapping[float, Evaluation]) -> Outcome:
    """The mean over β, and what each part brought."""
    imitation, *preferring = parts.values()
    metrics = {"nats a token": -imitation.score}
    for beta, evaluation in found.items():
        metrics |= {
            f"margin, β={beta:g}": evaluation.margin,
            f"accuracy, β={beta:g}": evaluation.accuracy,
            f"loss, β={beta:g}": evaluation.loss,
        }
    count = len(preferring)
    return Outcome(
        seed=seed,
        score=sum(o.score for o in preferring) / count,
        curve=tuple(sum(scores) / count for scores in zip(*(o.curve for o in preferring), strict=True)),
        loss=tuple(sum(losses) / count for losses in zip(*(o.loss for o in preferring), strict=True)),
        learned=tuple(
            Learned(f"{name}.{one.parameter}", one.start, one.end)
            for name, o in parts.items()
            for one in o.learned
        ),
        seconds=sum(o.seconds for o in parts.values()),
        steps=sum(o.steps for o in parts.values()),
        metrics=metrics,
        layers=tuple(
            replace(layer, name=f"{name}.{layer.name}") for name, o in parts.items() for layer in o.layers
        ),
    )


DPO = PreferenceTuning(
    "dpo",
    GENERATED,
    TINY,
    _FROM_RANDOM,
    replace(_FROM_RANDOM, learning_rate=1e-4),
    (1, 2, 5),
    (128, None, None),
)
"""Preference tuning that needs no files: a small GPT-2 with random weights, and generated preferences of which a tenth are wrong.

Data: 1,024 and 256 comparisons of a kind answer with a rude one. Recipe: RMSprop, 1e-3 for the fine-tuning and 1e-4 for DPO, batch 16.
Cost: some seconds for the budget ``"tiny"`` on one processor. Needs ``eafo[transformers]``.
"""

DPO_HH = PreferenceTuning("dpo-hh", HH, OFFICIAL, _PUBLISHED, _PUBLISHED, (1, 1, 1), (64, 4096, None))
"""GPT-2 on Anthropic's HH by the published recipe: RMSprop, its rate read as 5e-7 (the exponent was lost), batch 32, gradients bounded at 10.

Published with SHP and HH, CRReLU / GELU: at β = 0.1 margin 0.1428 / 0.1419, accuracy 0.6210 / 0.6196, loss 0.6476 / 0.6480; at 1 0.4626 / 0.4556, 0.5756 /
0.5731, 0.9201 / 0.9298; at 2 0.7736 / 0.7176, 0.5628 / 0.5606, 1.462 / 1.481; at 5 1.846 / 1.651, 0.5635 / 0.5566, 3.268 / 3.305. Cost: an epoch of 160,000
comparisons five times over: meant for a GPU. Needs ``eafo[transformers]``.
"""

DPO_SHP = PreferenceTuning("dpo-shp", SHP, OFFICIAL, _PUBLISHED, _PUBLISHED, (1, 1, 1), (64, 4096, None))
"""The same on Stanford's SHP."""
