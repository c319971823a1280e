"""Fixtures of the GPU tests."""

from collections.abc import Iterator

import pytest
from cuda_emulated import Gpu, build


@pytest.fixture(scope="session")
def programs(request: pytest.FixtureRequest):  # type: ignore[no-untyped-def]
    """The folder of the fake driver and the emulated kernels, kept between runs."""
    return build(request.config.cache.mkdir("cuda-emulator"))


@pytest.fixture(scope="session")
def gpu(programs, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gpu]:  # type: ignore[no-untyped-def]
    """A process in which the GPU library runs in the emulator."""
    process = Gpu(programs, tmp_path_factory.mktemp("cuda-cache"))
    yield process
    process.close()
