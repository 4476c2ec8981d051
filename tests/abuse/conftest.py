import gc

import pytest


@pytest.fixture(autouse=True)
def swept():
    """What a test leaves behind is found in that test, not in a later one."""
    yield
    gc.collect()
