"""Fixtures of the kernel tests."""

import pytest
from abi import Kernels, emulated_avx512, load


@pytest.fixture(
    scope="session",
    params=["avx512", "avx2", "generic", pytest.param("emulated-avx512", marks=pytest.mark.slow)],
)
def kernels(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Kernels:
    """The library with each instruction set of this processor, and with AVX-512 by SIMDe."""
    folder, library = tmp_path_factory.mktemp("isa"), None
    if request.param == "emulated-avx512":
        built = emulated_avx512(folder / "build")
        if isinstance(built, str):
            pytest.skip(f"emulated AVX-512 needs {built}")
        library = built
    isa = request.param.removeprefix("emulated-")
    loaded = load(isa, folder, library)
    if loaded is None:
        pytest.skip(f"this processor has no {'avx2' if library else isa}")
    return loaded
