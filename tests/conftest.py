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
settings.register_profile("few", settings.get_profile("checks"), max_examples=10)  # for a second Python
settings.load_profile("checks")
