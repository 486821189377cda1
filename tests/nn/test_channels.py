"""A value a channel throughout a network: where the channels are, and what is refused."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from eafo.errors import InputError
from eafo.nn import Module, by_channel
from eafo.tasks.models import GPT, ConvNet, LeNet
from eafo.tasks.vision import build_model


def _widths(model: nn.Module) -> list[tuple[int | None, int]]:
    return [(m.channels, m.channel_dim) for m in model.modules() if isinstance(m, Module)]


def _layer(_kind: str = "") -> Module:
    return Module("crrelu", backend="aten")


def test_channels_are_where_convolutions_and_dense_layers_leave_them():
    network, images = LeNet(_layer), torch.randn(2, 784)
    before = {n: p.clone() for n, p in network.named_parameters() if "activations" not in n}
    expected = network.eval()(images)
    network.train()
    by_channel(network, lambda: network(images))
    assert _widths(network) == [(6, 1), (16, 1), (120, 1), (84, -1), (84, -1)]
    assert network.training
    assert all(torch.equal(before[n], p) for n, p in network.named_parameters() if n in before)
    torch.testing.assert_close(network.eval()(images), expected)


def test_a_transformer_has_its_channels_last():
    network = GPT(_layer, width=12, depth=2, heads=2, context=5, gated=True)
    tokens = torch.randint(256, (2, 5))
    by_channel(network, lambda: network(tokens))
    assert _widths(network) == [(32, -1), (32, -1)]
    vision = build_model("vit-tiny", "cifar10", "crrelu")
    by_channel(vision, lambda: vision(torch.randn(1, 3, 32, 32)))
    assert set(_widths(vision)) == {(768, -1)}


def test_every_channel_gets_a_gradient_of_its_own():
    network, x = ConvNet(_layer), torch.randn(8, 40)
    by_channel(network, lambda: network(x))
    network(x).square().mean().backward()
    for layer in network.activations:
        assert layer.epsilon.grad.shape == (25,)
        assert layer.epsilon.grad.unique().numel() == 25


def test_statistics_and_generators_are_left_alone():
    network = nn.Sequential(nn.Conv1d(1, 3, 5), nn.BatchNorm1d(3), Module("xielu"), nn.Dropout(0.5))
    x = torch.randn(4, 1, 20)
    state = torch.random.get_rng_state()
    by_channel(network, lambda: network(x))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert network[1].num_batches_tracked == 0
    assert network[2].raw_alpha_p.shape == (3,)
    assert network[2].alpha_p.tolist() == pytest.approx([0.8] * 3)


def test_what_has_nothing_to_learn_or_has_channels_stays():
    network = nn.Sequential(nn.Linear(4, 6), Module("relu"), Module("crrelu", channels=6, channel_dim=-1))
    by_channel(network, lambda: network(torch.randn(2, 4)))
    assert _widths(network) == [(None, 1), (6, -1)]
    with pytest.raises(InputError, match="a layer must have no channels to be given some, but got 6"):
        network[2].widen(6)


def test_one_activation_at_two_widths_is_refused():
    shared = Module("crrelu")
    network = nn.Sequential(nn.Linear(4, 6), shared, nn.Linear(6, 5), shared)
    with pytest.raises(
        InputError, match=r"one width and dimension, but got '1: 6 channels in dimension -1 and 5 in -1'"
    ):
        by_channel(network, lambda: network(torch.randn(2, 4)))
    assert shared.channels is None


def test_an_activation_that_the_run_does_not_reach_is_refused():
    network = nn.Sequential(nn.Linear(4, 6), Module("crrelu"))
    with pytest.raises(InputError, match="the run must reach every activation of the network, but got '1'"):
        by_channel(network, lambda: None)
    further = nn.Sequential(network, nn.Linear(6, 4), Module("crrelu"))
    with pytest.raises(InputError, match="the run must reach every activation"):
        by_channel(further, lambda: network(torch.randn(2, 4)))
    # None is changed where one is missed.
    assert _widths(further) == [(None, 1), (None, 1)]


def test_named_inputs_and_frozen_parameters():
    class Named(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer, self.act = nn.Linear(4, 6), Module("crrelu")

        def forward(self, x):
            return self.act(x=self.layer(x))

    network = Named()
    network.act.epsilon.requires_grad_(False)
    by_channel(network, lambda: network(torch.randn(2, 4)))
    assert _widths(network) == [(6, -1)]
    assert not network.act.epsilon.requires_grad
