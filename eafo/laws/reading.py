"""A law by its text form, an object of SciPy's or SymPy's, or a file of samples."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Protocol

import sympy

from eafo import formula
from eafo.errors import InputError
from eafo.laws.families import FAMILIES, build
from eafo.laws.law import Law
from eafo.laws.measuring import measure
from eafo.laws.mixtures import mixture
from eafo.laws.samples import is_file_name
from eafo.laws.scipy_laws import PREFIX, from_frozen, from_name, is_distribution
from eafo.laws.sympy_laws import from_variable, is_variable

__all__ = ["FORMS", "LawLike", "get", "names"]


class FrozenDistribution(Protocol):
    """A frozen distribution of `scipy.stats`."""

    def logpdf(self, x: Any) -> Any:
        """Log p."""
        ...

    def support(self) -> Any:
        """The support's ends."""
        ...


#: What every function of eafo accepts as a law: its text form, a `Law`, an object of SciPy's or SymPy's.
LawLike = str | Law | os.PathLike[str] | FrozenDistribution | Any

#: How the laws that are not in `names` are written, and what they are.
FORMS = (
    ("0.5*normal(-1, 1) + 0.5*normal(1, 1)", "a mixture of any laws, its weights of sum 1"),
    ("scipy.gamma(2, scale=3)", "any continuous distribution of scipy.stats, with SciPy's parameters"),
    ("preactivations.npy", "measured: a file of samples, .npy, .csv or .txt"),
)

_NUMBER = r"(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_TERM = re.compile(rf"\s*({_NUMBER}(?:\s*/\s*{_NUMBER})?)\s*\*\s*(.+?)\s*", re.DOTALL)


def names() -> tuple[str, ...]:
    """The names of the laws.

    >>> names()
    ('cauchy', 'exponential', 'gumbel', 'half_normal', 'laplace', 'logistic', 'normal', 'student_t', 'uniform')
    """
    return tuple(FAMILIES)


def get(law: LawLike, **parameters: float | sympy.Expr) -> Law:
    """A law by its text form.

    Args:
        law: ``"normal"``, ``"normal(0, 2)"``, ``"laplace(scale=0.5)"``, a mixture
            ``"0.5*normal(-1, 1) + 0.5*normal(1, 1)"``, any continuous law of SciPy ``"scipy.gamma(2, scale=3)"``; the path
            of a file of samples ``"preactivations.npy"``; a frozen `scipy.stats` distribution, a
            continuous `sympy.stats` variable, or a `Law`, returned as it is. Parameters:
            normal(mean, deviation), logistic(mean, scale), laplace(mean, scale), cauchy(location, scale),
            gumbel(location, scale), student_t(freedom, location, scale), uniform(lower, upper),
            exponential(scale, location), half_normal(deviation, location). Standard ones where not given; uniform on
            (−1, 1).
        parameters: of a family, by name; a SymPy symbol keeps the law symbolic in it.

    Raises:
        InputError: an unknown name, an unknown or doubled parameter, a scale that is not positive, parameters beside a law
            that is no name.

    >>> str(get("normal(0, 2)")), get("logistic").cdf
    ('normal(0, 2)', 1/(1 + exp(-x)))
    >>> get("laplace", scale=sympy.Symbol("b", positive=True)).entropy
    log(2*b) + 1
    """
    if parameters and (not isinstance(law, str) or len(_terms(law)) > 1 or _TERM.fullmatch(law)):
        raise InputError(
            "only a law by its name takes parameters beside it",
            f"{', '.join(parameters)} beside {law}",
            "write them into the law",
        )
    if isinstance(law, Law):
        return law
    if not isinstance(law, str):
        return _from_object(law)
    if not parameters and _is_file(law):
        return measure(law.strip())
    return _from_text(law, parameters) if parameters else _cached(law)


def _from_object(law: Any) -> Law:
    if isinstance(law, os.PathLike):
        return measure(law)
    if is_variable(law):
        return from_variable(law)
    if is_distribution(law):
        return from_frozen(law)
    raise InputError("a law must be its text form or a Law", law)


def _is_file(text: str) -> bool:
    """A file whose name reads as a law's is none here: laws.measure takes it."""
    if text.strip() in FAMILIES:
        return False
    return is_file_name(text, look="(" not in text)


@lru_cache(256)
def _cached(text: str) -> Law:
    return _from_text(text, {})


def _from_text(text: str, parameters: Mapping[str, Any]) -> Law:
    terms = _terms(text)
    if len(terms) > 1 or _TERM.fullmatch(text):
        return _mixture(text, terms)
    foreign = text.strip().startswith(PREFIX)
    call = formula.parse_call(text.strip().removeprefix(PREFIX))
    if call is not None and foreign:
        values = [float(formula.parse(v, {})) for v in call[1]]
        return from_name(call[0], values, {**call[2], **parameters})
    if call is None or call[0] not in FAMILIES:
        raise InputError("a law must be one of " + ", ".join(FAMILIES), text, "for example normal(0, 2)")
    name, positional, named = call
    known = list(FAMILIES[name].defaults)
    doubled = (named.keys() & parameters.keys()) | (
        (named.keys() | parameters.keys()) & set(known[: len(positional)])
    )
    if len(positional) > len(known) or doubled or (named.keys() | parameters.keys()) - set(known):
        raise InputError(f"the parameters of this law are {', '.join(known)}, each given once", text)
    given = formula.parse_assignments(",".join(f"{n}={v}" for n, v in zip(known, positional, strict=False)))
    return build(name, {**given, **named, **parameters})


def _terms(text: str) -> list[str]:
    """The terms between the plus signs that stand outside brackets and numbers."""
    terms, depth, start = [], 0, 0
    for i, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        exponent = re.search(r"(?:^|[^\w.])(?:\d+\.?\d*|\.\d+)[eE]$", text[:i][-40:]) is not None
        if letter == "+" and depth == 0 and not exponent:
            terms.append(text[start:i])
            start = i + 1
    return [*terms, text[start:]]


def _mixture(text: str, terms: list[str]) -> Law:
    matches = [_TERM.fullmatch(term) for term in terms]
    weights, components = [], []
    for term, match in zip(terms, matches, strict=True):
        if match is None:
            raise InputError(
                "a mixture is a sum of weight*law",
                term.strip() or text,
                "for example 0.5*normal(-1, 1) + 0.5*normal(1, 1)",
            )
        weights.append(float(formula.parse(match[1], {})))
        components.append(get(match[2]))
    return mixture(weights, components)
