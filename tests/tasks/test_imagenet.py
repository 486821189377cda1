"""Images in folders: what is listed, read and refused."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch
from PIL import Image

import eafo
from eafo import tasks
from eafo.errors import DataError, MissingDependencyError
from eafo.tasks import Setting
from eafo.tasks.imagenet import IMAGENET, ImageFolder, read_centre, read_random
from eafo.tasks.pictures import Folders

CLASSES = ("n01440764", "n01443537", "n01484850")


def picture(seed: int, size: tuple[int, int] = (320, 260)) -> Image.Image:
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 7, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("EAFO_DATA", str(tmp_path))
    seed = 0
    for part, count in (("train", 4), ("val", 2)):
        for name in CLASSES:
            place = tmp_path / "imagenet" / part / name
            place.mkdir(parents=True)
            for i in range(count):
                # One grey, one with another ending: as among ImageNet's own.
                image = picture(seed).convert("L") if i == 1 else picture(seed)
                image.save(place / f"{name}_{i}.{'png' if i == 3 else 'JPEG'}")
                seed += 1
    return tmp_path / "imagenet"


def load():
    return ImageFolder.load.__wrapped__(IMAGENET)


@pytest.fixture(autouse=True)
def fresh():
    ImageFolder.load.cache_clear()
    yield
    ImageFolder.load.cache_clear()


def test_images_are_listed_by_their_folders(folder) -> None:
    IMAGENET.check()
    found = load()
    assert found.classes == CLASSES
    assert found.train_labels.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert [p.parent.name for p in found.test] == [c for c in CLASSES for _ in range(2)]
    source = Folders(IMAGENET, Setting(examples=6), 224)
    assert source.labels.tolist() == [0, 0, 1, 1, 2, 2]


def test_the_middle_is_pillows(folder) -> None:
    found = load()
    images = read_centre(found.test[:2], 224, 2)
    assert images.shape == (2, 3, 224, 224)
    for ours, path in zip(images, found.test[:2], strict=True):
        image = Image.open(path).convert("RGB")
        # 7/8 of 260 is 227.5.
        theirs = image.resize((224, 224), Image.Resampling.BICUBIC, box=(46.25, 16.25, 273.75, 243.75))
        assert np.array_equal(ours, np.asarray(theirs).transpose(2, 0, 1))


def test_random_parts_repeat_and_differ(folder) -> None:
    paths = load().train[:3]
    first, again, other = (read_random(paths, 64, seeds, 2) for seeds in ([1, 2, 3], [1, 2, 3], [1, 2, 4]))
    assert np.array_equal(first, again)
    assert np.array_equal(first[:2], other[:2])
    assert not np.array_equal(first[2], other[2])


def test_a_random_part_is_one_of_those_told() -> None:
    from eafo.tasks.imagenet import _random_box

    boxes = np.array([_random_box(seed, (320, 260)) for seed in range(500)])
    left, top, right, bottom = boxes.T
    assert left.min() >= 0
    assert top.min() >= 0
    assert right.max() <= 320
    assert bottom.max() <= 260
    area = (right - left) * (bottom - top) / (320 * 260)
    ratio = (right - left) / (bottom - top)
    assert area.min() > 0.07
    assert area.max() <= 1
    assert ratio.min() > 0.74
    assert ratio.max() < 1.35
    assert area.mean() == pytest.approx(0.5, abs=0.06)


def test_what_is_wrong_with_the_folders_is_told(folder) -> None:
    extra = folder / "val" / "n99"
    extra.mkdir()
    with pytest.raises(
        DataError, match=r"the classes of .*val must be those of train, but got 'n99'; sort its images"
    ):
        load()
    extra.rmdir()
    bad = folder / "train" / CLASSES[1] / f"{CLASSES[1]}_0.JPEG"
    bad.write_bytes(bad.read_bytes()[:300])
    with pytest.raises(DataError, match=rf"{bad.name} must be an image .*; fetch it anew"):
        read_centre(load().train, 32, 1)
    for path in (folder / "val" / CLASSES[0]).iterdir():
        path.unlink()
    with pytest.raises(
        DataError, match=rf"{CLASSES[0]} must hold images \(.jpeg, .jpg, .png\), but got 'none'"
    ):
        load()
    (folder / "train").rename(folder / "other")
    with pytest.raises(
        DataError, match=r"ImageNet must lie under EAFO_DATA, but .*train is missing; put its folders"
    ):
        load()


def test_an_image_too_large_to_open_is_refused(folder, monkeypatch) -> None:
    monkeypatch.setattr("PIL.Image.MAX_IMAGE_PIXELS", 8)
    with pytest.raises(DataError, match=r"must be an image .*decompression bomb.*; fetch it anew"):
        read_centre(load().train, 32, 1)


def test_without_pillow_the_remedy_is_named(folder, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(
        MissingDependencyError, match=r'images in folders need Pillow; pip install "eafo\[images\]"'
    ):
        IMAGENET.check()


def test_a_teachers_classes_are_checked(folder) -> None:
    with pytest.raises(
        DataError, match=r"teacher.npy must hold a teacher's classes .*; write 12 whole numbers there"
    ):
        IMAGENET.taught()
    np.save(folder / "teacher.npy", np.full(12, 3))
    with pytest.raises(DataError, match="must hold 12 classes from 0 to 2, but got 'int64 of shape"):
        IMAGENET.taught()
    np.save(folder / "teacher.npy", np.arange(12) % 3)
    assert IMAGENET.taught().tolist() == [0, 1, 2] * 4


@pytest.mark.parametrize("name", ["vit-tiny-imagenet", "deit-tiny-imagenet"])
def test_it_trains_on_a_folder(folder, name) -> None:
    np.save(folder / "teacher.npy", np.arange(12) % 3)
    task = tasks.get(name)
    task.prepare()
    outcome = tasks.run(task, eafo.get("crrelu"), 0, 1, Setting(examples=6))
    assert outcome.steps == 6
    assert 4 < outcome.loss[0] < 9  # log(1000) is 6.9
    assert len(outcome.learned) == 12


def test_the_teachers_classes_go_with_their_images(folder) -> None:
    from eafo.tasks.pictures import Taught

    source = Folders(IMAGENET, Setting(), 32)
    problem = Taught(lambda a: torch.nn.Identity(), source, 5, torch.device("cpu"), 100 + source.labels)
    order = torch.Generator().manual_seed(0)
    for _, targets in problem.batches(order, 0):
        assert torch.equal(targets[:, 1], 100 + targets[:, 0])
