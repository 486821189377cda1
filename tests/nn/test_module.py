"""The layer: parameters and their domains, state, copies, channels, and that it learns."""

from __future__ import annotations

import copy
import io
import pickle

import pytest
import sympy
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from eafo.activation import VARIABLE as X
from eafo.activation import Activation, Domain, Parameter
from eafo.catalog import get, names
from eafo.errors import InputError
from eafo.kernels import compile_kernel
from eafo.nn import Module


def _scaled(lower, upper, default):
    domain = Domain(lower, upper)
    symbol = Parameter("a", default, domain).symbol
    return Activation("scaled", symbol * X, (Parameter("a", default, domain, learnable=True),))


@pytest.mark.parametrize("shape", [(), (0,), (5,), (2, 3), (2, 3, 4), (2, 3, 4, 5)])
@pytest.mark.parametrize("name", ["relu", "crrelu", "srelu", "xielu"])
def test_shapes_are_kept(name, shape):
    x = torch.randn(shape)
    y = Module(name)(x)
    assert y.shape == x.shape
    torch.testing.assert_close(y, compile_kernel(name, "aten")(x))


def test_an_unbounded_parameter_is_the_parameter_itself():
    layer = Module("crrelu")
    assert [name for name, _ in layer.named_parameters()] == ["epsilon"]
    assert isinstance(layer.epsilon, torch.nn.Parameter)
    assert layer.epsilon.item() == pytest.approx(0.01)


def test_a_bounded_parameter_is_learned_raw():
    layer = Module("xielu")
    assert [name for name, _ in layer.named_parameters()] == ["raw_alpha_p", "raw_alpha_n"]
    assert layer.alpha_p.item() == pytest.approx(0.8, rel=1e-6)
    assert layer.beta == 0.5
    layer(torch.tensor([-1.0, 2.0])).sum().backward()
    assert layer.raw_alpha_p.grad.item() == pytest.approx(
        4 * torch.sigmoid(layer.raw_alpha_p).item(), rel=1e-5
    )


@pytest.mark.parametrize(
    ("lower", "upper", "default"),
    [
        (0.0, float("inf"), 0.8),
        (-2.0, float("inf"), 1e-3),
        (float("-inf"), 1.0, -4.0),
        (0.5, 1.5, 1.25),
        (0.0, float("inf"), 40.0),
    ],
)
def test_a_bounded_parameter_starts_at_its_default_and_stays_in_its_domain(lower, upper, default):
    layer = Module(_scaled(lower, upper, default)).double()
    assert layer.a.item() == pytest.approx(default, rel=1e-6, abs=1e-6)
    for raw in (-1e4, -50.0, 0.0, 50.0, 1e4):
        layer.raw_a.data.fill_(raw)
        assert lower < layer.a.item() < upper
        assert lower < layer.float().a.item() < upper
        layer.double()


@settings(deadline=None)
@given(st.floats(-30, 30))
def test_the_bijection_is_smooth(raw):
    layer = Module(_scaled(0.0, 2.0, 1.0)).double()
    layer.raw_a.data.fill_(raw)
    layer(torch.ones(3, dtype=torch.float64)).sum().backward()
    expected = 6 * torch.sigmoid(layer.raw_a) * torch.sigmoid(-layer.raw_a)
    torch.testing.assert_close(layer.raw_a.grad, expected.detach())


def test_fixed_parameters_are_numbers():
    layer = Module("srelu(t=1.5)")
    assert layer.t == 1.5
    assert list(layer.parameters()) == []


def test_one_step_of_training_moves_epsilon():
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(4, 8), Module("crrelu"), torch.nn.Linear(8, 1))
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    before = model[1].epsilon.item()
    model(torch.randn(16, 4)).pow(2).mean().backward()
    optimiser.step()
    assert model[1].epsilon.item() != before


