"""What a batch tells of an activation before any training."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from eafo import laws
from eafo.errors import InputError, RefusedError
from eafo.search import features as module
from eafo.search.features import features
from eafo.tasks import Setting
from eafo.theory import entropy

FEW = Setting(examples=200)


def test_they_are_the_same_each_time_and_differ_with_the_seed() -> None:
    one, again, other = (features("gelu", "mnist1d-mlp", seed, FEW) for seed in (0, 0, 1))
    assert one == again
    assert list(one) == list(other)
    assert {name for name in one if one[name] == other[name]} <= {"fisher.rank"}
    assert all(math.isfinite(value) for value in one.values())


def test_the_loss_at_the_start_is_that_of_guessing() -> None:
    assert features("relu", "mnist1d", setting=FEW)["loss"] == pytest.approx(math.log(10), abs=0.1)


@pytest.mark.parametrize("name", ["relu", "gelu", "relu_squared", "tanh"])
def test_entropies_of_a_normal_sample_are_those_by_quadrature(name: str) -> None:
    from eafo import catalog

    sample = laws.get("normal").numeric.ppf((np.arange(50_000) + 0.5) / 50_000)
    found = module._of_outputs([np.asarray(catalog.get(name)(sample), np.float64)])
    expected = entropy.of(name, "normal", "fp8")
    assert found["entropy.mean"] == pytest.approx(expected.value, abs=2e-3)
    assert found["scale_free_entropy.last"] == pytest.approx(expected.scale_free, abs=2e-3)
    assert 0.5 * found["output_log_variance.mean"] == pytest.approx(math.log10(expected.scale), abs=1e-3)


def test_of_layers_there_are_a_mean_and_the_last() -> None:
    rng = np.random.default_rng(0)
    found = module._of_outputs([rng.normal(0, 1, 5000), rng.uniform(2, 4, 5000)])
    assert found["output_mean.mean"] == pytest.approx(1.5, abs=0.03)
    assert found["output_mean.last"] == pytest.approx(3, abs=0.03)
    assert found["output_kurtosis.last"] == pytest.approx(-1.2, abs=0.05)
    assert found["entropy.last"] == pytest.approx(math.log(2), abs=0.05)


def test_the_spectrum_is_summed_up() -> None:
    from eafo.nn.fisher import Factors

    values = np.array([1e-4, 1e-3, 1e-2, 1e-1])
    found = module._of_fisher(
        [Factors("a", values, np.ones(1), 5, 1.0), Factors("b", values, np.ones(1), 5, 1.0)]
    )
    assert found["fisher.log_trace"] == pytest.approx(math.log10(0.2222))
    assert found["fisher.log_100"] == pytest.approx(-1)
    assert found["fisher.condition"] == pytest.approx(-1 - found["fisher.log_10"])
    assert found["fisher.rank"] == 0.8
    equal = module._of_fisher([Factors("a", np.full(7, 0.3), np.ones(1), 7, 1.0)])
    assert 10 ** equal["fisher.effective_rank"] == pytest.approx(7)


def test_a_scaled_output_has_another_entropy_and_the_same_scale_free_one() -> None:
    one, double = (features(f"{k}*max(x, 0)", "mnist1d", setting=FEW) for k in (1, 2))
    # In one layer; in the mean over all, the scale of the first moves the inputs of the next.
    assert double["entropy.mean"] > one["entropy.mean"] + math.log(2)
    assert double["scale_free_entropy.mean"] == pytest.approx(one["scale_free_entropy.mean"], abs=0.1)


def test_nobody_else_is_disturbed() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    features("relu", "mnist1d-mlp", setting=FEW)
    assert torch.equal(torch.rand(3), expected)
    assert "log_gradient.spread" in features("relu", "char-lm-gated")


@pytest.mark.parametrize(
    ("formula", "reason"),
    [
        ("0*x", "the outputs of a layer must be finite and not all the same, but got 0"),
        ("exp(exp(50*x))", "a layer's inputs and gradients must be finite"),
    ],
)
def test_what_has_no_features_is_told_with_the_reason(formula: str, reason: str) -> None:
    with pytest.raises(RefusedError, match=f"has no features on mnist1d: .*{reason}"):
        features(formula, "mnist1d", setting=FEW)


def test_a_network_without_a_gradient_is_refused() -> None:
    with pytest.raises(InputError, match="dense layers or convolutions must have a gradient"):
        module._of_gradients([])


def test_a_task_without_a_problem_is_refused() -> None:
    with pytest.raises(
        InputError, match=r"features need a task with the method problem\(setting\), but got 'ood'"
    ):
        features("relu", "ood")
