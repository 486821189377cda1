"""Piecewise rational approximation: errors against the function, smoothness and monotonicity proved in exact arithmetic."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import scipy.special
import sympy

from eafo import formula
from eafo.activation import VARIABLE
from eafo.errors import RefusedError
from eafo.theory.rational import RationalPiece, approximate

X = VARIABLE
CASES = {
    "arctan": (np.arctan, lambda x: 1 / (1 + x**2), [-5.0, 5.0]),
    "cube root": (np.cbrt, lambda x: np.cbrt(x) / (3 * x), [0.01, 4.0]),
    "normal quantile": (
        scipy.special.ndtri,
        lambda u: np.sqrt(2 * np.pi) * np.exp(scipy.special.ndtri(u) ** 2 / 2),
        [1e-3, 1 - 1e-3],
    ),
    "kink": (lambda x: np.where(x > 1, 2 * x - 1, x), lambda x: np.where(x > 1, 2.0, 1.0), [-2.0, 1.0, 3.0]),
}


@pytest.fixture(scope="module", params=CASES)
def case(request):
    function, slope, knots = CASES[request.param]
    return request.param, function, approximate(function, slope, knots, 1e-6), knots


def test_the_error_is_what_it_says(case):
    _, function, found, knots = case
    x = np.linspace(knots[0], knots[-1], 20_011)
    values = sympy.lambdify(X, found.expression, "numpy")(x)
    error = np.max(np.abs(values - function(x)))
    assert error <= 1e-6
    assert error <= 1.2 * found.error + 1e-12


def test_pieces_meet_exactly(case):
    name, _, found, _ = case
    assert len(found.pieces) <= 8
    for left, right in itertools.pairwise(found.pieces):
        assert left.upper == right.lower
        assert left.at(sympy.S.One) == right.at(sympy.S.NegativeOne)
        slopes = [sympy.diff(p.expression, X).subs(X, left.upper) for p in (left, right)]
        assert (slopes[0] == slopes[1]) is (name != "kink")
    assert found.smooth is (name != "kink")


def test_tangents_meet_exactly(case):
    _, _, found, _ = case
    cases = found.expression.args
    for tangent, piece, end in ((cases[0][0], found.pieces[0], 0), (cases[-1][0], found.pieces[-1], 1)):
        at = found.ends[end]
        assert tangent.subs(X, at) == piece.expression.subs(X, at)
        assert sympy.diff(tangent, X) == sympy.diff(piece.expression, X).subs(X, at) == found.slopes[end]


def test_it_increases(case):
    _, _, found, knots = case
    assert all(p.increasing for p in found.pieces)
    x = np.linspace(knots[0] - 5, knots[-1] + 5, 5001)
    assert np.all(np.diff(sympy.lambdify(X, found.expression, "numpy")(x)) > 0)


def test_its_text_is_read_back(case):
    _, _, found, _ = case
    text = formula.to_text(found.expression)
    once = formula.parse(text)
    assert formula.parse(formula.to_text(once)) == once


def _piece(hermite, numerator=(0,), denominator=(1,)):
    exact = [tuple(sympy.Rational(str(c)) for c in cs) for cs in (hermite, numerator, denominator)]
    return RationalPiece(sympy.Integer(0), sympy.Integer(2), *exact)


def test_what_does_not_increase_is_found_out():
    assert _piece((0, 1)).increasing
    assert not _piece((0, -1)).increasing
    # t³/3 − t/10⁴ falls between ±0.01 alone, between the points of a coarse grid.
    assert not _piece((0, "-0.0001", 0, "0.3333333333")).increasing
    # A slope that touches 0 at an end is allowed: (t + 1)².
    assert _piece((0, 2, 1)).increasing


def test_a_pole_on_the_piece_is_found_out():
    # N and Q share no root; Q's lies at t = 1/3.
    assert not _piece((0, 1), (1,), (1, -3)).increasing
    assert not _piece((0, 1), (1,), (1, -1)).increasing
    assert _piece((0, 1), ("0.01",), (1, "0.5")).increasing


def test_too_many_pieces_are_refused():
    def staircase(x):
        return x + 0.1 * np.sin(9 * x)

    with pytest.raises(RefusedError, match="at most 2 pieces, but got 'more between -3 and 3'"):
        approximate(staircase, lambda x: 1 + 0.9 * np.cos(9 * x), [-3.0, 3.0], 1e-9, pieces=2)