def test_training_finds_the_epsilon_that_made_the_data():
    x = torch.linspace(-3, 3, 200, dtype=torch.float64)
    target = get("crrelu").with_parameters(epsilon=0.7)(x.numpy())
    layer = Module("crrelu").double()
    optimiser = torch.optim.LBFGS(layer.parameters(), lr=1.0, max_iter=20)

    def loss():
        optimiser.zero_grad()
        value = (layer(x) - torch.from_numpy(target)).pow(2).mean()
        value.backward()
        return value

    optimiser.step(loss)
    assert layer.epsilon.item() == pytest.approx(0.7, rel=1e-5)


@pytest.mark.parametrize("name", ["crrelu", "xielu", "srelu"])
def test_copies_and_pickles_compute_the_same(name):
    layer = Module(name, channels=3)
    for parameter in layer.parameters():
        parameter.data += torch.tensor([0.1, 0.2, 0.3])
    x = torch.randn(2, 3, 4)
    expected = layer(x)
    assert torch.equal(copy.deepcopy(layer)(x), expected)
    assert torch.equal(pickle.loads(pickle.dumps(layer))(x), expected)
    buffer = io.BytesIO()
    torch.save(layer.state_dict(), buffer)
    buffer.seek(0)
    other = Module(name, channels=3)
    other.load_state_dict(torch.load(buffer, weights_only=True))
    assert torch.equal(other(x), expected)


def test_a_copy_learns_apart():
    layer = Module("crrelu")
    other = copy.deepcopy(layer)
    other.epsilon.data.fill_(5.0)
    assert layer.epsilon.item() == pytest.approx(0.01)


@pytest.mark.parametrize("shape", [(6, 3), (6, 3, 4), (2, 3, 4, 5)])
def test_a_value_a_channel_in_dimension_one(shape):
    layer = Module("crrelu", channels=3).double()
    layer.epsilon.data.copy_(torch.tensor([0.0, 0.5, -0.5]))
    x = torch.randn(shape, dtype=torch.float64)
    y = layer(x)
    for channel, epsilon in enumerate((0.0, 0.5, -0.5)):
        single = compile_kernel("crrelu")(x[:, channel], epsilon=epsilon)
        torch.testing.assert_close(y[:, channel], single)
    y.sum().backward()
    bell = (x * torch.exp(-(x**2) / 2)).transpose(0, 1).reshape(3, -1).sum(1)
    torch.testing.assert_close(layer.epsilon.grad, bell)


def test_another_channel_dimension():
    layer = Module("prelu", channels=3, channel_dim=-1)
    layer.alpha.data.copy_(torch.tensor([1.0, 2.0, 3.0]))
    assert layer(torch.full((2, 4, 3), -1.0))[1, 2].tolist() == [-1, -2, -3]


@pytest.mark.parametrize("shape", [(3,), (2, 4), (2, 4, 3)])
def test_a_wrong_number_of_channels_is_refused(shape):
    with pytest.raises(InputError, match=r"dimension 1 of x must hold 3 channels, but got 'shape"):
        Module("crrelu", channels=3)(torch.ones(shape))


def test_types_follow_the_layer_and_the_input():
    layer = Module("crrelu").double()
    assert layer.epsilon.dtype == torch.float64
    assert layer(torch.ones(3, dtype=torch.float64)).dtype == torch.float64
    assert layer(torch.ones(3)).dtype == torch.float32
    assert Module("crrelu")(torch.ones(3, dtype=torch.bfloat16)).dtype == torch.bfloat16


def test_the_layer_shows_its_formula():
    assert repr(Module("srelu(t=1.5)")).startswith("Module(where(")
    assert "t=1.5" in repr(Module("srelu(t=1.5)"))
    assert "channels=4" in repr(Module("crrelu", channels=4))


@pytest.mark.parametrize("name", names())
def test_every_activation_is_a_layer_that_passes_gradients(name):
    layer = Module(get(name).with_learnable(*get(name).defaults))
    x = torch.linspace(-1.5, 1.5, 12, requires_grad=True)
    layer(x).square().sum().backward()
    assert x.grad.isfinite().all()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in layer.parameters())


