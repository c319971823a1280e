"""Fixtures of the kernel tests."""

import pytest
from abi import Kernels, load


@pytest.fixture(scope="session", params=["avx512", "avx2", "generic"])
def kernels(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Kernels:
    """The library with each instruction set of this processor."""
    loaded = load(request.param, tmp_path_factory.mktemp("isa"))
    if loaded is None:
        pytest.skip(f"this processor has no {request.param}")
    return loaded
