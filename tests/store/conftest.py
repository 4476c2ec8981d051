import pytest

pytest.register_assert_rewrite("jupyter_bgstream.testing.store_contract")
