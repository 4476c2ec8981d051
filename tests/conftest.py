import pytest

# Before anybody imports one of them.
pytest.register_assert_rewrite(
    "jupyter_bgstream.testing.store_making",
    "jupyter_bgstream.testing.store_contract",
    "jupyter_bgstream.testing.lifecycle_contract",
    "jupyter_bgstream.testing.retention_contract",
)
