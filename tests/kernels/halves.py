"""Half precisions at every one of their inputs."""

from __future__ import annotations

import torch


def every(dtype):
    """Each finite value of a half precision, in the order of their bits."""
    x = torch.arange(-(2**15), 2**15, dtype=torch.int32).to(torch.int16).view(dtype)
    return x[x.isfinite()]


def assert_within_a_unit(x, found, right):
    """What was found for x is the float64 right value or beside it; below the smallest normal number, near it."""
    rounded = right.to(x.dtype)
    finite = found.isfinite() & rounded.isfinite()
    normal = finite & (right.abs() >= 2.0**-126)
    # A root of f' is where two terms cancel, each of about a half: approximations are within 2^-14 of them.
    near_root = (
        (x.abs() > 0.25) & (x.abs() < 4) & (right.abs() < 2**-3) & ((found.double() - right).abs() < 2**-14)
    )
    assert (_place(found) - _place(rounded)).abs()[normal & ~near_root].max() <= 1
    assert (found.double() - right)[finite & ~normal].abs().sum() <= 2.0**-110
    assert (finite == rounded.isfinite())[x.double().abs() < 1e12].all()


def _place(x):
    """The number of a 16-bit value in the order of all; both zeros are 0."""
    bits = x.view(torch.int16).int()
    return torch.where(bits < 0, -(bits & 0x7FFF), bits)
