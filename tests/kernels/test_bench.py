"""The benchmark: what it compares, what it counts, what it refuses. No time is asserted."""

from __future__ import annotations

import csv
import io
import math

import pytest
import torch

from eafo.catalog import get
from eafo.errors import InputError
from eafo.kernels import bench as measuring
from eafo.kernels import variants
from eafo.kernels.peers import as_written, native

QUICK = {"sizes": [1024], "dtypes": ["float32"], "rounds": 3}


def _bench(*activations, variants=("eager", "native", "eafo"), **options):
    return measuring.bench(activations, variants=variants, **(QUICK | options))


def _one(measured, **wanted):
    (found,) = (m for m in measured if all(getattr(m, k) == v for k, v in wanted.items()))
    return found


@pytest.fixture(scope="module")
def measured():
    return _bench("crrelu", "silu")


def test_each_case_holds_the_variants_that_there_are(measured):
    found = {(m.activation, m.direction): [] for m in measured}
    for m in measured:
        found[m.activation, m.direction].append(m.variant)
    assert found == {
        ("crrelu", "forward"): ["copy", "eager", "eafo"],
        ("crrelu", "forward+backward"): ["copy", "eager", "eafo"],
        ("silu", "forward"): ["copy", "eager", "native", "eafo"],
        ("silu", "forward+backward"): ["copy", "eager", "native", "eafo"],
    }


def test_learnable_parameters_are_tensors_where_there_are_any(measured):
    assert {m.parameters for m in measured if m.activation == "crrelu"} == {"scalar"}
    assert {m.parameters for m in measured if m.activation == "silu"} == {"none"}


def test_times_and_shares_agree(measured):
    for m in measured:
        assert 0 < m.low <= m.seconds <= m.high
        tensors = 2 if m.direction == "forward" else 5
        assert m.gigabytes_per_second == pytest.approx(tensors * 4 * 1024 / m.seconds / 1e9)
        copy = _one(measured, activation=m.activation, direction=m.direction, variant="copy")
        assert m.share_of_copy == pytest.approx(copy.seconds / m.seconds)


def test_kept_for_backward_is_x_and_the_parameter_alone(measured):
    ours = _one(measured, activation="crrelu", direction="forward+backward", variant="eafo")
    eager = _one(measured, activation="crrelu", direction="forward+backward", variant="eager")
    assert ours.kept_bytes == 4 * 1024 + 4
    assert eager.kept_bytes >= 3 * 4 * 1024
    assert all(m.kept_bytes == 0 for m in measured if m.direction == "forward")


def test_peak_memory_counts_the_output_and_the_gradient(measured):
    ours = _one(measured, activation="silu", direction="forward", variant="eafo")
    assert ours.peak_bytes == 4 * 1024
    both = _one(measured, activation="silu", direction="forward+backward", variant="eafo")
    assert 8 * 1024 <= both.peak_bytes < 3 * 4 * 1024


def test_errors_are_measured_against_float64(measured):
    for m in measured:
        if m.variant == "copy":
            assert math.isnan(m.value_error)
        elif m.variant == "eafo":
            assert 0 < m.value_error < 20
            assert math.isnan(m.slope_error) == (m.direction == "forward")


def test_a_wrong_kernel_shows_as_an_error(monkeypatch):
    monkeypatch.setattr(variants, "_ours", lambda case, variant: lambda x, *_: x * 1.01)
    found = _bench("identity", passes=["forward"])
    assert _one(found, variant="eafo").value_error > 1e4


@pytest.mark.parametrize("parameters", measuring.PARAMETERS)
def test_parameters_as_numbers_tensors_and_channels(parameters):
    found = _bench("crrelu", parameters=parameters, passes=["forward+backward"])
    extra = {"none": 0, "scalar": 4, "channel": 4 * 256}[parameters]
    assert _one(found, variant="eafo").kept_bytes == 4 * 1024 + extra
    assert _one(found, variant="eafo").slope_error < 1000


@pytest.mark.parametrize(("form", "tensors", "kept"), [("gated", 8, 2), ("bias", 5, 1)])
def test_the_gated_and_the_bias_form(form, tensors, kept):
    found = _bench(
        "silu", form=form, variants=("eager", "native", "eafo", "exact"), passes=["forward+backward"]
    )
    assert [m.variant for m in found] == ["copy", "eager", "native", "eafo", "exact"]
    assert {m.form for m in found} == {form}
    ours = _one(found, variant="eafo")
    assert ours.gigabytes_per_second == pytest.approx(tensors * 4 * 1024 / ours.seconds / 1e9)
    assert kept * 4 * 1024 <= ours.kept_bytes <= (kept + 0.25) * 4 * 1024
    exact = _one(found, variant="exact")
    assert exact.value_error <= 0.501 < ours.value_error < 10
    assert exact.slope_error <= 0.501


