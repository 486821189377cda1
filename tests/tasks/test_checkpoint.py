"""A training that stops and goes on ends where it would have ended; and what its layers saw is kept."""

from __future__ import annotations

import dataclasses

import pytest
import torch

import eafo
from eafo import tasks
from eafo.errors import DataError, InputError
from eafo.nn import Module
from eafo.tasks import Outcome, Setting, ood
from eafo.tasks.checkpoint import Checkpoint
from eafo.tasks.classification import Classification
from eafo.tasks.problem import Labels
from eafo.tasks.protocol import QUANTILES, Layer
from eafo.tasks.recipe import Recipe
from eafo.tasks.train import train


class StoppedError(Exception):
    pass


@dataclasses.dataclass(frozen=True)
class Stopping(Labels):
    """Stops like a killed process, in the midst of an epoch."""

    #: In a list: numbers among the fields tell trainings apart.
    stop: list[int] = dataclasses.field(default_factory=list)

    def batches(self, order, epoch):
        for number, batch in enumerate(super().batches(order, epoch)):
            if (self.stop, number) == ([epoch], 2):
                raise StoppedError
            yield batch


def dropping(activation) -> torch.nn.Module:
    """A network that draws from torch's own generator."""
    return torch.nn.Sequential(
        torch.nn.Linear(40, 32),
        activation(),
        torch.nn.Dropout(0.5),
        torch.nn.BatchNorm1d(32),
        torch.nn.Linear(32, 10),
    )


def given(stop: int = 10**9) -> Stopping:
    found = tasks.get("mnist1d")
    assert isinstance(found, Classification)
    data = found.problem(Setting(examples=500)).data
    return Stopping(dropping, data, 100, [stop])


RECIPE = Recipe("adamw", 3e-3, 100, weight_decay=0.1, schedule="cosine", warmup=0.2, clip=1.0)


def run(stop: int = 10**9, **setting) -> Outcome:
    return train(
        given(stop), eafo.get("crrelu"), RECIPE, seed=4, epochs=5, share=0.5, setting=Setting(**setting)
    )


@pytest.mark.parametrize("precision", ["float32", "float16"])
@pytest.mark.parametrize("stop", [0, 1, 4])
def test_a_training_goes_on_bit_for_bit(tmp_path, stop, precision) -> None:
    kept = {"checkpoints": str(tmp_path), "precision": precision, "record": True}
    with pytest.raises(StoppedError):
        run(stop, **kept)
    assert len(list(tmp_path.iterdir())) == min(stop, 1)
    found, right = run(**kept), run(precision=precision, record=True)
    assert dataclasses.replace(found, seconds=right.seconds) == right
    assert found.seconds > 0
    # What has ended is not trained again.
    assert run(0, **kept) == found


def test_another_training_has_another_file(tmp_path) -> None:
    kept = Setting(checkpoints=str(tmp_path))
    for activation, seed, epochs in (("crrelu", 4, 1), ("crrelu", 5, 1), ("crrelu", 4, 2), ("gelu", 4, 1)):
        train(given(), eafo.get(activation), RECIPE, seed=seed, epochs=epochs, share=0.5, setting=kept)
    assert len(list(tmp_path.iterdir())) == 4
    # Two functions of two variables: the same network and steps, other targets.
    for function in (ood.polynomial, ood.momentum):
        train(
            ood.problem(2, function), eafo.get("relu"), ood.RECIPE, seed=0, epochs=1, share=0.5, setting=kept
        )
    assert len(list(tmp_path.iterdir())) == 6


def test_a_damaged_checkpoint_is_named(tmp_path) -> None:
    run(checkpoints=str(tmp_path))
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(DataError, match=rf"{file.name} must be a whole checkpoint .*; delete it"):
        run(checkpoints=str(tmp_path))
    from safetensors.torch import save_file

    save_file({"a": torch.ones(1)}, file)
    with pytest.raises(DataError, match=r"must be a checkpoint, but got 'no format'; delete it"):
        run(checkpoints=str(tmp_path))


def test_a_directory_that_cannot_be_is_refused(tmp_path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="checkpoints need a directory that can be written"):
        run(checkpoints=str(tmp_path / "file"))


def test_a_full_disk_leaves_the_old_checkpoint(tmp_path, monkeypatch) -> None:
    kept = Checkpoint(str(tmp_path), "key")
    state = {"n": 1, "t": torch.arange(3), "by": {0: [torch.ones(2), None, "a"]}}
    kept.write(state)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(InputError, match=r"checkpoints must be writable \(No space left on device\)"):
        kept.write({"n": 2})
    assert [p.name for p in tmp_path.iterdir()] == ["key.safetensors"]
    found = kept.read()
    assert found is not None
    assert found["n"] == 1
    assert found["t"].tolist() == [0, 1, 2]
    assert found["by"][0][0].tolist() == [1.0, 1.0]
    assert found["by"][0][1:] == [None, "a"]


def test_what_a_layer_saw_is_recorded() -> None:
    outcome = run(record=True)
    (layer,) = outcome.layers
    assert layer.name == "1"
    assert len(layer.mean) == len(layer.deviation) == len(layer.parameters["epsilon"]) == 5
    assert layer.parameters["epsilon"][-1] == outcome.learned[0].end
    assert Layer.from_dict(layer.to_dict()) == layer
    assert dataclasses.replace(outcome, layers=(), seconds=0) == dataclasses.replace(run(), seconds=0)


def test_quantiles_and_moments_are_those_of_the_inputs() -> None:
    from eafo.tasks.recording import Recorder

    torch.manual_seed(0)
    model = torch.nn.Sequential(Module("relu"), torch.nn.ReLU())
    x = 3 + 2 * torch.randn(100, 40)
    recorder = Recorder(model)
    recorder.look(lambda: model(x))
    (layer,) = recorder.layers()
    assert layer.mean[0] == pytest.approx(x.mean().item())
    assert layer.deviation[0] == pytest.approx(x.std(correction=0).item(), rel=1e-5)
    right = torch.quantile(x.flatten().double(), torch.tensor(QUANTILES, dtype=torch.float64))
    assert layer.quantiles == pytest.approx(right.tolist(), rel=1e-9)
    law = layer.law()
    assert float(law.numeric.ppf(0.5)) == pytest.approx(3, abs=0.15)
