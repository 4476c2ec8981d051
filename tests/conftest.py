import pytest
from hypothesis import HealthCheck, settings

# Before anybody imports one of them.
pytest.register_assert_rewrite(
    "jupyter_bgstream.testing.factories",
    "jupyter_bgstream.testing.store_contract",
    "jupyter_bgstream.testing.lifecycle_contract",
    "jupyter_bgstream.testing.retention_contract",
)

# The machine that runs the checks runs several of them at a time.
settings.register_profile("checks", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("checks")
