"""A grammar of formulas: what a search composes of unary and binary operators, to a depth."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from eafo.errors import InputError

__all__ = ["BINARY", "UNARY", "Grammar"]

#: Operators on an expression u.
UNARY = {
    "identity": "{u}",
    "negative": "-{u}",
    "half": "{u}/2",
    "double": "2*{u}",
    "abs": "abs({u})",
    "square": "{u}**2",
    "relu": "max({u}, 0)",
    "sigmoid": "sigmoid({u})",
    "tanh": "tanh({u})",
    "softplus": "log(1 + exp({u}))",
    "sin": "sin({u})",
    "cos": "cos({u})",
    "gauss": "exp(-{u}**2)",
    "decay": "exp(-abs({u}))",
    "erf": "erf({u})",
    "arctan": "arctan({u})",
    "asinh": "asinh({u})",
    "bell": "1/(1 + {u}**2)",
    "one": "1",
}
#: Operators on two.
BINARY = {
    "sum": "({a}) + ({b})",
    "difference": "({a}) - ({b})",
    "product": "({a})*({b})",
    "max": "max({a}, {b})",
    "min": "min({a}, {b})",
    "first": "({a})",
}
_DEEPEST = 3


@dataclass(frozen=True)
class Grammar:
    """Formulas b(u₁(x), u₂(x)), and deeper ones b(u₁(inner), u₂(x)), after Ramachandran, Zoph, Le, Searching for activation functions, 2017.

    Args:
        depth: how many binary operators stand inside each other, from 1 to 3; ``first`` takes its first operand alone.
        unary: names of `UNARY`.
        binary: names of `BINARY`.

    Raises:
        InputError: a depth out of range, or a name that is none.

    >>> Grammar(depth=1).text({"u1": "relu", "b": "product", "u2": "sigmoid"}.__getitem__)
    '(max(x, 0))*(sigmoid(x))'
    """

    depth: int = 1
    unary: tuple[str, ...] = tuple(UNARY)
    binary: tuple[str, ...] = tuple(BINARY)

    def __post_init__(self) -> None:
        if isinstance(self.depth, bool) or not isinstance(self.depth, int) or not 1 <= self.depth <= _DEEPEST:
            raise InputError(
                f"the depth of a grammar must be a whole number from 1 to {_DEEPEST}", self.depth
            )
        for what, names, known in (("unary", self.unary, UNARY), ("binary", self.binary, BINARY)):
            if not names or len(set(names)) != len(names):
                raise InputError(
                    f"the {what} operators of a grammar must be given once each, one at least", list(names)
                )
            for name in names:
                if name not in known:
                    close = difflib.get_close_matches(str(name), known, 1)
                    hint = f"did you mean '{close[0]}'?" if close else ""
                    raise InputError(f"the {what} operators of a grammar are: {', '.join(known)}", name, hint)

    @property
    def choices(self) -> dict[str, tuple[str, ...]]:
        """What a formula chooses: by name, among what.

        >>> list(Grammar(depth=2).choices)
        ['u1', 'b', 'u2', 'outer1', 'outer_b', 'outer2']
        """
        found: dict[str, tuple[str, ...]] = {}
        for prefix in ("", "outer", "top")[: self.depth]:
            names = (f"{prefix}1", f"{prefix}_b", f"{prefix}2") if prefix else ("u1", "b", "u2")
            found |= dict(zip(names, (self.unary, self.binary, self.unary), strict=True))
        return found

    def text(self, choose: Callable[[str], str]) -> str:
        """The formula of some choices, as `eafo.get` reads it.

        Args:
            choose: gives the choice of each name of `choices`.
        """
        names, inner = list(self.choices), "x"
        for level in range(self.depth):
            first, binary, second = names[3 * level : 3 * level + 3]
            a = UNARY[choose(first)].format(u=inner if inner == "x" else f"({inner})")
            b = UNARY[choose(second)].format(u="x")
            inner = BINARY[choose(binary)].format(a=a, b=b)
        return inner

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values, in the form of a plan."""
        return {"depth": self.depth, "unary": list(self.unary), "binary": list(self.binary)}
