"""What a derivation says of itself holds in the cases where it is easily false."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from eafo import catalog, laws
from eafo.derivation import checks, steps
from eafo.theory.correction import correct
from eafo.theory.quadrature import QuadratureError, numeric


def test_a_direction_along_which_the_entropy_falls_does_not_pass() -> None:
    found = correct(catalog.get("relu"), laws.get("normal"))
    assert "dH/dε = 0.353553" in checks.central_difference(found)
    with pytest.raises(QuadratureError, match="the entropy must rise along the correction"):
        checks.central_difference(replace(found, shape=-found.shape))


def test_a_correction_with_the_factor_of_the_slope_keeps_a_flat_part_flat() -> None:
    found = correct(catalog.get("relu_squared"), laws.get("normal"))
    assert not numeric(found.shape)(np.array([-3.0, -1.0, -0.1])).any()
    told = " ".join(steps.findings(found, 1.0, ()))
    assert "leaves it flat there" in told
    assert "non-monotone" not in told


def test_a_flat_part_between_two_others_is_not_beyond_them() -> None:
    found = correct(catalog.get("where(x>1,x-1,where(x<-1,x+1,0))"), laws.get("normal"))
    told = " ".join(steps.findings(found, 1.0, ()))
    assert "Inside D the base is flat, and the correction makes the whole function non-monotone" in told
