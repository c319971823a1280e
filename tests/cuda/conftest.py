"""Fixtures of the GPU tests."""

from collections.abc import Iterator

import pytest
from cuda_emulated import POWERS, Gpu, build


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


@pytest.fixture(scope="session")
def gpu_with_every_power(  # type: ignore[no-untyped-def]
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gpu]:
    """The same with a program for every power that is computed by multiplication."""
    programs = [(0, 0), (1, 0), *((1, p) for p in POWERS)]
    folder = build(request.config.cache.mkdir("cuda-emulator"), programs)
    process = Gpu(folder, tmp_path_factory.mktemp("cuda-cache"))
    yield process
    process.close()
