"""Hypothesis profiles. `pytest --hypothesis-profile=thorough` runs ten times as many examples of every property."""

from hypothesis import HealthCheck, settings

COMMON = {"deadline": None, "derandomize": True, "suppress_health_check": [HealthCheck.too_slow]}

settings.register_profile("default", max_examples=60, **COMMON)
settings.register_profile("thorough", max_examples=600, **COMMON)
settings.load_profile("default")
