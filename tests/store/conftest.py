import pytest

pytest.register_assert_rewrite(
    "jupyter_bgstream.testing.store_contract",
    "jupyter_bgstream.testing.lifecycle_contract",
    "jupyter_bgstream.testing.retention_contract",
)


@pytest.fixture
def database(tmp_path):
    return tmp_path / "jobs.sqlite"


@pytest.fixture(params=["wal", "rollback"])
def journal(request):
    return request.param
