"""Settings shared by all tests."""

import os
from collections.abc import Iterator
from contextlib import nullcontext

import pytest
from hypothesis import HealthCheck, settings
from windows_rules import windows_rules

# Deadlines measure the machine, not the code; a fixed seed makes failures repeatable.
settings.register_profile(
    "sortnet",
    deadline=None,
    derandomize=True,
    max_examples=30,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("sortnet")


@pytest.fixture(autouse=True, scope="session")
def _windows_rules() -> Iterator[None]:
    with windows_rules() if os.environ.get("SORTNET_WINDOWS_RULES") else nullcontext():
        yield