def test_exact_errs_less_and_a_code_keeps_half_a_byte():
    found = _bench("gelu", variants=("eafo", "exact", "code"), passes=["forward+backward"])
    ours, exact, code = (_one(found, variant=v) for v in ("eafo", "exact", "code"))
    assert exact.value_error <= 0.501 < ours.value_error
    assert ours.kept_bytes == 4 * 1024
    assert code.kept_bytes == 1024 / 2
    # Four bits of f', which is at most 1.13.
    assert code.slope_error > 1e4


def test_a_code_is_made_for_fixed_parameters_alone():
    for options, expected in (
        ({}, ["copy", "eafo"]),
        ({"parameters": "none"}, ["copy", "eafo", "code"]),
        ({"parameters": "none", "form": "gated"}, ["copy", "eafo"]),
    ):
        found = _bench("crrelu", variants=("eafo", "code"), passes=["forward"], **options)
        assert [m.variant for m in found] == expected


def test_threads_are_given_back():
    before = torch.get_num_threads()
    found = _bench("relu", threads=2, passes=["forward"])
    assert {m.threads for m in found} == {2}
    assert torch.get_num_threads() == before


def test_progress_tells_each_case():
    told = []
    _bench("relu", passes=["forward"], progress=told.append)
    assert len(told) == 1
    assert told[0].startswith("relu float32 1024 forward: copy ")


def test_a_compiler_that_fails_is_left_out_and_told(monkeypatch):
    def fail(*_):
        raise RuntimeError("no compiler\nmore")

    monkeypatch.setattr(variants, "_compiled", lambda function, **_: fail)
    told = []
    found = _bench("relu", variants=("compile", "eafo"), passes=["forward"], progress=told.append)
    assert [m.variant for m in found] == ["copy", "eafo"]
    assert told[0] == "compile is left out: no compiler"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
def test_torch_compile_is_compared():
    compared = ("compile", "compile-fast-math", "compile-max-autotune", "eafo")
    found = _bench("crrelu", variants=compared)
    assert [m.variant for m in found] == ["copy", *compared] * 2


def test_the_csv_names_the_machine_and_holds_every_number(measured):
    file = io.StringIO()
    measuring.write_csv(measured, file)
    head, *lines = file.getvalue().splitlines()
    assert head == f"# {measuring.environment()}"
    assert f"torch {torch.__version__}" in head
    rows = list(csv.DictReader(lines))
    assert [float(r["seconds"]) for r in rows] == pytest.approx([m.seconds for m in measured], rel=1e-5)


def test_native_is_the_catalog_activation_only():
    assert native(get("gelu")) is torch.nn.functional.gelu
    assert native(get("elu(alpha=2)")) is None
    assert native(get("x*2")) is None


def test_as_written_overflows_where_the_formula_does():
    x = torch.tensor([1000.0], requires_grad=True)
    y = as_written(get("log(1 + exp(x))"))(x)
    assert y.item() == math.inf


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dtypes": ["float8"]}, "the types of a benchmark are: float64, .*, but got 'float8'"),
        ({"passes": ["sideways"]}, "the passes of a benchmark are"),
        ({"parameters": "many"}, "the kinds of parameters of a benchmark are"),
        ({"form": "squared"}, "the forms of a benchmark are: plain, gated, bias, but got 'squared'"),
        ({"variants": ["jax"]}, "the variants of a benchmark are"),
        ({"device": "tpu"}, "the devices of a benchmark are"),
        ({"sizes": [1000]}, "a size must be a multiple of 256 from 256 to 2.31, but got 1000"),
        ({"sizes": [0]}, "a size must be a multiple of 256"),
        ({"replay": True}, "the replay of a CUDA graph needs the device cuda, but got 'cpu'"),
        ({"rounds": 2}, "the number of rounds must be at least 3"),
        ({"threads": 0}, "the number of threads must be at least 1"),
    ],
)
def test_bad_input_is_refused_before_anything_runs(options, message):
    with pytest.raises(InputError, match=message):
        _bench("relu", **options)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_gpu_that_is_not_there_is_refused():
    with pytest.raises(InputError, match="the device cuda needs an NVIDIA GPU"):
        _bench("relu", device="cuda")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_on_a_gpu_replays_are_timed():
    for replay in (False, True):
        found = _bench("crrelu", "silu", device="cuda", replay=replay, sizes=[2**20])
        assert {m.replayed for m in found} == {False, replay}
        assert all(0 < m.low <= m.seconds <= m.high < 0.1 for m in found)
        assert {m.variant for m in found} == {"copy", "eager", "native", "eafo"}
