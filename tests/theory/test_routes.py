"""Two routes to the entropy that share nothing: quadrature of the output's law, and spacings of a sample of it."""

from __future__ import annotations

import math
import zlib

import numpy as np
import pytest

import eafo
from eafo import laws
from eafo.theory import entropy, spacing

SIZE = 100_000
LAWS = ("normal", "laplace(0.2, 0.4)", "uniform(-2, 3)")


def drawn(name: str, law: str, size: int = SIZE) -> np.ndarray:
    """A sample of the output, another one for each pair."""
    x = laws.get(law).sample(size, seed=zlib.crc32(f"{name} {law}".encode()))
    return eafo.get(name)(x)


PAIRS = [(n, law) for law in LAWS for n in eafo.names()]


@pytest.mark.parametrize(("name", "law"), PAIRS)
def test_entropy_by_spacings(name: str, law: str) -> None:
    exact = entropy.of(name, law)
    found = spacing.entropy(drawn(name, law))
    # Of 84 comparisons none should be off by five standard errors (Student's t, 15 degrees of freedom: 1 in 6000).
    assert abs(found.value - exact.value) < 5 * found.error + 1e-3
    assert abs(found.scale_free - exact.scale_free) < 5 * found.scale_free_error + 1e-3
    assert found.error < 0.02
    assert [a.value for a in found.atoms] == pytest.approx([a.value for a in exact.atoms], abs=1e-12)
    shares = [a.probability for a in exact.atoms]
    assert [a.share for a in found.atoms] == pytest.approx(shares, abs=0.007)


@pytest.mark.parametrize("name", ["arctan", "softsign", "relu", "leaky_relu", "relu_squared", "identity"])
def test_heavy_tails(name: str) -> None:
    exact = entropy.of(name, "cauchy")
    found = spacing.entropy(drawn(name, "cauchy"))
    assert abs(found.value - exact.value) < 5 * found.error + 1e-3


@pytest.mark.parametrize("name", ["softplus", "gelu", "silu", "sigmoid"])
def test_no_entropy_where_the_logarithm_of_the_slope_has_no_mean(name: str) -> None:
    # log f′ falls like x or x² towards −∞, and a Cauchy variable has no mean. A sample can only hint at it.
    assert entropy.of(name, "cauchy").value == -math.inf


@pytest.mark.parametrize("delta", [0.05, 0.5])
@pytest.mark.parametrize(
    "name", ["relu", "crrelu", "gelu", "hardtanh", "sinerelu", "sin", "xielu", "softplus"]
)
def test_entropy_at_a_resolution(name: str, delta: float) -> None:
    exact = entropy.of(name, "normal", resolution=delta)
    found = spacing.at_resolution(drawn(name, "normal"), delta)
    # The histogram's standard error is below √(Var[log P] / n) < 0.006.
    assert found == pytest.approx(exact.value, abs=0.02)
