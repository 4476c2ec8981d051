"""Tells a receiver outside what has ended and nobody has looked at: the optional webhook. See docs/webhook.md.

Form, signature and retries follow Standard Webhooks, https://www.standardwebhooks.com.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hmac
import logging
import random
from collections.abc import Mapping
from contextlib import aclosing
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

import httpx
import msgspec

from ..core.codec import encode
from ..core.errors import InvalidRequestError, NotFoundError
from ..core.job import Job
from ..core.notices import CALL_AFTER, Notice
from ..engine.clock import Clock, SettledTime, SystemClock
from ..engine.service import Service
from ..providers.bodies import UNCOMPRESSED
from ..providers.http_client import plain_client, send
from ..providers.proxies import InvalidProxyError, proxy_of
from ..providers.retry_after import retry_after
from ..providers.sockets import Sockets
from ..providers.transport import is_local, no_authorities

LOOK_SECONDS = 5.0  # between looks for what is due
AT_A_TIME = 4  # requests
CONNECT_SECONDS = 6.0  # and as many for the TLS handshake
ANSWER_SECONDS = 15.0  # for all of a request
LEASE_SECONDS = 60.0  # after which a notice whose sender has died is sent again
FIRST_DELAY = 5.0  # seconds
LONGEST_DELAY = 3600.0  # seconds, also for what a receiver asks for
GIVEN_UP = 24 * 3600.0  # seconds after its end

SECRET_BYTES = range(24, 65)  # as the standard wants it
SECRET_FORM = "whsec_ and 24 to 64 random bytes in base64"  # noqa: S105 - its form

log = logging.getLogger(__name__)


class WebhookTarget(msgspec.Struct, frozen=True, kw_only=True):
    """Where notices go, and how."""

    url: str
    keys: tuple[bytes, ...]  # each signs; two while a secret is exchanged
    preview: bool  # whether titles and the answers' first words go out as well

    def __repr__(self) -> str:
        return f"Receiver({self.name!r})"  # without the path and the query, which may be a secret, and without keys

    @property
    def name(self) -> str:
        """What log lines call it."""
        url = httpx.URL(self.url)
        return f"{url.scheme}://{url.netloc.decode('ascii')}"


def read_receiver(url: str, *, secret_env: str, preview: bool, environ: Mapping[str, str]) -> WebhookTarget:
    """Check the settings.

    Raises InvalidRequestError that says what is wrong, without showing it: it may be a secret.
    """
    if problem := _url_problem(url):
        raise InvalidRequestError(f"BgStreamApp.webhook_url {problem}", field="webhook_url")
    if not secret_env.isidentifier():
        raise InvalidRequestError(
            "BgStreamApp.webhook_secret_env is the *name* of an environment variable, never the secret itself.",
            field="webhook_secret_env",
        )
    secrets = environ.get(secret_env, "").split()
    keys = tuple(key for secret in secrets if (key := _key(secret)) is not None)
    if not keys or len(keys) < len(secrets):
        raise InvalidRequestError(
            f"The webhook needs a secret: set {secret_env} in the Jupyter server's environment to {SECRET_FORM}.",
            field="webhook_secret_env",
        )
    return WebhookTarget(url=url, keys=keys, preview=preview)


def _url_problem(text: str) -> str | None:
    try:
        url = httpx.URL(text)
    except (httpx.InvalidURL, ValueError):
        return "is not a URL."
    if url.port is not None and not 0 < url.port < 65536:
        return "is not a URL: there is no such port."
    if not url.host or not (url.scheme == "https" or (url.scheme == "http" and is_local(text))):
        return "must be an https URL; http is for this machine only, such as http://localhost:8000/."
    if url.userinfo or url.fragment:
        return "may hold no user name, password or fragment."
    return None


def _key(secret: str) -> bytes | None:
    kind, _, text = secret.partition("_")
    try:
        key = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None
    return key if kind == "whsec" and len(key) in SECRET_BYTES else None


def signature(keys: tuple[bytes, ...], message: str, at: int, body: bytes) -> str:
    """Return the header ``webhook-signature``; ``at`` is the header ``webhook-timestamp``, in Unix seconds."""
    signed = b"%b.%d.%b" % (message.encode(), at, body)
    return " ".join("v1," + base64.b64encode(hmac.digest(key, signed, "sha256")).decode() for key in keys)


def payload(notice: Notice, job: Job | None, *, preview: bool) -> bytes:
    """Return what is sent about a notice: whose it is, how that ended or why it is paused; words with ``preview``."""
    error = notice.paused or (job.error if job else None)
    data: dict[str, Any] = {
        "job": notice.job,
        "group": notice.group,
        "status": notice.status,
        "model": job.spec.model if job else None,
        "error_code": None if error is None else error.code,  # its message may quote the prompt
        "counts": notice.counts,
        "notebook": notice.source.notebook,
    }
    if preview:
        data |= {"title": notice.title, "preview": notice.preview}
    kind = "job" if notice.group is None else "group"
    at = datetime.fromtimestamp(notice.created_at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    what = notice.status if notice.paused is None else "paused"
    return encode({"type": f"{kind}.{what}", "timestamp": at, "data": data})


class Webhook:
    """Sends one owner's notices, each at least once unless it is read first, and some again after a sudden death."""

    def __init__(self, receiver: WebhookTarget, *, service: Service, owner: str, clock: Clock | None = None) -> None:
        self._receiver = receiver
        self._service = service
        self._owner = owner
        self._clock = clock or SystemClock()
        self._time = SettledTime(self._clock)
        self._first_tries: dict[str, float] = {}  # of notices that failed, by their ids; monotonic seconds
        self._gone = False
        self._lost = False  # whether the last answer was none, or a refusal

    async def run(self) -> None:
        """Send what becomes due, until the receiver says that it is gone."""
        httpx_log = logging.getLogger("httpx")
        httpx_log.addFilter(self._is_discreet)
        try:
            # In a thread, since the authorities are loaded, which takes longer than the loop may.
            async with await asyncio.to_thread(self._client) as client:
                pause = await self._round(client)
                while not self._gone:
                    await self._clock.sleep(pause)
                    pause = await self._round(client)
        except OSError as error:
            log.critical("The webhook is off. %s", no_authorities(error))
        except (InvalidProxyError, ImportError) as error:  # a SOCKS proxy without its package
            log.critical("The webhook is off. %s", error)
        finally:
            httpx_log.removeFilter(self._is_discreet)

    def _is_discreet(self, record: logging.LogRecord) -> bool:
        # httpx logs whole URLs.
        args = record.args if isinstance(record.args, tuple) else ()
        return not any(isinstance(arg, httpx.URL) and str(arg) == str(httpx.URL(self._receiver.url)) for arg in args)

    def _client(self) -> httpx.AsyncClient:
        url = self._receiver.url
        return plain_client(  # which follows no redirect: only the configured address was meant to hear of it
            verify=httpx.create_ssl_context(),
            proxy=None if is_local(url) else proxy_of(url),
            timeout=httpx.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS),
            # No upper limit: with one, httpcore loses connections when requests are cancelled while they queue for it.
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=0),
        )

    async def _round(self, client: httpx.AsyncClient) -> float:
        # Returns the seconds until the next.
        now = self._clock.time()
        try:
            due = await self._service.due_calls(
                self._owner, since=self._time.time() - GIVEN_UP, at=now, again=now + LEASE_SECONDS, limit=AT_A_TIME
            )
            waits = await asyncio.gather(*(self._call(client, notice) for notice in due))
        except Exception as error:  # such as a store that is locked; the notices stay due
            log.error("the webhook cannot go on now, trying again: %s", type(error).__name__)
            return LOOK_SECONDS
        # What fails here would fail for others too: they wait for the next look, or as long as was asked for.
        return max(waits) if any(waits) or len(due) == AT_A_TIME else LOOK_SECONDS

    async def _call(self, client: httpx.AsyncClient, notice: Notice) -> float:
        # Returns the seconds for which the receiver is to be left alone.
        try:
            job = await self._service.job(self._owner, notice.job) if notice.job else None
        except NotFoundError:  # deleted meanwhile
            return 0.0
        problem, pause = await self._send(client, notice, payload(notice, job, preview=self._receiver.preview))
        if problem is None:
            self._lost = False
            self._first_tries.pop(notice.id, None)
            await self._service.called(self._owner, notice.id)
            return 0.0
        age = self._age(notice)
        delay = max(pause, _delay(age))
        given_up = age + delay > GIVEN_UP
        again = self._clock.time() + delay
        if given_up:
            self._first_tries.pop(notice.id, None)
        await self._service.called(self._owner, notice.id, again=None if given_up else again)
        if self._gone:
            log.warning("%s is gone (410): the webhook is off until the Jupyter server's restart.", self._receiver.name)
        elif given_up:
            log.warning("%s %s; notice %s is given up.", self._receiver.name, problem, notice.id)
        elif not self._lost:  # once, not for every try
            log.warning("%s %s; notices are sent again for a day.", self._receiver.name, problem)
        self._lost = True
        return max(pause, LOOK_SECONDS)

    def _age(self, notice: Notice) -> float:
        # By the wall clock it may be younger than it is, or not born yet.
        now = self._clock.monotonic()
        if notice.id not in self._first_tries:  # those that were read meanwhile are never heard of again
            self._first_tries = {known: at for known, at in self._first_tries.items() if now - at <= GIVEN_UP}
            self._first_tries[notice.id] = now
        return max(self._time.time() - notice.created_at, now - self._first_tries[notice.id] + CALL_AFTER)

    async def _send(self, client: httpx.AsyncClient, notice: Notice, body: bytes) -> tuple[str | None, float]:
        # Returns what went wrong, and the seconds that the receiver asks for.
        at = int(self._clock.time())
        headers = UNCOMPRESSED | {
            "content-type": "application/json",
            "webhook-id": notice.id,  # the same at every try, so that the receiver can tell
            "webhook-timestamp": str(at),
            "webhook-signature": signature(self._receiver.keys, notice.id, at, body),
        }
        try:
            async with (
                asyncio.timeout(ANSWER_SECONDS),
                Sockets() as sockets,
                aclosing(await send(client, self._request(client, headers, body, sockets))) as response,
            ):
                status = response.status_code  # the body says nothing to us and is not read
                asked = min(LONGEST_DELAY, retry_after(response.headers, now=self._clock.time()) or 0.0)
        except (httpx.HTTPError, TimeoutError) as error:
            return f"does not answer ({type(error).__name__})", 0.0
        if response.is_success:
            return None, 0.0
        self._gone = status == HTTPStatus.GONE
        throttled = status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)
        return f"answers {status}", asked if throttled else 0.0

    def _request(
        self, client: httpx.AsyncClient, headers: dict[str, str], body: bytes, sockets: Sockets
    ) -> httpx.Request:
        extensions = {"trace": sockets.trace}
        return client.build_request("POST", self._receiver.url, content=body, headers=headers, extensions=extensions)


def _delay(age: float) -> float:
    # Twice as long as it has been due, so that nobody has to count the tries: 5, 10, 30, 90 s … Later by up to a
    # quarter, so that those who failed together do not come back together.
    delay = min(LONGEST_DELAY, max(FIRST_DELAY, 2 * (age - CALL_AFTER)))
    return delay * random.uniform(1.0, 1.25)  # noqa: S311
