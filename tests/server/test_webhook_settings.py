"""The webhook's address and secrets: what is accepted, and that no secret is shown."""

from __future__ import annotations

import base64
import time

import pytest
import standardwebhooks
from server.webhook_servers import ENVIRON, KEY, SECRET

from jupyter_bgstream.core.errors import InvalidRequestError
from jupyter_bgstream.server import webhook
from jupyter_bgstream.server.webhook import read_target


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.example.org/x",
        "ftp://localhost/x",
        "hooks.example.org",
        "https://",
        "https://user:word@hooks.example.org/",
        "https://hooks.example.org/#x",
        "https://hooks.example.org:99999999/",
        "http://localhost.example.org/",
    ],
)
def test_invalid_url_is_refused_without_being_shown(url: str) -> None:
    with pytest.raises(InvalidRequestError, match=r"^BgStreamApp.webhook_url .*\.$") as refused:
        read_target(url, secret_env="HOOK_SECRET", preview=False, environ=ENVIRON)
    assert url not in refused.value.message


@pytest.mark.parametrize("url", ["https://hooks.example.org/x?y=z", "http://localhost:1/", "http://[::1]:8000/x"])
def test_valid_url_is_accepted(url: str) -> None:
    target = read_target(url, secret_env="HOOK_SECRET", preview=False, environ=ENVIRON)
    assert target.keys == (KEY,)
    assert "y=z" not in repr(target)


@pytest.mark.parametrize("secret", ["", "whsec_", SECRET[6:], "whsec_!!!", "whsec_" + "QUJD" * 7 + " x", "whsec_QUJD"])
def test_invalid_secret_is_refused_without_being_shown(secret: str) -> None:
    with pytest.raises(InvalidRequestError, match="Set HOOK_SECRET in") as refused:
        read_target("https://a.example/", secret_env="HOOK_SECRET", preview=False, environ={"HOOK_SECRET": secret})
    assert not secret[6:] or secret[6:] not in refused.value.message


def test_secret_in_place_of_its_variable_name_is_not_shown() -> None:
    with pytest.raises(InvalidRequestError, match="the \\*name\\*") as refused:
        read_target("https://a.example/", secret_env=SECRET, preview=False, environ={})
    assert SECRET not in refused.value.message


def test_two_secrets_both_sign() -> None:
    other = bytes(32)
    both = f"{SECRET} whsec_{base64.b64encode(other).decode()}"
    target = read_target("https://a.example/", secret_env="S", preview=False, environ={"S": both})
    now = int(time.time())
    headers = {"webhook-id": "abc", "webhook-timestamp": str(now)}
    headers["webhook-signature"] = webhook.signature(target.keys, "abc", now, b'{"a":1}')
    for key in (KEY, other):
        assert standardwebhooks.Webhook(key).verify(b'{"a":1}', headers) == {"a": 1}
