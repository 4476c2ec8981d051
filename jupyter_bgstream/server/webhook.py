"""The optional webhook: sends notices that are still unread after a while. See docs/how-to/webhook.md.

Payload, signature and retries follow Standard Webhooks, https://www.standardwebhooks.com.
"""

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
from ..engine.engine import Engine
from ..providers.http_client import plain_client, send
from ..providers.proxies import InvalidProxyError, proxy_of
from ..providers.response_bodies import UNCOMPRESSED
from ..providers.retry_after import retry_after
from ..providers.sockets import Sockets
from ..providers.transport import certificates_error, is_local

POLL_SECONDS = 5.0  # between queries for due notices
MAX_CONCURRENT = 4  # requests
CONNECT_SECONDS = 6.0  # and the same for the TLS handshake
REQUEST_SECONDS = 15.0  # for a whole request
LEASE_SECONDS = 60.0  # after which another server sends the notice of a dead one again
FIRST_DELAY = 5.0  # seconds
LONGEST_DELAY = 3600.0  # seconds, also for Retry-After
GIVE_UP_AFTER = 24 * 3600.0  # seconds after the end of the job

SECRET_BYTES = range(24, 65)  # of the standard
SECRET_FORMAT = "whsec_ and 24 to 64 random bytes in base64"  # noqa: S105 - its format

log = logging.getLogger(__name__)


class WebhookTarget(msgspec.Struct, frozen=True, kw_only=True):
    """The receiver of notices."""

    url: str
    keys: tuple[bytes, ...]  # each signs; two while a secret is rotated
    preview: bool  # whether to send titles and the first words of answers

    def __repr__(self) -> str:
        return f"WebhookTarget({self.name!r})"  # without keys, path and query, which may be secret

    @property
    def name(self) -> str:
        """Scheme and host, for log lines."""
        url = httpx.URL(self.url)
        return f"{url.scheme}://{url.netloc.decode('ascii')}"


