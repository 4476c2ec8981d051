"""The config of a JupyterHub for tests, as a template for ``str.format``."""

CONFIG = """
import json

c = get_config()  # noqa
c.JupyterHub.bind_url = {bind_url!r}
c.JupyterHub.hub_bind_url = {hub_url!r}
c.JupyterHub.db_url = {database!r}
c.JupyterHub.cookie_secret_file = {cookie_secret!r}
c.JupyterHub.allow_named_servers = True
c.JupyterHub.cleanup_servers = False  # a Hub that restarts leaves the users' servers alone
c.JupyterHub.proxy_check_interval = 1
c.JupyterHub.last_activity_interval = 1
c.JupyterHub.authenticator_class = "dummy"
c.Authenticator.allow_all = True
c.ConfigurableHTTPProxy.should_start = False
c.ConfigurableHTTPProxy.api_url = {proxy_api!r}
c.ConfigurableHTTPProxy.auth_token = {proxy_token!r}
c.JupyterHub.services = [
    {{"name": "tests", "api_token": {token!r}}},
    {{"name": "idle-culler", "api_token": {culler_token!r}}},
]
c.JupyterHub.load_roles = [
    {{
        "name": "tests",
        "scopes": ["admin:users", "admin:servers", "tokens", "access:servers", "shares"],
        "services": ["tests"],
    }},
    {{
        "name": "idle-culler",
        "scopes": [
            f"{{scope}}!group=culled"
            for scope in ("list:users", "read:users:activity", "read:servers", "delete:servers")
        ],
        "services": ["idle-culler"],
    }},
]
c.JupyterHub.load_groups = {{"culled": {{"users": {culled!r}}}}}
c.JupyterHub.spawner_class = "simple"
c.SimpleLocalProcessSpawner.home_dir_template = {homes!r} + "/{{username}}"
c.Spawner.cmd = [{python!r}, "-m", "jupyterhub.singleuser"]
c.Spawner.poll_interval = 1
c.Spawner.http_timeout = c.Spawner.start_timeout = 180  # a busy machine starts several servers slowly
c.Spawner.args = ["--allow-root"]
c.Spawner.environment = {environment!r}

per_user = json.loads({per_user!r})


def before_spawn(spawner):
    mine = per_user.get(spawner.user.name, {{}})
    spawner.environment = {{**spawner.environment, **mine.get("environment", {{}})}}
    spawner.args = [*spawner.args, *mine.get("args", [])]


c.Spawner.pre_spawn_hook = before_spawn
"""
