"""Settings shared by all tests."""

from hypothesis import HealthCheck, settings

# Deadlines measure the machine, not the code; a fixed seed makes failures repeatable.
settings.register_profile(
    "sortnet",
    deadline=None,
    derandomize=True,
    max_examples=30,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("sortnet")