@pytest.mark.parametrize(("name", "raw"), [("xielu", "raw_alpha_p"), ("crrelu", "epsilon")])
def test_functional_call_puts_tensors_in_place_of_parameters(name, raw):
    layer, x, value = Module(name), torch.randn(5), torch.tensor(0.0)
    found = torch.func.functional_call(layer, {raw: value}, (x,))
    getattr(layer, raw).data.copy_(value)
    assert torch.equal(found, layer(x))


@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")
@pytest.mark.parametrize("name", ["crrelu", "xielu"])
def test_a_compiled_network_computes_the_same(name):
    torch._dynamo.reset()
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(4, 8), Module(name), torch.nn.Linear(8, 2))
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
    x = torch.randn(5, 4)
    torch.testing.assert_close(compiled(x), model(x))


def test_bad_input_is_refused_in_one_line():
    with pytest.raises(
        InputError, match=r"an activation must be a catalog name or a formula, but got 'nosuch'"
    ):
        Module("nosuch")
    with pytest.raises(
        InputError, match=r"the number of channels must be a whole number, at least 1, but got 0"
    ):
        Module("crrelu", channels=0)
    with pytest.raises(InputError, match=r"x must be a floating-point tensor, but got 'torch.int64'"):
        Module("crrelu")(torch.ones(2, dtype=torch.int64))
    clash = Activation("clash", sympy.Symbol("training") * X, (Parameter("training", 1.0, learnable=True),))
    with pytest.raises(
        InputError, match=r"must not bear the name of an attribute of torch.nn.Module.*'training'"
    ):
        Module(clash)


@pytest.mark.parametrize(
    "arguments", [{"channels": 2.5}, {"channels": "3"}, {"channels": True}, {"channel_dim": "x"}]
)
def test_channels_are_whole_numbers(arguments):
    with pytest.raises(InputError, match="whole number"):
        Module("crrelu", **arguments)


def test_a_list_is_no_tensor():
    with pytest.raises(InputError, match=r"x must be a torch\.Tensor, but got 'list'"):
        Module("crrelu")([1.0, 2.0])


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:.*should not be instantiated")
@pytest.mark.parametrize("name", ["crrelu", "silu", "srelu"])
def test_an_exported_layer_computes_the_same_at_any_batch_size(name):
    layer = Module(name)
    batch = {"x": {0: torch.export.Dim.AUTO}}
    program = torch.export.export(layer, (torch.randn(4, 8),), dynamic_shapes=batch)
    x = torch.randn(7, 8)
    torch.testing.assert_close(program.module()(x), layer(x))


def test_autocast_gives_the_layer_what_the_one_before_it_made():
    network = torch.nn.Sequential(torch.nn.Linear(8, 8), Module("crrelu"))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = network(torch.randn(4, 8))
    assert y.dtype == torch.bfloat16
    y.float().sum().backward()
    assert network[1].epsilon.grad.dtype == torch.float32
    assert network[1].epsilon.grad.abs() > 0


@pytest.mark.parametrize("name", ["crrelu", "silu", "xielu"])
@pytest.mark.parametrize(
    "make",
    [
        lambda: torch.randn(5, 8),
        lambda: torch.randn(5, 8, dtype=torch.bfloat16),
        lambda: torch.randn(5, 8).t(),
        lambda: torch.randn(9, 8)[::2],
        lambda: torch.empty(0, 3),
        lambda: torch.tensor(0.3),
    ],
    ids=["dense", "bfloat16", "transposed", "strided", "empty", "scalar"],
)
def test_in_place_writes_over_x(name, make):
    x = make()
    expected, address = Module(name)(x).detach(), x.data_ptr()
    with torch.no_grad():
        y = Module(name, inplace=True)(x)
    assert y is x
    assert x.data_ptr() == address
    assert torch.equal(x, expected)


