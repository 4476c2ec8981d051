import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

# A shell starts what runs in the background with SIGINT ignored, and all processes of tests would inherit it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Before a test imports one of them. All modules of store.contract are rewritten as well.
pytest.register_assert_rewrite("store.contract", "store.factories", "engine.model_servers", "engine.model_stage")

# The machine that runs the checks runs several of them at a time.
settings.register_profile("checks", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("few", settings.get_profile("checks"), max_examples=10)  # for a second Python
settings.load_profile("checks")

# The checks provide all that a test needs but the rights of root.
COMPLETE = "BGSTREAM_CHECK" in os.environ
MAY_SKIP = ("only root", "litellm is", "google-auth is")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[Any]:
    """Let a test that is skipped in the checks fail."""
    report = yield
    if COMPLETE and report.skipped and not hasattr(report, "wasxfail"):
        reason = str(call.excinfo.value if call.excinfo is not None else report.longrepr)
        if not any(each in reason for each in MAY_SKIP):
            report.outcome = "failed"
            report.longrepr = f"Skipped in the checks: {reason}"
    return report
