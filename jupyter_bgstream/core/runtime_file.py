"""The runtime file of a server: how a kernel finds it and opens its API."""

from typing import Literal

import msgspec

ServerKind = Literal["jupyter", "serve"]  # a person's Jupyter server, or ``jupyter bgstream serve``


class Runtime(msgspec.Struct, frozen=True, kw_only=True):
    """The contents of a runtime file."""

    url: str  # ends in / and includes the base URL
    token: str  # opens this API alone
    version: str  # of jupyter_bgstream
    protocol: int
    server: str  # id of the running server
    pid: int
    kind: ServerKind = "jupyter"  # the default is for files of versions without this field