def read_target(url: str, *, secret_env: str, preview: bool, environ: Mapping[str, str]) -> WebhookTarget:
    """Return the configured target.

    Raises:
        InvalidRequestError: A setting is wrong. The message does not quote the value, which may be a secret.

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
            f"The webhook needs a secret. Set {secret_env} in the Jupyter server's environment to {SECRET_FORMAT}.",
            field="webhook_secret_env",
        )
    return WebhookTarget(url=url, keys=keys, preview=preview)


def _url_problem(text: str) -> str | None:
    try:
        url = httpx.URL(text)
    except (httpx.InvalidURL, ValueError):
        return "is not a URL."
    if url.port is not None and not 0 < url.port < 65536:
        return "is not a URL: the port is out of range."
    if not url.host or not (url.scheme == "https" or (url.scheme == "http" and is_local(text))):
        return "must be an https URL; http is allowed for this machine only, such as http://localhost:8000/."
    if url.userinfo or url.fragment:
        return "must not have a user name, password or fragment."
    return None


def _key(secret: str) -> bytes | None:
    kind, _, text = secret.partition("_")
    try:
        key = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None
    return key if kind == "whsec" and len(key) in SECRET_BYTES else None


def signature(keys: tuple[bytes, ...], message: str, at: int, body: bytes) -> str:
    """Return the header ``webhook-signature``; ``at`` is the value of ``webhook-timestamp`` in Unix seconds."""
    signed = b"%b.%d.%b" % (message.encode(), at, body)
    return " ".join("v1," + base64.b64encode(hmac.digest(key, signed, "sha256")).decode() for key in keys)


def payload(notice: Notice, job: Job | None, *, preview: bool) -> bytes:
    """Return the body of the request for a notice; with title and first words of the answer if ``preview``."""
    error = notice.paused or (job.error if job else None)
    data: dict[str, Any] = {
        "job": notice.job,
        "batch": notice.batch,
        "status": notice.status,
        "model": job.spec.model if job else None,
        "error_code": None if error is None else error.code,  # its message may quote the prompt
        "counts": notice.counts,
        "notebook": notice.source.notebook,
    }
    if preview:
        data |= {"title": notice.title, "preview": notice.preview}
    kind = "job" if notice.batch is None else "batch"
    at = datetime.fromtimestamp(notice.created_at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    event = notice.status if notice.paused is None else "paused"
    return encode({"type": f"{kind}.{event}", "timestamp": at, "data": data})


class Webhook:
    """Sends the notices of one owner that stay unread, each at least once."""

    def __init__(self, target: WebhookTarget, *, engine: Engine, owner: str, clock: Clock | None = None) -> None:
        self._target = target
        self._engine = engine
        self._owner = owner
        self._clock = clock or SystemClock()
        self._time = SettledTime(self._clock)
        self._first_attempts: dict[str, float] = {}  # of failed notices by their ids; monotonic seconds
        self._gone = False  # whether the receiver has responded 410
        self._failing = False  # whether the last request has failed

    async def run(self) -> None:
        """Send due notices until the receiver responds 410 Gone."""
        httpx_log = logging.getLogger("httpx")
        httpx_log.addFilter(self._without_url)
        try:
            # In a thread: loading the certificate authorities would block the event loop for too long.
            async with await asyncio.to_thread(self._client) as client:
                pause = await self._send_due(client)
                while not self._gone:
                    await self._clock.sleep(pause)
                    pause = await self._send_due(client)
        except OSError as error:
            log.critical("The webhook is off. %s", certificates_error(error))
        except (InvalidProxyError, ImportError) as error:  # a SOCKS proxy without its package
            log.critical("The webhook is off. %s", error)
        finally:
            httpx_log.removeFilter(self._without_url)

    def _without_url(self, record: logging.LogRecord) -> bool:
        # httpx logs whole URLs.
        args = record.args if isinstance(record.args, tuple) else ()
        return not any(isinstance(arg, httpx.URL) and str(arg) == str(httpx.URL(self._target.url)) for arg in args)

    def _client(self) -> httpx.AsyncClient:
        url = self._target.url
        return plain_client(  # follows no redirect: only the configured URL may receive notices
            verify=httpx.create_ssl_context(),
            proxy=None if is_local(url) else proxy_of(url),
            timeout=httpx.Timeout(REQUEST_SECONDS, connect=CONNECT_SECONDS),
            # No upper limit: httpcore would lose connections if requests are cancelled while they wait for one.
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=0),
        )

    async def _send_due(self, client: httpx.AsyncClient) -> float:
        # Returns the seconds until the next call.
        now = self._clock.time()
        try:
            due = await self._engine.inbox.due_webhooks(
                self._owner,
                since=self._time.time() - GIVE_UP_AFTER,
                at=now,
                again=now + LEASE_SECONDS,
                limit=MAX_CONCURRENT,
            )
            pauses = await asyncio.gather(*(self._deliver(client, notice) for notice in due))
        except Exception as error:  # such as a store that is locked; the notices stay due
            log.error("the webhook cannot send notices now, trying again: %s", type(error).__name__)
            return POLL_SECONDS
        # After a failure other notices would fail too: they wait for the next poll, or for the time of Retry-After.
        return max(pauses) if any(pauses) or len(due) == MAX_CONCURRENT else POLL_SECONDS

    async def _deliver(self, client: httpx.AsyncClient, notice: Notice) -> float:
        # Returns the seconds to wait before the next request.
        try:
            job = await self._engine.jobs.get(self._owner, notice.job) if notice.job else None
        except NotFoundError:  # deleted meanwhile
            return 0.0
        problem, pause = await self._send(client, notice, payload(notice, job, preview=self._target.preview))
        if problem is None:
            self._failing = False
            self._first_attempts.pop(notice.id, None)
            await self._engine.inbox.reschedule_webhook(self._owner, notice.id)
            return 0.0
        age = self._age(notice)
        delay = max(pause, _delay(age))
        given_up = age + delay > GIVE_UP_AFTER
        again = self._clock.time() + delay
        if given_up:
            self._first_attempts.pop(notice.id, None)
        await self._engine.inbox.reschedule_webhook(self._owner, notice.id, again=None if given_up else again)
        if self._gone:
            log.warning(
                "%s responded 410 Gone: the webhook is off until the Jupyter server restarts.", self._target.name
            )
        elif given_up:
            log.warning("%s %s; notice %s is dropped.", self._target.name, problem, notice.id)
        elif not self._failing:  # once, not for each attempt
            log.warning("%s %s; notices are retried for a day.", self._target.name, problem)
        self._failing = True
        return max(pause, POLL_SECONDS)

    def _age(self, notice: Notice) -> float:
        # A wall clock that was set back would make the notice too young.
        now = self._clock.monotonic()
        if notice.id not in self._first_attempts:  # also drop notices that were read meanwhile
            self._first_attempts = {
                known: at for known, at in self._first_attempts.items() if now - at <= GIVE_UP_AFTER
            }
            self._first_attempts[notice.id] = now
        return max(self._time.time() - notice.created_at, now - self._first_attempts[notice.id] + CALL_AFTER)

    async def _send(self, client: httpx.AsyncClient, notice: Notice, body: bytes) -> tuple[str | None, float]:
        # Returns the problem, if any, and the seconds of Retry-After.
        at = int(self._clock.time())
        headers = UNCOMPRESSED | {
            "content-type": "application/json",
            "webhook-id": notice.id,  # the same for each attempt, so that the receiver can ignore duplicates
            "webhook-timestamp": str(at),
            "webhook-signature": signature(self._target.keys, notice.id, at, body),
        }
        try:
            async with (
                asyncio.timeout(REQUEST_SECONDS),
                Sockets() as sockets,
                aclosing(await send(client, self._request(client, headers, body, sockets))) as response,
            ):
                status = response.status_code  # the body is not read
                wanted = min(LONGEST_DELAY, retry_after(response.headers, now=self._clock.time()) or 0.0)
        except (httpx.HTTPError, TimeoutError) as error:
            return f"does not respond ({type(error).__name__})", 0.0
        if response.is_success:
            return None, 0.0
        self._gone = status == HTTPStatus.GONE
        throttled = status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)
        return f"responded {status}", wanted if throttled else 0.0

    def _request(
        self, client: httpx.AsyncClient, headers: dict[str, str], body: bytes, sockets: Sockets
    ) -> httpx.Request:
        extensions = {"trace": sockets.trace}
        return client.build_request("POST", self._target.url, content=body, headers=headers, extensions=extensions)


def _delay(age: float) -> float:
    # Twice the time since it was due, so that no count of attempts is stored: 5, 10, 30, 90 s, …. Up to a quarter
    # longer, so that notices that failed together are not retried together.
    delay = min(LONGEST_DELAY, max(FIRST_DELAY, 2 * (age - CALL_AFTER)))
    return delay * random.uniform(1.0, 1.25)  # noqa: S311
