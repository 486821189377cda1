"""On what trainings run: precision, compilation, the number of examples; and who may be asked for it."""

from __future__ import annotations

import dataclasses
import os
from typing import ClassVar

import pytest
import torch

import eafo
from eafo import tasks
from eafo.errors import InputError
from eafo.tasks import Outcome, Setting
from eafo.tasks.problem import Labels
from eafo.tasks.train import train


class Plain:
    """A user's task that takes no setting."""

    name, description = "plain", "a constant"
    epochs: ClassVar = {"tiny": 1, "short": 1, "full": 1}
    examples: ClassVar = {"tiny": 8}

    def prepare(self) -> None: ...

    def run(self, activation, seed, epochs):
        return Outcome(seed, float(epochs))


def run(name: str = "mnist1d-mlp", epochs: int = 2, **setting) -> Outcome:
    return tasks.run(tasks.get(name), eafo.get("crrelu"), 3, epochs, Setting(**setting))


def test_a_setting_survives_its_own_form() -> None:
    setting = Setting("cuda:1", "float16", True, 7, True, checkpoints="kept")
    assert Setting.from_dict(setting.to_dict()) == setting
    assert Setting().to_dict() == {}
    assert Setting.from_dict({"stacked": 3}) == Setting(stacked=3)
    with pytest.raises(InputError, match="a setting must be what to_dict wrote, but got 'colour'"):
        Setting.from_dict({"colour": 1})
    assert Setting(rate=2.0).to_dict() == {"rate": 2.0}
    assert Setting(examples=3).with_examples(5).examples == 3
    assert Setting().with_examples(5).examples == 5


def test_a_task_without_a_setting_runs_in_the_default_alone() -> None:
    found = Plain()
    assert tasks.length(found, "tiny") == (1, 8)
    assert tasks.length(found, "full") == (1, None)
    assert tasks.run(found, eafo.get("relu"), 4, 2, Setting()) == Outcome(4, 2.0)
    with pytest.raises(InputError, match="takes the keyword setting, but got 'plain'; leave out compiled"):
        tasks.run(found, eafo.get("relu"), 4, 2, Setting(compiled=True))


def test_a_value_a_channel_starts_where_the_layer_would_and_learns_apart() -> None:
    given, recipe = tasks.get("mnist1d").problem(Setting(examples=300)), tasks.get("mnist1d").recipe
    kept = []

    class Watched(Labels):
        def build(self, activation):
            model = super().build(activation)
            kept.append(model)
            return model

    watched = Watched(given.model, given.data, given.batch)
    found = [
        train(watched, eafo.get("crrelu(epsilon=0.2)"), recipe, seed=1, epochs=2, share=0.5, setting=setting)
        for setting in (Setting(), Setting(per_channel=True))
    ]
    layers = [[m for m in model.modules() if isinstance(m, eafo.nn.Module)] for model in kept]
    assert [layer.channels for layer in layers[0]] == [None] * 3
    assert [layer.channels for layer in layers[1]] == [25] * 3
    for ours, layer in zip(found[1].learned, layers[1], strict=True):
        assert ours.start == pytest.approx(0.2)
        assert ours.end == pytest.approx(float(layer.epsilon.detach().mean()))
        assert layer.epsilon.unique().numel() == 25
    # Weights, order and the first step's loss are those of the layer that has one value.
    assert found[0].loss[0] == pytest.approx(found[1].loss[0], rel=0.02)
    assert found[0].loss != found[1].loss
    with pytest.raises(InputError, match="per_channel must be true or false, but got 1"):
        Setting(per_channel=1)  # type: ignore[arg-type]  # that is the test


def test_half_precision_trains_nearly_as_float32() -> None:
    plain, half = run(), run(precision="bfloat16")
    assert half.loss != plain.loss
    assert half.loss == pytest.approx(plain.loss, rel=0.02)
    assert run(precision="bfloat16").loss == half.loss


def test_float16_scales_its_loss() -> None:
    assert run(precision="float16").loss == pytest.approx(run().loss, rel=0.01)


# torch's own, where its compiler is loaded.
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_compiled_training_is_the_same_but_for_rounding() -> None:
    assert run(compiled=True).loss == pytest.approx(run().loss, rel=1e-3)


def test_the_first_examples_alone_are_used() -> None:
    assert run(examples=250).steps == 2 * 3  # batches of 100
    assert run("ood", examples=64).steps == 3 * 2
    with pytest.raises(InputError, match="a text has no examples to count, but got 5; give fewer epochs"):
        run("char-lm", examples=5)


def test_a_device_that_is_not_there_is_refused() -> None:
    with pytest.raises(
        InputError, match=r"torch must have the device here \(.*\), but got 'gpu'; leave it out"
    ):
        run(device="gpu")
    if not torch.cuda.is_available():
        with pytest.raises(InputError, match=r"torch must have the device here .*'cuda'"):
            run(device="cuda")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_on_a_gpu_it_trains_as_here() -> None:
    assert run(device="cuda").loss == pytest.approx(run().loss, rel=1e-3)


@pytest.mark.skipif(not os.environ.get("EAFO_DATA"), reason="EAFO_DATA is not set")
def test_labels_are_those_of_the_first_examples() -> None:
    found = tasks.get("mnist-mlp")
    assert isinstance(found, tasks.mnist.Classification)
    whole, part = found.problem(), found.problem(Setting(examples=100))
    assert isinstance(part, Labels)
    assert part.data.test_labels.tolist() == whole.data.test_labels[:100].tolist()
    assert part.steps == 2
    recipe = dataclasses.replace(found.recipe, batch=100)
    outcome = train(part, eafo.get("relu"), recipe, seed=0, epochs=1, share=0.0)
    assert (outcome.score * 100) % 100 == pytest.approx(0, abs=1e-9)


def test_a_rate_is_times_that_of_the_recipe() -> None:
    task = tasks.get("mnist1d")
    twice = dataclasses.replace(
        task, recipe=dataclasses.replace(task.recipe, learning_rate=2 * task.recipe.learning_rate)
    )
    found = tasks.run(task, eafo.get("relu"), 3, 2, Setting(examples=200, rate=2.0))
    assert found.loss == tasks.run(twice, eafo.get("relu"), 3, 2, Setting(examples=200)).loss
    assert found.loss != tasks.run(task, eafo.get("relu"), 3, 2, Setting(examples=200)).loss
    for rate in (0, -1.0, float("inf"), float("nan"), True, "2"):
        with pytest.raises(InputError, match="a rate must be a positive number"):
            Setting(rate=rate)  # type: ignore[arg-type]