def test_in_place_passes_the_same_gradients():
    found = []
    for inplace in (False, True):
        layer, x = Module("crrelu", inplace=inplace), torch.linspace(-3, 3, 20, requires_grad=True)
        y = layer(x * 2)
        found.append((y, *torch.autograd.grad((y * torch.arange(20)).sum(), [x, layer.epsilon])))
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


@pytest.mark.parametrize("name", ["silu", "crrelu"])
def test_in_place_is_differentiated_again(name):
    layer = Module(name, inplace=True).double()
    x = torch.tensor([-2.5, -0.7, 0.4, 1.3], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(lambda v: layer(v * 2) ** 2, (x,))
    assert torch.autograd.gradgradcheck(lambda v: layer((v * 2).view(2, 2)[1:]) ** 2, (x,))


def test_in_place_is_noticed_by_what_saved_x():
    x = torch.ones(4, requires_grad=True) * 1
    squared = x**2
    with torch.no_grad():
        Module("silu", inplace=True)(x)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        squared.sum().backward()


def test_a_leaf_is_not_overwritten():
    with pytest.raises(RuntimeError, match="leaf Variable that requires grad"):
        Module("silu", inplace=True)(torch.ones(3, requires_grad=True))


# torch loads its rules of forward differentiation by a module that warns of itself.
@pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:DeprecationWarning")
def test_in_place_carries_tangents():
    x, tangent = torch.linspace(-3, 3, 7), torch.ones(7)
    _, expected = torch.func.jvp(Module("silu"), (x,), (tangent,))
    with torch.no_grad(), torch.autograd.forward_ad.dual_level():
        dual = torch.autograd.forward_ad.make_dual(x.clone(), tangent.clone())
        found = torch.autograd.forward_ad.unpack_dual(Module("silu", inplace=True)(dual)).tangent
        torch.testing.assert_close(found, expected)


def test_in_place_says_so():
    assert "inplace=True" in repr(Module("silu", inplace=True))


def test_a_replica_holds_tensors_in_place_of_parameters():
    layer = Module("xielu")
    replica, x = layer._replicate_for_data_parallel(), torch.linspace(-2, 2, 5)
    for name, parameter in layer.named_parameters():
        # What torch.nn.parallel.replicate does on each device.
        setattr(replica, name, parameter * 1)
    torch.testing.assert_close(replica(x), layer(x))
    replica(x).sum().backward()
    assert all(parameter.grad is not None for parameter in layer.parameters())


def test_a_raw_parameter_may_be_parametrized():
    layer, x = Module("xielu"), torch.linspace(-2, 2, 5)
    expected = layer(x)
    torch.nn.utils.parametrize.register_parametrization(layer, "raw_alpha_p", torch.nn.Identity())
    assert torch.equal(layer(x), expected)


# torch.jit.trace warns that it is deprecated.
@pytest.mark.filterwarnings("ignore:.*torch.jit.trace:DeprecationWarning")
@pytest.mark.parametrize(("graded", "inplace"), [(False, False), (True, False), (False, True)])
def test_a_traced_layer_computes_the_same(graded, inplace):
    layer, x = Module("crrelu", inplace=inplace), torch.linspace(-2, 2, 5)
    with torch.set_grad_enabled(graded):
        traced = torch.jit.trace(layer, x.clone())
        torch.testing.assert_close(traced(x + 1), layer(x + 1))


@pytest.mark.parametrize(("name", "parameter"), [("leaky_relu", "alpha"), ("xielu", "alpha_p")])
def test_a_parameter_that_is_read_from_elsewhere_is_not_set_in_vain(name, parameter):
    layer = Module(name)
    before = layer(torch.tensor([-1.0, 1.0]))
    with pytest.raises(
        InputError, match=rf"must be given to it when it is made, but got '{parameter} = 0\.5'"
    ):
        setattr(layer, parameter, 0.5)
    assert torch.equal(layer(torch.tensor([-1.0, 1.0])), before)
    made = getattr(Module(f"{name}({parameter}=0.5)"), parameter)
    assert torch.as_tensor(made).item() == pytest.approx(0.5)
