from contextlib import closing

import pytest

from jupyter_bgstream.store.sqlite.connection import open_for_writing


@pytest.fixture
def database(tmp_path):
    return tmp_path / "jobs.sqlite"


@pytest.fixture(params=["wal", "rollback"])
def journal(request):
    return request.param


@pytest.fixture
def db(database):
    with closing(open_for_writing(database, patience=1.0)) as db:
        yield db
