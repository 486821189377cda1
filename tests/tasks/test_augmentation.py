"""Augmentation against Pillow, and by what it must leave alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance, ImageOps

from eafo.tasks.augmentation import OPERATIONS, rand_augment, random_crops, random_erasing, random_flips


def pictures(count: int = 6, size: int = 32) -> torch.Tensor:
    """Smooth images of different contrast, uint8."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(count, 3, 5, 5, generator=generator)
    fine = torch.nn.functional.interpolate(coarse, size=(size, size), mode="bicubic").clamp(0, 1)
    contrast = torch.linspace(0.3, 1, count).view(-1, 1, 1, 1)
    noise = 0.05 * torch.rand(fine.shape, generator=generator)
    return (255 * (contrast * fine * 0.95 + noise)).byte()


def pillow(image: torch.Tensor) -> Image.Image:
    return Image.fromarray(image.permute(1, 2, 0).numpy())


def tensor(image: Image.Image) -> torch.Tensor:
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).float()


def done(name: str, level: float, sign: int = 1) -> torch.Tensor:
    x = pictures()
    return OPERATIONS[name](x.float(), torch.full((len(x),), level), torch.full((len(x),), sign))


LEVELS = [0.0, 3.0, 9.0, 10.0]


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(
    ("name", "right", "tolerance"),
    [
        ("auto_contrast", lambda im, _: ImageOps.autocontrast(im), 1),
        ("equalize", lambda im, _: ImageOps.equalize(im), 0),
        ("invert", lambda im, _: ImageOps.invert(im), 0),
        (
            "posterize",
            lambda im, m: ImageOps.posterize(im, 4 - int(m / 10 * 4)) if int(m / 10 * 4) < 4 else None,
            0,
        ),
        ("solarize", lambda im, m: ImageOps.solarize(im, 256 - int(m / 10 * 256)), 0),
    ],
)
def test_what_needs_no_sign_is_pillows(name, right, tolerance, level) -> None:
    for ours, image in zip(done(name, level), pictures(), strict=True):
        theirs = right(pillow(image), level)
        expected = torch.zeros(3, 32, 32) if theirs is None else tensor(theirs)
        assert (ours - expected).abs().max() <= tolerance


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(
    ("name", "enhancer"),
    [
        ("colour", ImageEnhance.Color),
        ("contrast", ImageEnhance.Contrast),
        ("brightness", ImageEnhance.Brightness),
        ("sharpness", ImageEnhance.Sharpness),
    ],
)
def test_what_blends_is_pillows(name, enhancer, level, sign) -> None:
    factor = max(0.1, 1 + sign * 0.9 * level / 10)
    for ours, image in zip(done(name, level, sign), pictures(), strict=True):
        theirs = tensor(enhancer(pillow(image)).enhance(factor))
        # Pillow rounds its grey by integers: one level, twice blended.
        assert (ours - theirs).abs().max() <= 2
        assert (ours - theirs).abs().mean() < 0.6


@pytest.mark.parametrize(("sign", "turned"), [(1, False), (-1, True)])
@pytest.mark.parametrize("level", [0.0, 5.0, 10.0])
def test_a_rotation_is_pillows_about_the_centre(level, sign, turned) -> None:
    angle = 3.0 * level * (-1 if turned else 1)
    for ours, image in zip(done("rotate", level, sign), pictures(), strict=True):
        theirs = tensor(pillow(image).rotate(angle, Image.Resampling.BILINEAR, fillcolor=(128,) * 3))
        inside = (slice(None), slice(8, 24), slice(8, 24))
        assert (ours - theirs)[inside].abs().max() <= 2


@pytest.mark.parametrize("level", [0.0, 4.0, 10.0])
def test_shears_and_translations_are_pillows_affine_maps(level) -> None:
    shear, shift = 0.03 * level, 0.045 * level * 32
    maps = {
        # Ours are about the centre: x + s (y − 16).
        "shear_x": (1, shear, -16 * shear, 0, 1, 0),
        "shear_y": (1, 0, 0, shear, 1, -16 * shear),
        "translate_x": (1, 0, shift, 0, 1, 0),
        "translate_y": (1, 0, 0, 0, 1, shift),
    }
    for name, data in maps.items():
        for ours, image in zip(done(name, level), pictures(), strict=True):
            theirs = tensor(
                pillow(image).transform(
                    (32, 32), Image.Transform.AFFINE, data, Image.Resampling.BILINEAR, fillcolor=(128,) * 3
                )
            )
            inside = (slice(None), slice(8, 16), slice(8, 16))
            assert (ours - theirs)[inside].abs().max() <= 2, name


def test_adding_below_the_middle() -> None:
    x = pictures().float()
    added = min(128, int(9 / 10 * 110))
    assert torch.equal(done("solarize_add", 9.0), torch.where(x < 128, (x + added).clamp(max=255), x))


def test_images_without_contrast_survive() -> None:
    flat = torch.full((2, 3, 8, 8), 77.0)
    for name in ("auto_contrast", "equalize"):
        assert torch.equal(OPERATIONS[name](flat, torch.ones(2), torch.ones(2)), flat)


def test_rand_augment_changes_three_quarters_and_repeats() -> None:
    x = pictures(600)
    generator = torch.Generator().manual_seed(5)
    found = rand_augment(x, generator)
    assert found.dtype == torch.uint8
    assert found.shape == x.shape
    changed = (found != x).flatten(1).any(1).float().mean().item()
    # Two operations, each left out in half of the cases; few change nothing.
    assert 0.66 < changed < 0.82
    assert torch.equal(found, rand_augment(x, torch.Generator().manual_seed(5)))


def test_crops_and_flips_move_whole_images() -> None:
    x = pictures(200)
    found = random_crops(x, torch.Generator().manual_seed(1))
    padded = torch.nn.functional.pad(x, (4,) * 4)
    assert all(
        any(torch.equal(w[:, i : i + 32, j : j + 32], f) for i in range(9) for j in range(9))
        for f, w in zip(found[:20], padded[:20], strict=True)
    )
    flipped = random_flips(x, torch.Generator().manual_seed(1))
    kept = (flipped == x).flatten(1).all(1)
    assert 70 < kept.sum() < 130
    assert torch.equal(flipped[~kept], x[~kept].flip(-1))


def test_erased_rectangles_have_the_areas_told() -> None:
    x = torch.full((4000, 3, 32, 32), 100.0)
    found = random_erasing(x, torch.Generator().manual_seed(2))
    erased = (found != x).any(1)
    areas = erased.flatten(1).float().mean(1)
    hit = areas > 0
    assert hit.float().mean() == pytest.approx(0.25, abs=0.03)
    assert areas[hit].min() > 0.01
    assert areas[hit].max() < 0.36
    # A rectangle: as many pixels as its rows times its columns.
    rows, columns = erased.any(2).sum(1), erased.any(1).sum(1)
    assert torch.equal(erased.flatten(1).sum(1), rows * columns)
    assert found[found != 100].std() == pytest.approx(1, abs=0.02)
