"""The compiler and the cache: found, trusted, whole; and what happens where they are not."""

from __future__ import annotations

import errno
import os
import subprocess
import sys

import pytest
import torch

from eafo.errors import BuildError
from eafo.kernels import KernelWarning, build, compile_kernel, emit

needs_compiler = pytest.mark.skipif(build.find_compiler() is None, reason="no C++ compiler on this machine")
SOURCE = 'extern "C" int answer() { return 42; }'


@pytest.fixture
def cache(tmp_path, monkeypatch):
    path = tmp_path / "cache"
    monkeypatch.setenv("EAFO_CACHE", str(path))
    return path


@pytest.fixture
def nothing_said(monkeypatch):
    monkeypatch.setattr(build, "_warned", set())


@needs_compiler
def test_a_library_is_compiled_once_and_found_again(cache, monkeypatch):
    assert build.load_cpp(SOURCE).answer() == 42
    (file,) = cache.iterdir()
    assert cache.stat().st_mode & 0o777 == 0o700
    before = file.stat().st_mtime_ns
    monkeypatch.setattr(build, "_compile", lambda *_: pytest.fail("compiled again"))
    assert build.load_cpp(SOURCE).answer() == 42
    assert file.stat().st_mtime_ns == before


@needs_compiler
@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:-1],
        lambda data: data[: len(data) // 2],
        lambda data: b"",
        lambda data: data[:99] + b"X" + data[100:],
    ],
    ids=["shorter", "half", "empty", "altered"],
)
def test_a_damaged_file_is_made_again(cache, damage):
    build.cached("key", ".txt", lambda path: path.write_bytes(b"content" * 40))
    (file,) = cache.iterdir()
    file.write_bytes(damage(file.read_bytes()))
    path = build.cached("key", ".txt", lambda path: path.write_bytes(b"content" * 40))
    assert path == file
    assert build.content(path) == b"content" * 40


@needs_compiler
def test_a_damaged_library_is_never_loaded(cache, no_kernels_kept):
    x = torch.linspace(-2, 2, 5)
    expected = compile_kernel("crrelu", "aten")(x)
    torch.testing.assert_close(compile_kernel("crrelu", "cpp")(x), expected)
    (file,) = cache.glob("*.so")
    whole = file.read_bytes()
    file.unlink()
    file.write_bytes(whole[:4096])
    from eafo.kernels.computation import computation

    computation.cache_clear()
    torch.testing.assert_close(compile_kernel("crrelu", "cpp")(x), expected)


def test_the_name_of_a_file_follows_from_everything_that_went_into_it(cache):
    paths = {build.cached(key, ".txt", lambda path: path.write_text("x")) for key in ("a", "b", "a")}
    assert len(paths) == 2
    assert not list(cache.glob("tmp*"))


def test_a_maker_that_fails_leaves_nothing(cache):
    def fail(_):
        raise BuildError("made to fail")

    with pytest.raises(BuildError, match=r"made to fail"):
        build.cached("key", ".txt", fail)
    assert list(cache.iterdir()) == []


