"""A real JupyterHub: configurable-http-proxy, the Hub and one server for each user, all in processes of their own."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import psutil
from harness.hub_config import CONFIG
from harness.jupyter import free_port, of_this_machine
from harness.process import LoggedProcess

import jupyter_bgstream

REPOSITORY = Path(jupyter_bgstream.__file__).parents[1]
PREFIX = "/campus/"
PATIENCE = 60.0  # seconds


def find_proxy() -> str:
    """Return the proxy's command; a missing one fails the tests."""
    found = (
        os.environ.get("BGSTREAM_PROXY")
        or shutil.which("configurable-http-proxy")
        or shutil.which("configurable-http-proxy", path=str(REPOSITORY / ".venv/proxy/node_modules/.bin"))
    )
    assert found, "configurable-http-proxy is needed: npm install --prefix .venv/proxy configurable-http-proxy@5"
    return found


class UserServer:
    """One user's server, as seen from outside through the proxy; it has what tests use of ``Jupyter``."""

    def __init__(self, hub: Hub, user: str, name: str = "") -> None:
        self.hub = hub
        self.user = user
        self.name = name
        self.home = hub.homes / user
        self.root = self.home
        self.data = self.home / ".local/share/jupyter"
        self.runtime = self.data / "runtime"
        self.token = hub.token_of(user)
        self._known: tuple[str, str] | None = None

    @property
    def url(self) -> str:
        name = f"{self.name}/" if self.name else ""
        return f"{self.hub.url}user/{self.user}/{name}"

    @property
    def api(self) -> str:
        return f"{self.url}api/bgstream/"

    def client(self, **kwargs: Any) -> httpx.Client:
        """A caller with the user's own API token of the Hub."""
        headers = {"Authorization": f"token {self.token}"} | kwargs.pop("headers", {})
        return httpx.Client(base_url=self.api, headers=headers, trust_env=False, verify=False, timeout=60, **kwargs)

    def browser(self) -> httpx.Client:
        """A caller with the cookies of somebody who has signed in, as a browser has them, and no token."""
        browser = self.hub.sign_in(self.user)
        assert browser.get(f"{self.url}lab").status_code == 200  # by way of the Hub's OAuth
        browser.base_url = self.api
        return browser

    def page(self) -> httpx.Client:
        """A caller that does as a page of JupyterLab: the cookies, and the XSRF cookie's value in a header."""
        page = self.browser()
        page.base_url = self.url
        page.headers["X-XSRFToken"] = self.xsrf(page)
        return page

    def xsrf(self, browser: httpx.Client) -> str:
        """Return the XSRF cookie of this server; the Hub and other servers have theirs."""
        path = httpx.URL(self.url).path
        (token,) = [cookie.value for cookie in browser.cookies.jar if (cookie.name, cookie.path) == ("_xsrf", path)]
        assert token is not None
        return token

    @property
    def runtime_file(self) -> Path:
        """The runtime file of this server, which writes it a moment after the Hub can reach it."""
        pid, deadline = self.pid, time.monotonic() + PATIENCE
        while True:
            for path in self.runtime.glob("bgstream-*.json"):
                if json.loads(path.read_text())["pid"] == pid:
                    return path
            assert time.monotonic() < deadline, f"{self.user} has no runtime file"
            time.sleep(0.05)

    @property
    def database_path(self) -> Path:
        return self.data / "bgstream/jobs.sqlite"

    @property
    def direct_api(self) -> str:
        """The API's address without the proxy, as kernels use it."""
        return self.kernel_access[0]

    @property
    def kernel_token(self) -> str:
        return self.kernel_access[1]

    @property
    def kernel_access(self) -> tuple[str, str]:
        """Address and token of the runtime file."""
        if self._known is not None:
            return self._known
        runtime = json.loads(self.runtime_file.read_text())
        return f"{runtime['url']}api/bgstream/", runtime["token"]

    def note_kernel_access(self) -> None:
        """Remember address and token, for when the Hub cannot be asked which file is this server's."""
        self._known = self.kernel_access

    @property
    def pid(self) -> int:
        server = self.hub.user_model(self.user)["servers"][self.name]
        return int(server["state"]["pid"])

    def start(self) -> UserServer:
        """Ask the Hub to start the server and return when it is ready."""
        path = f"users/{self.user}/servers/{self.name}" if self.name else f"users/{self.user}/server"
        answer = self.hub.api.post(path)
        assert answer.status_code in (201, 202), answer.text
        self._await(ready=True)
        return self

    def stop(self) -> None:
        """Ask the Hub to stop the server and wait until it has."""
        path = f"users/{self.user}/servers/{self.name}" if self.name else f"users/{self.user}/server"
        answer = self.hub.api.delete(path)
        assert answer.status_code in (202, 204), answer.text
        self._await(ready=False)

    def kill(self) -> None:
        """kill -9, and wait until the Hub has noticed."""
        os.kill(self.pid, signal.SIGKILL)
        self._await(ready=False)

    @property
    def ready(self) -> bool:
        server = self.hub.user_model(self.user)["servers"].get(self.name)
        return server is not None and bool(server["ready"])

    def await_culled(self, seconds: float) -> None:
        """Wait until the Hub has stopped the server without being asked by us."""
        self._await(ready=False, seconds=seconds)

    def _await(self, *, ready: bool, seconds: float = PATIENCE) -> None:
        path = f"users/{self.user}/servers/{self.name}/progress" if self.name else f"users/{self.user}/server/progress"
        if ready:  # the Hub tells when it is
            with self.hub.api.stream("GET", path) as events:
                for line in events.iter_lines():
                    if line.startswith("data:") and json.loads(line[5:]).get("ready"):
                        return
                    if line.startswith("data:") and json.loads(line[5:]).get("failed"):
                        break
            raise AssertionError(f"{self.user} has no server:\n" + "".join(self.hub.log[-80:]))
        deadline = time.monotonic() + seconds
        while self.hub.user_model(self.user)["servers"].get(self.name) is not None:
            assert time.monotonic() < deadline, f"the server of {self.user} still runs"
            time.sleep(0.1)  # the Hub does not tell of a stop


