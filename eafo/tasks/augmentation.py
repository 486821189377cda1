"""Augmentation of images as tensor code: a batch at a time, on its own device, from a generator.

What the transformers' recipes take from timm: RandAugment (Cubuk et al., 2020) in the form ``rand-m9-mstd0.5-inc1`` and random
erasing (Zhong et al., 2020) with a quarter of the images, as DeiT has them. The fifteen operations and their ranges are those of
timm's "increasing" set; each is drawn for an image with the same probability and then left out in half of the cases.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["OPERATIONS", "rand_augment", "random_crops", "random_erasing", "random_flips"]

#: A grey level between 0 and 255, beside images of whole numbers in float32: (N, 3, H, W); levels from 0 to 10, (N,); signs, (N,).
Operation = Callable[[Tensor, Tensor, Tensor], Tensor]

_FILL = 128.0
_GREY = (0.299, 0.587, 0.114)


def random_flips(images: Tensor, generator: torch.Generator) -> Tensor:
    """Each image mirrored or not."""
    mirrored = torch.rand(len(images), generator=generator, device=images.device) < 0.5
    return torch.where(mirrored.view(-1, 1, 1, 1), images.flip(-1), images)


def random_crops(images: Tensor, generator: torch.Generator, padding: int = 4) -> Tensor:
    """Each image moved by up to so many pixels each way, over a black border."""
    height, width = images.shape[-2:]
    padded = torch.nn.functional.pad(images, (padding,) * 4)
    y, x = torch.randint(2 * padding + 1, (2, len(images)), generator=generator, device=images.device)
    windows = padded.unfold(2, height, 1).unfold(3, width, 1)
    return windows[torch.arange(len(images), device=images.device), :, y, x]


def rand_augment(
    images: Tensor, generator: torch.Generator, *, count: int = 2, level: float = 9.0, deviation: float = 0.5
) -> Tensor:
    """RandAugment: some operations an image, each drawn from fifteen.

    Args:
        images: uint8, (N, 3, H, W).
        generator: of the images' device.
        count: operations an image; each is left out in half of the cases.
        level: the mean of an operation's level, from 0 to 10.
        deviation: of the level.

    Returns:
        uint8, of the same shape.
    """
    device, n = images.device, len(images)
    result = images.float()
    kinds = list(OPERATIONS.values())
    for _ in range(count):
        drawn = torch.randint(len(kinds), (n,), generator=generator, device=device)
        done = torch.rand(n, generator=generator, device=device) < 0.5
        levels = level + deviation * torch.randn(n, generator=generator, device=device)
        signs = 1 - 2 * torch.randint(2, (n,), generator=generator, device=device)
        for kind, operation in enumerate(kinds):
            (chosen,) = torch.where(done & (drawn == kind))
            if len(chosen):
                changed = operation(result[chosen], levels[chosen].clamp(0, 10), signs[chosen])
                result = result.index_copy(0, chosen, changed)
    return result.byte()


def random_erasing(images: Tensor, generator: torch.Generator, share: float = 0.25) -> Tensor:
    """A rectangle of noise in some of the images: of 2 to 33 % of the area, its sides in a ratio from 0.3 to 3.3.

    Args:
        images: normalised, (N, 3, H, W).
        generator: of the images' device.
        share: of the images.
    """
    device, n = images.device, len(images)
    height, width = images.shape[-2:]

    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(n, generator=generator, device=device)

    area, ratio = uniform(0.02, 1 / 3) * height * width, uniform(math.log(0.3), math.log(1 / 0.3)).exp()
    high, wide = (
        (area * ratio).sqrt().round().clamp(max=height - 1),
        (area / ratio).sqrt().round().clamp(max=width - 1),
    )
    top, left = (uniform(0, 1) * (height - high + 1)).floor(), (uniform(0, 1) * (width - wide + 1)).floor()
    rows, columns = torch.arange(height, device=device), torch.arange(width, device=device)
    inside = ((rows >= top[:, None]) & (rows < (top + high)[:, None]))[:, :, None]
    inside = inside & ((columns >= left[:, None]) & (columns < (left + wide)[:, None]))[:, None, :]
    inside = inside & (uniform(0, 1) < share)[:, None, None]
    noise = torch.randn(images.shape, generator=generator, device=device, dtype=images.dtype)
    return torch.where(inside[:, None], noise, images)


def _auto_contrast(x: Tensor, _levels: Tensor, _signs: Tensor) -> Tensor:
    low, high = x.amin((2, 3), keepdim=True), x.amax((2, 3), keepdim=True)
    scale = 255 / (high - low).clamp(min=1)
    return torch.where(high > low, ((x - low) * scale).floor(), x)


def _equalize(x: Tensor, _levels: Tensor, _signs: Tensor) -> Tensor:
    """Each colour's levels spread by their cumulated counts, in whole numbers as Pillow has it."""
    flat = x.long().flatten(0, 1).flatten(1)
    counts = torch.zeros(len(flat), 256, dtype=torch.long, device=x.device)
    counts.scatter_add_(1, flat, torch.ones_like(flat))
    last = counts.gather(1, flat.amax(1, keepdim=True))
    step = (flat.shape[1] - last) // 255
    before = counts.cumsum(1) - counts
    table = (step // 2 + before) // step.clamp(min=1)
    spread = table.clamp(max=255).gather(1, flat).view(x.shape).to(x.dtype)
    return torch.where((step > 0).view(*x.shape[:2], 1, 1), spread, x)


def _invert(x: Tensor, _levels: Tensor, _signs: Tensor) -> Tensor:
    return 255 - x


def _posterize(x: Tensor, levels: Tensor, _signs: Tensor) -> Tensor:
    """4 bits of each colour, down to none."""
    lost = (2.0 ** (8 - (4 - (0.4 * levels).floor()))).view(-1, 1, 1, 1)
    return (x / lost).floor() * lost


def _solarize(x: Tensor, levels: Tensor, _signs: Tensor) -> Tensor:
    threshold = (256 - (25.6 * levels).floor()).view(-1, 1, 1, 1)
    return torch.where(x < threshold, x, 255 - x)


def _solarize_add(x: Tensor, levels: Tensor, _signs: Tensor) -> Tensor:
    added = (11 * levels).floor().clamp(max=128).view(-1, 1, 1, 1)
    return torch.where(x < 128, (x + added).clamp(max=255), x)


def _grey(x: Tensor) -> Tensor:
    weights = torch.tensor(_GREY, dtype=x.dtype, device=x.device).view(1, 3, 1, 1)
    return (x * weights).sum(1, keepdim=True).round()


def _blended(towards: Tensor, x: Tensor, levels: Tensor, signs: Tensor) -> Tensor:
    """From another image through x: by 1 ± 0.09 level, at least a tenth."""
    factor = (1 + 0.09 * levels * signs).clamp(min=0.1).view(-1, 1, 1, 1)
    return (towards + factor * (x - towards)).clamp(0, 255).floor()


def _colour(x: Tensor, levels: Tensor, signs: Tensor) -> Tensor:
    return _blended(_grey(x), x, levels, signs)


def _contrast(x: Tensor, levels: Tensor, signs: Tensor) -> Tensor:
    return _blended(_grey(x).mean((1, 2, 3), keepdim=True).round(), x, levels, signs)


def _brightness(x: Tensor, levels: Tensor, signs: Tensor) -> Tensor:
    return _blended(torch.zeros_like(x), x, levels, signs)


def _sharpness(x: Tensor, levels: Tensor, signs: Tensor) -> Tensor:
    """Through the mean of nine pixels, the middle one counted five times; the border stays."""
    kernel = torch.ones(3, 3, dtype=x.dtype, device=x.device)
    kernel[1, 1] = 5
    kernel = (kernel / 13).expand(3, 1, 3, 3)
    smooth = x.clone()
    smooth[:, :, 1:-1, 1:-1] = torch.nn.functional.conv2d(x, kernel, groups=3).round()
    return _blended(smooth, x, levels, signs)


def _warped(x: Tensor, matrices: Tensor) -> Tensor:
    """Each image seen through an affine map of pixels, (N, 2, 3), about its centre; grey where there is nothing."""
    height, width = x.shape[-2:]
    size = torch.tensor([width / 2, height / 2], device=x.device)
    scaled = matrices.clone()
    # affine_grid counts in halves of the edges.
    scaled[:, :, :2] = matrices[:, :, :2] * (size / size[:, None])
    scaled[:, :, 2] = matrices[:, :, 2] / size
    grid = torch.nn.functional.affine_grid(scaled, list(x.shape), align_corners=False)
    found = torch.nn.functional.grid_sample(x - _FILL, grid, align_corners=False)
    return (found + _FILL).round().clamp(0, 255)


def _matrices(rows: list[list[Tensor]]) -> Tensor:
    return torch.stack([torch.stack(row, -1) for row in rows], 1)


def _rotate(x: Tensor, levels: Tensor, signs: Tensor) -> Tensor:
    """By up to 30 degrees."""
    angle = levels * signs * math.radians(3)
    cosine, sine, zero = angle.cos(), angle.sin(), torch.zeros_like(angle)
    return _warped(x, _matrices([[cosine, -sine, zero], [sine, cosine, zero]]))


def _shear(x: Tensor, levels: Tensor, signs: Tensor, axis: int) -> Tensor:
    """By up to 0.3."""
    amount = 0.03 * levels * signs
    zero, one = torch.zeros_like(amount), torch.ones_like(amount)
    rows = [[one, zero, zero], [zero, one, zero]]
    rows[axis][1 - axis] = amount
    return _warped(x, _matrices(rows))


def _translate(x: Tensor, levels: Tensor, signs: Tensor, axis: int) -> Tensor:
    """By up to 0.45 of the edge."""
    amount = 0.045 * levels * signs * x.shape[3 - axis]
    zero, one = torch.zeros_like(amount), torch.ones_like(amount)
    rows = [[one, zero, zero], [zero, one, zero]]
    rows[axis][2] = amount
    return _warped(x, _matrices(rows))


#: RandAugment's operations, by name.
OPERATIONS: dict[str, Operation] = {
    "auto_contrast": _auto_contrast,
    "equalize": _equalize,
    "invert": _invert,
    "rotate": _rotate,
    "posterize": _posterize,
    "solarize": _solarize,
    "solarize_add": _solarize_add,
    "colour": _colour,
    "contrast": _contrast,
    "brightness": _brightness,
    "sharpness": _sharpness,
    "shear_x": lambda x, levels, signs: _shear(x, levels, signs, 0),
    "shear_y": lambda x, levels, signs: _shear(x, levels, signs, 1),
    "translate_x": lambda x, levels, signs: _translate(x, levels, signs, 0),
    "translate_y": lambda x, levels, signs: _translate(x, levels, signs, 1),
}
