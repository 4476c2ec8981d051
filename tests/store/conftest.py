import pytest


@pytest.fixture
def database(tmp_path):
    return tmp_path / "jobs.sqlite"


@pytest.fixture(params=["wal", "rollback"])
def journal(request):
    return request.param