def test_a_full_disk_is_an_error_of_one_line_and_leaves_nothing(cache):
    def fail(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(BuildError, match=r"must take a compiled kernel, but got '.*No space left.*make room"):
        build.cached("key", ".txt", fail)
    assert list(cache.iterdir()) == []


@needs_compiler
def test_without_openmp_it_still_compiles(cache, monkeypatch):
    monkeypatch.setattr(build, "_OPENMP", ("-fno-such-openmp",))
    assert build.load_cpp(SOURCE).answer() == 42


@needs_compiler
def test_without_vector_forms_of_functions_it_still_compiles(cache, monkeypatch, no_kernels_kept):
    monkeypatch.setattr(build, "_LIBMVEC_LIBRARIES", ("-lnosuchlibrary",))
    x = torch.linspace(-9, 9, 101, dtype=torch.float64)
    torch.testing.assert_close(compile_kernel("gelu", "cpp")(x), compile_kernel("gelu", "aten")(x))


@needs_compiler
def test_a_source_that_does_not_compile_says_so(cache):
    with pytest.raises(BuildError, match=r"the C\+\+ compiler must accept the kernel, but got '.*error"):
        build.load_cpp("int answer( { return; }")


@needs_compiler
def test_two_processes_may_build_at_once(cache):
    code = "from eafo.kernels import build; import sys; sys.exit(build.load_cpp(sys.argv[1]).answer() != 42)"
    environment = {**os.environ, "EAFO_CACHE": str(cache)}
    running = [subprocess.Popen([sys.executable, "-c", code, SOURCE], env=environment) for _ in range(2)]
    assert [process.wait(timeout=120) for process in running] == [0, 0]
    assert len(list(cache.iterdir())) == 1


def test_cxx_names_the_compiler(monkeypatch, tmp_path):
    compiler = tmp_path / "mycc"
    compiler.write_text("#!/bin/sh\n")
    compiler.chmod(0o755)
    monkeypatch.setenv("CXX", str(compiler))
    assert build.find_compiler() == str(compiler)


def test_a_compiler_that_fails_is_an_error_of_one_line(monkeypatch, tmp_path, cache):
    compiler = tmp_path / "mycc"
    compiler.write_text("#!/bin/sh\necho no luck >&2\nexit 1\n")
    compiler.chmod(0o755)
    monkeypatch.setenv("CXX", str(compiler))
    with pytest.raises(BuildError, match=r"the C\+\+ compiler must accept the kernel, but got 'no luck'"):
        build.load_cpp(SOURCE)


def _without_compiler(monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CXX", raising=False)


def test_without_a_compiler_auto_warns_once_and_uses_torch(monkeypatch, cache, no_kernels_kept, nothing_said):
    _without_compiler(monkeypatch)
    x = torch.linspace(-2, 2, 5)
    with pytest.warns(KernelWarning, match=r"needs a C\+\+ compiler") as caught:
        found = [compile_kernel(name)(x) for name in ("crrelu", "silu")]
    assert len(caught) == 1
    expected = [compile_kernel(name, "aten")(x) for name in ("crrelu", "silu")]
    assert all(map(torch.equal, found, expected))


def test_without_a_compiler_cpp_by_name_is_an_error(monkeypatch, cache, no_kernels_kept):
    _without_compiler(monkeypatch)
    with pytest.raises(
        BuildError, match=r"the cpp backend needs a C\+\+ compiler, but got 'none'; install g\+\+"
    ):
        compile_kernel("crrelu", "cpp")(torch.ones(2))


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o777])
def test_a_cache_that_others_may_write_is_refused(cache, mode, no_kernels_kept, nothing_said):
    cache.mkdir()
    cache.chmod(mode)
    with pytest.raises(BuildError, match=r"the kernel cache must be writable by you alone.*chmod 700"):
        build.cache_directory()
    with pytest.warns(KernelWarning, match=r"writable by you alone"):
        found = compile_kernel("crrelu")(torch.ones(2))
    torch.testing.assert_close(found, compile_kernel("crrelu", "aten")(torch.ones(2)))


def test_a_cache_of_another_user_is_refused(cache, monkeypatch):
    cache.mkdir(mode=0o700)
    owner = cache.stat().st_uid
    monkeypatch.setattr(os, "getuid", lambda: owner + 1)
    with pytest.raises(BuildError, match=r"the kernel cache must belong to you"):
        build.cache_directory()


def test_a_cache_that_is_a_file_is_refused(cache):
    cache.write_text("")
    with pytest.raises(BuildError, match=r"the kernel cache must be a directory"):
        build.cache_directory()


def test_nothing_is_compiled_for_torch_alone(cache, monkeypatch):
    _without_compiler(monkeypatch)
    assert emit("crrelu", "cpp")
    compile_kernel("crrelu", "aten")(torch.ones(2))
    assert not cache.exists()
