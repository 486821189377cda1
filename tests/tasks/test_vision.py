"""The vision transformers have the sizes of the paper's table, and do what their names say."""

from __future__ import annotations

import pytest
import torch

import eafo.tasks
from eafo.errors import InputError
from eafo.tasks.vision import build_model

#: Sun et al. 2024, Appendix E, in parameters.
PUBLISHED = {
    ("vit-tiny", "cifar10"): 5_399_818,
    ("vit-tiny", "cifar100"): 5_417_188,
    ("vit-tiny", "imagenet"): 5_754_472,
    ("deit-tiny", "cifar10"): 5_365_076,
    ("deit-tiny", "cifar100"): 5_399_816,
    ("deit-tiny", "imagenet"): 5_910_800,
    ("tnt-small", "cifar10"): 21_525_298,
    ("tnt-small", "cifar100"): 21_559_948,
}


def size(model: torch.nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize(("name", "data"), PUBLISHED)
def test_the_sizes_are_the_published_ones(name: str, data: str) -> None:
    assert size(build_model(name, data, "gelu")) == PUBLISHED[name, data]
    # One ε a feed-forward layer.
    layers = 24 if name == "tnt-small" else 12
    assert size(build_model(name, data, "crrelu")) == PUBLISHED[name, data] + layers


@pytest.mark.parametrize("name", ["vit-tiny", "deit-tiny", "tnt-small"])
def test_a_batch_is_classified_and_every_parameter_learns(name: str) -> None:
    torch.manual_seed(0)
    model = eafo.tasks.build_model(name, "cifar10", "crrelu")
    x, labels = torch.randn(2, 3, 32, 32), torch.tensor([3, 7])
    logits = model(x)
    assert logits.shape == (2, 10)
    # At the start nothing is known.
    loss = torch.nn.functional.cross_entropy(logits, labels)
    assert abs(loss.item() - 2.302585) < 0.3
    loss.backward()
    silent = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    # Of a single inner token the attention is 1, whatever query and key are.
    assert all("attention" in n and "inner_blocks" in n for n in silent), silent


def test_images_do_not_see_each_other_and_the_order_of_patches_matters() -> None:
    torch.manual_seed(0)
    for name in ("vit-tiny", "deit-tiny", "tnt-small"):
        model = build_model(name, "cifar10", "relu").eval()
        x = torch.randn(3, 3, 32, 32)
        torch.testing.assert_close(model(x)[1:2], model(x[1:2]), rtol=1e-4, atol=1e-5)
        assert not torch.allclose(model(x), model(x.roll(8, dims=-1)), atol=1e-5)


def test_deit_answers_by_both_heads() -> None:
    torch.manual_seed(0)
    model = build_model("deit-tiny", "cifar10", "gelu").eval()
    x = torch.randn(2, 3, 32, 32)
    own, teachers = model.logits(x)
    assert not torch.allclose(own, teachers)
    torch.testing.assert_close(model(x), (own + teachers) / 2)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("vit", "cifar10"), "the models are: deit-tiny, tnt-small, vit-tiny, but got 'vit'"),
        (("vit-tiny", "mnist"), "the data sets of a model are: cifar10, cifar100, imagenet, but got 'mnist'"),
        (("tnt-small", "imagenet"), "tnt-small is for cifar10 and cifar100, but got 'imagenet'"),
    ],
)
def test_unknown_names_are_refused(given: tuple[str, str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        build_model(*given, "gelu")
