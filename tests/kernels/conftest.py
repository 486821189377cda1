"""Kernels compiled by the tests are kept beside pytest's own cache, not in the user's."""

from __future__ import annotations

import pytest

from eafo.kernels.computation import computation


@pytest.fixture(autouse=True, scope="session")
def kernel_cache(pytestconfig):
    path = pytestconfig.cache.mkdir("eafo-kernels")
    path.chmod(0o700)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EAFO_CACHE", str(path))
        yield path


@pytest.fixture
def no_kernels_kept():
    """Runners are kept for a process; a test of building starts without any, and leaves none."""
    computation.cache_clear()
    yield
    computation.cache_clear()