class Hub:
    """A Hub below a prefix.

    ``per_user`` holds ``environment`` and ``args`` for servers of a user; ``culled`` names users for the culler.
    """

    def __init__(
        self,
        folder: Path,
        *,
        settings: dict[str, Any],
        per_user: dict[str, dict[str, Any]] | None = None,
        culled: Sequence[str] = (),
    ) -> None:
        self.folder = folder
        self.homes = folder / "homes"
        self.admin = folder / "admin"
        self._settings = settings
        self._per_user = per_user or {}
        self._culled = list(culled)
        self._port, self._proxy_api, self._hub_port = free_port(), free_port(), free_port()
        self._proxy_token, self._token, self._culler_token = (secrets.token_hex(16) for _ in range(3))
        self._processes: list[LoggedProcess] = []
        self._proxy: LoggedProcess | None = None
        self._hub: LoggedProcess | None = None
        self._tokens: dict[str, str] = {}
        self.api = httpx.Client(
            base_url=f"{self.hub_address}{PREFIX}hub/api/",
            headers={"Authorization": f"token {self._token}"},
            trust_env=False,
            verify=False,
            timeout=PATIENCE,
        )
        for made in (self.homes, self.admin):
            made.mkdir(parents=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}{PREFIX}"

    @property
    def hub_address(self) -> str:
        """The Hub's internal address, which no user should see."""
        return f"http://127.0.0.1:{self._hub_port}"

    @property
    def log(self) -> list[str]:
        return self._hub.log if self._hub is not None else []

    def start(self) -> Hub:
        self._write_config()
        self.start_proxy()
        self.start_hub()
        return self

    def _write_config(self) -> None:
        self.admin.joinpath("jupyter_server_config.json").write_text(json.dumps(self._settings))
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.pathsep.join(filter(None, (str(REPOSITORY), os.environ.get("PYTHONPATH")))),
            "PYTHONUNBUFFERED": "1",
            "JUPYTER_CONFIG_PATH": str(self.admin),
            "JUPYTERHUB_ACTIVITY_INTERVAL": "2",
        }
        config = CONFIG.format(
            bind_url=self.url,
            hub_url=self.hub_address,
            database=f"sqlite:///{self.folder / 'hub.sqlite'}",
            cookie_secret=str(self.folder / "cookie_secret"),
            proxy_api=f"http://127.0.0.1:{self._proxy_api}",
            proxy_token=self._proxy_token,
            token=self._token,
            culler_token=self._culler_token,
            culled=self._culled,
            homes=str(self.homes),
            python=sys.executable,
            environment=environment,
            per_user=json.dumps(self._per_user),
        )
        self.folder.joinpath("jupyterhub_config.py").write_text(config)

    @property
    def _clean_environment(self) -> dict[str, str]:
        return {name: value for name, value in os.environ.items() if not of_this_machine(name)}

    def start_proxy(self) -> None:
        command = [
            find_proxy(),
            f"--ip=127.0.0.1 --port={self._port} --api-ip=127.0.0.1 --api-port={self._proxy_api}",
            f"--default-target={self.hub_address} --error-target={self.hub_address}{PREFIX}hub/error",
        ]
        env = self._clean_environment | {"CONFIGPROXY_AUTH_TOKEN": self._proxy_token}
        self._proxy = LoggedProcess(" ".join(command).split(" "), env=env, cwd=self.folder)
        self._processes.append(self._proxy)
        self._proxy.await_line("Proxy API at")

    def kill_proxy(self) -> None:
        """kill -9: every connection through the proxy breaks."""
        assert self._proxy is not None
        self._proxy.end(signal.SIGKILL)

    def await_routes(self, *servers: UserServer) -> None:
        """Wait until a proxy that was started again knows the way to these servers."""
        deadline = time.monotonic() + PATIENCE
        with httpx.Client(
            trust_env=False, verify=False, headers={"Authorization": f"token {self._proxy_token}"}
        ) as proxy:
            while True:
                routes = proxy.get(f"http://127.0.0.1:{self._proxy_api}/api/routes").json()
                if all(httpx.URL(server.url).path.rstrip("/") in routes for server in servers):
                    return
                assert time.monotonic() < deadline, routes
                time.sleep(0.1)  # the proxy does not tell of new routes

    def start_hub(self) -> None:
        self._hub = LoggedProcess(
            [sys.executable, "-m", "jupyterhub", f"--config={self.folder / 'jupyterhub_config.py'}"],
            env=self._clean_environment | {"PYTHONUNBUFFERED": "1"},
            cwd=self.folder,
        )
        self._processes.append(self._hub)
        self._hub.await_line("JupyterHub is now running")

    @contextlib.contextmanager
    def culler(self, *, timeout: int) -> Iterator[LoggedProcess]:
        """Run jupyterhub-idle-culler, which stops servers that were idle for so many seconds."""
        command = [
            sys.executable,
            "-m",
            "jupyterhub_idle_culler",
            f"--url={self.hub_address}{PREFIX}hub/api",
            "--cull-every=1",
        ]
        env = self._clean_environment | {"JUPYTERHUB_API_TOKEN": self._culler_token}
        culler = LoggedProcess([*command, f"--timeout={timeout}"], env=env, cwd=self.folder)
        try:
            yield culler
        finally:
            culler.close()

    def stop_hub(self) -> None:
        """Stop the Hub and nothing else: the proxy and the users' servers go on."""
        assert self._hub is not None
        self._hub.end(signal.SIGTERM)

    def server(self, user: str, name: str = "") -> UserServer:
        """Return a user's running server, which is started if need be."""
        server = UserServer(self, user, name)
        return server if server.ready else server.start()

    def user_model(self, user: str) -> dict[str, Any]:
        answer = self.api.get(f"users/{user}")
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def share(self, owner: str, user: str) -> None:
        """Give a user access to another user's default server."""
        self.token_of(user)
        answer = self.api.post(f"shares/{owner}/", json={"user": user})
        assert answer.status_code == 200, answer.text

    def sign_in(self, user: str) -> httpx.Client:
        """Return a client with the Hub's cookies of a user who has filled in the login form."""
        browser = httpx.Client(
            base_url=self.url, trust_env=False, verify=False, timeout=PATIENCE, follow_redirects=True
        )
        assert browser.get("hub/login").status_code == 200
        (xsrf,) = [cookie.value for cookie in browser.cookies.jar if cookie.name == "_xsrf"]
        form = {"username": user, "password": "any", "_xsrf": xsrf}
        answer = browser.post("hub/login?next=" + f"{PREFIX}hub/home", data=form)
        assert answer.status_code == 200, answer.text
        return browser

    def token_of(self, user: str) -> str:
        """Return an API token of a user, who is made if need be."""
        if user not in self._tokens:
            if self.api.get(f"users/{user}").status_code == 404:
                assert self.api.post(f"users/{user}").status_code == 201
            self._tokens[user] = self.new_token(user)
        return self._tokens[user]

    def new_token(self, user: str) -> str:
        """Return another API token of a user."""
        answer = self.api.post(f"users/{user}/tokens", json={"note": "tests"})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["token"])

    def close(self) -> None:
        """End everything: the Hub, the proxy, and the servers and kernels that they left."""
        for process in self._processes:
            process.end(signal.SIGKILL)
        self.api.close()
        left = []
        for found in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if found.environ().get("HOME", "").startswith(str(self.homes)):
                    left.append(found)
                    found.kill()
        psutil.wait_procs(left, timeout=60)
        for process in self._processes:
            process.close()


@contextlib.contextmanager
def jupyterhub(folder: Path, **kwargs: Any) -> Iterator[Hub]:
    """A running Hub that is ended with all its servers."""
    hub = Hub(folder, **kwargs)
    try:
        yield hub.start()
    finally:
        hub.close()
