"""Reading samples: arrays, files, streams, and what is none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from eafo import laws
from eafo.errors import InputError
from eafo.laws import samples

NORMAL = np.random.default_rng(0).normal(size=3000)


def test_an_array_of_any_shape_and_type() -> None:
    for array in (
        NORMAL.reshape(30, 100),
        NORMAL.astype(np.float32),
        list(NORMAL),
        (1000 * NORMAL).astype(int),
    ):
        assert samples.read(array).count == 3000
    found = samples.read(NORMAL)
    np.testing.assert_array_equal(found.values, np.sort(NORMAL))
    assert (found.minimum, found.maximum) == (NORMAL.min(), NORMAL.max())
    assert (found.mean, found.deviation) == pytest.approx((NORMAL.mean(), NORMAL.std()), rel=1e-12)


def test_a_stream_is_read_in_bounded_memory() -> None:
    random = np.random.default_rng(1)
    blocks = [random.normal(5, 2, random.integers(1, 20_000)) for _ in range(60)]
    found = samples.read(iter(blocks))
    everything = np.concatenate(blocks)
    assert found.count == everything.size > 400_000
    assert found.values.size == 100_000
    assert (found.minimum, found.maximum) == (everything.min(), everything.max())
    assert (found.mean, found.deviation) == pytest.approx((everything.mean(), everything.std()), rel=1e-12)
    assert np.isin(found.values, everything).all()


def test_the_reservoir_chooses_uniformly() -> None:
    """Of a stream 0, 1, 2, … each tenth of the stream gives a tenth of what is kept."""
    size = 500_000
    found = samples.read(np.arange(i, i + 1000, dtype=np.float64) for i in range(0, size, 1000))
    shares = np.histogram(found.values, bins=10, range=(0, size))[0] / found.values.size
    # Five standard deviations of a share.
    np.testing.assert_allclose(shares, 0.1, atol=5 * np.sqrt(0.09 / 100_000))


def test_files(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", NORMAL.reshape(3, 1000))
    np.savetxt(tmp_path / "b.txt", NORMAL.reshape(300, 10))
    (tmp_path / "c.csv").write_text("\n".join(map(str, NORMAL)) + "\n")
    np.savetxt(tmp_path / "d.CSV", NORMAL.reshape(300, 10), delimiter=",")
    # As spreadsheets write it.
    (tmp_path / "e.csv").write_text("\n".join(map(str, NORMAL)), encoding="utf-8-sig")
    for name in ("a.npy", "b.txt", "c.csv", "d.CSV", "e.csv"):
        np.testing.assert_allclose(samples.read(tmp_path / name).values, np.sort(NORMAL), rtol=1e-15)
    expected = laws.measure(NORMAL)
    assert laws.measure(tmp_path / "a.npy").fit == expected.fit
    assert laws.get(str(tmp_path / "c.csv")) == expected
    assert laws.get(tmp_path / "a.npy").density == expected.density


def test_a_file_does_not_hide_a_law(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "normal").write_text("1")
    (tmp_path / "0.5+0.5.txt").write_text(" ".join(map(str, NORMAL)))
    assert laws.get("normal").fit is None
    assert laws.get("0.5+0.5.txt").fit is not None


def test_a_pickle_is_never_opened(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return Path.mkdir, (tmp_path / "opened",)  # type: ignore[return-value]

    np.save(tmp_path / "trap.npy", np.array([Trap()], dtype=object), allow_pickle=True)
    with pytest.raises(InputError, match="must hold plain numbers"):
        laws.measure(tmp_path / "trap.npy")
    assert not (tmp_path / "opened").exists()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", "1 2\n3 x\n", "numbers alone, but got ''x' in line 2 of a.txt'"),
        ("a.csv", "value\n1\n", "numbers alone, but got ''value' in line 1"),
        ("a.txt", "", "must hold values, but got 'none'"),
        ("a.txt", "1 nan 2", "must be finite numbers, but got 'nan at position 1'"),
        ("a.npy", "not an array", "must hold plain numbers"),
        ("a.npy", "", "must be readable|must hold plain numbers"),
        ("a.json", "[1, 2]", "must end in .npy, .csv, .txt"),
    ],
)
def test_bad_files(tmp_path: Path, name: str, content: str, message: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=message):
        laws.measure(tmp_path / name)


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"\xff\xfe1\x00")
    with pytest.raises(InputError, match="must be readable"):
        laws.measure(tmp_path / "a.txt")


@pytest.mark.parametrize(
    ("sample", "message"),
    [
        ([], "must hold values"),
        (np.empty(0), "must hold values"),
        (iter([]), "must hold values"),
        ([np.empty(0), np.empty((0, 3))], "must hold values"),
        (np.full(50, 1.5), "must not be constant, but got '50 times 1.5'"),
        ([1.0, float("nan")] * 30, "must be finite numbers, but got 'nan at position 1'"),
        ([NORMAL, np.array([np.inf])], "must be finite numbers, but got 'inf at position 3000'"),
        (np.arange(19.0), "at least 20 distinct values, but got '19 distinct values'; record more"),
        (np.arange(1000) % 7, "at least 20 distinct values, but got '7 distinct values'"),
        (np.repeat([0.0, 1.0, 2.5], [500, 300, 1]), "at least 20 distinct values"),
        (np.array(["a"] * 30), "real numbers, but got 'values of type <U1'"),
        (np.ones(30) * 1j, "real numbers"),
        (np.array([True, False] * 30), "real numbers"),
        (["a", "b"], "real numbers"),
        ([[1.0, 2.0], ["x"]], "real numbers"),
        (object(), "an array, the path of a file or an iterable of arrays"),
        (None, "an array, the path of a file"),
        ("nosuch.npy", "file must exist, but got 'nosuch.npy'"),
        (1e200 * NORMAL, "values must be below 1e.100 in size"),
        (1e-95 * NORMAL, "scale must lie between 1e-90 and 1e90"),
    ],
)
def test_bad_samples(sample: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        laws.measure(sample)


def test_a_missing_file_by_name() -> None:
    with pytest.raises(InputError, match=r"file must exist, but got 'recorded\.npy'"):
        laws.get("recorded.npy")
    with pytest.raises(InputError, match="one of cauchy"):
        laws.get("recorded")


def test_what_a_mask_hides_is_left_out() -> None:
    masked = np.ma.masked_array(NORMAL, mask=NORMAL > 1)
    found = samples.read(masked)
    assert (found.count, found.maximum) == (int((NORMAL <= 1).sum()), NORMAL[NORMAL <= 1].max())
    with pytest.raises(InputError, match="must hold values"):
        samples.read(np.ma.masked_all(30))


def test_tensors_as_layers_have_them() -> None:
    tensor = torch.from_numpy(NORMAL)
    np.testing.assert_array_equal(samples.read(tensor.clone().requires_grad_()).values, np.sort(NORMAL))
    rounded = tensor.bfloat16()
    assert samples.read(rounded).mean == pytest.approx(float(rounded.double().mean()), abs=1e-12)
    assert samples.read([rounded, tensor.half()]).count == 6000
    with pytest.raises(InputError, match="values of type complex"):
        samples.read((tensor + 0j).requires_grad_())
