"""Every code block of the documentation is run against a scripted provider, or checked as far as it can be."""

from __future__ import annotations

import configparser
import importlib
import json
import re
import shlex
import subprocess
import tomllib
from collections.abc import Iterator
from contextlib import closing
from itertools import groupby
from typing import Any

import pytest
from client.conftest import Kernel
from docs.blocks import ROOT, Block, blocks
from docs.test_provider_pages import clouds  # noqa: F401 - a fixture
from harness.demo import demo, fast_demo_config
from harness.jupyter import Jupyter, jupyter
from traitlets.config import Config, Configurable

from jupyter_bgstream.cli import command_parser
from jupyter_bgstream.providers.registry import Registry
from jupyter_bgstream.server.app import BgStreamApp
from jupyter_bgstream.testing import Request, ScriptedProvider, chunk, event, replay

BLOCKS = [*blocks()]
LANGUAGES = {"python", "ipython", "bash", "console", "json", "toml", "ini", "text", "mermaid"}
RUN = [block for block in BLOCKS if block.language in ("python", "ipython") and not block.is_config]
PAGES = [page for page, _ in groupby(RUN, key=lambda block: block.page)]

# What a reader of the page has before its first block.
BEFORE = {
    "docs/how-to/batches.md": "reviews = [{'text': 'A lovely, friendly house.'}, {'text': 'Cold and loud.'}]",
    "docs/how-to/outputs.md": "import jupyter_bgstream as bg",
    "docs/reference/magics.md": "import jupyter_bgstream as bg",
}
# What the page says about its last cells.
AFTER = {
    "docs/reference/magics.md": """
sent = answer.messages[-1]["content"]
assert "in November?' a question of 6 words?" in sent and "or {this}." in sent
"""
}
FILES = {"report.pdf": b"%PDF-1.7\n", "a.pdf": b"%PDF-1.7\n", "b.pdf": b"%PDF-1.7\n", "two words.txt": b"two words"}

# Where the classes of a config file are.
CONFIGURABLE = {
    "BgStreamApp": "jupyter_bgstream.server.app",
    "Spawner": "jupyterhub.spawner",
    "JupyterHub": "jupyterhub.app",
    "InteractiveShellApp": "IPython.core.shellapp",
    "Exporter": "nbconvert.exporters",
}


CALL = {"index": 0, "id": "call_1", "function": {"name": "weather", "arguments": '{"place": "Bern"}'}}
WEATHER = replay([chunk({"tool_calls": [CALL]}), chunk(finish_reason="tool_calls"), event("[DONE]")])


def asks_for_tools(request: Request) -> bool:
    """Return True for the first request with tools, False for the one with their results."""
    return bool(request.json.get("tools")) and request.json["messages"][-1]["role"] != "tool"


def of(*languages: str) -> Any:
    """Return the mark that runs a test once for each block of these languages."""
    return pytest.mark.parametrize("block", [each for each in BLOCKS if each.language in languages], ids=str)


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_every_block_has_a_known_language(block: Block) -> None:
    assert block.language in LANGUAGES


def test_few_blocks_are_not_run() -> None:
    marked = [block for block in BLOCKS if block.not_run]
    assert all(block.language in ("python", "ipython", "json") for block in marked), "the mark has no effect here"
    assert len(marked) < len(RUN) / 4


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jupyter]:
    """A server on which every model that the pages name is scripted."""
    folder = tmp_path_factory.mktemp("pages")
    replies = demo(speed=100)
    echo = replies["echo"]
    assert callable(echo)
    replies["gpt-6-luna"] = lambda request: WEATHER if asks_for_tools(request) else echo(request)
    with ScriptedProvider(replies).in_thread() as provider:
        config = fast_demo_config(folder, provider.base_url)
        scripted = {"base_url": provider.base_url, "api_key_env": None, "format": "chat_completions"}
        config["BgStreamApp"]["providers"] |= {"openai": scripted}
        with jupyter(folder, config=config) as server:
            for name, content in FILES.items():
                (server.root / name).write_bytes(content)
            yield server


@pytest.fixture(scope="module")
def kernel(server: Jupyter) -> Iterator[Kernel]:
    with closing(Kernel(server)) as kernel:
        yield kernel


@pytest.mark.parametrize("page", PAGES)
def test_python_and_cells_of_page_run_in_a_kernel(page: str, kernel: Kernel) -> None:
    own = [block for block in RUN if block.page == page and not block.not_run]
    cells = {
        # An observer of a widget of the page before would print into the examples of this one.
        "widgets": "import ipywidgets\nipywidgets.Widget.close_all()",
        "before": f"%reset -f\n%reload_ext jupyter_bgstream\n{BEFORE.get(page, '')}",
        **{str(block): doctested(block.code) if block.code.startswith(">>>") else block.code for block in own},
        "after": AFTER.get(page, ""),
    }
    for name, code in cells.items():
        ran = kernel.run(code)
        assert ran.reply["status"] == "ok", f"{name}\n{ran.error}\n{ran.printed}"


def doctested(code: str) -> str:
    """Return a cell that runs the examples with the kernel's variables."""
    return f"""
import doctest
_flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE | doctest.IGNORE_EXCEPTION_DETAIL
_test = doctest.DocTestParser().get_doctest({code!r}, globals(), "examples", None, 0)
assert doctest.DocTestRunner(optionflags=_flags).run(_test, clear_globs=False).failed == 0
"""


@pytest.mark.usefixtures("clouds")
@pytest.mark.parametrize("block", [block for block in BLOCKS if block.is_config], ids=str)
def test_config_is_accepted(block: Block, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "a-key")
    config = Config()
    exec(block.code, {"c": config})
    assert config, "nothing is set"
    for name, section in config.items():
        if name in CONFIGURABLE:
            class_: type[Configurable] = getattr(importlib.import_module(CONFIGURABLE[name]), name)
            assert set(section) <= set(class_.class_trait_names(config=True))
        else:
            assert name == "KubeSpawner", "not a package of the test environment"
    if "BgStreamApp" in config:
        app = BgStreamApp(config=config)
        registry = Registry(
            app.providers, environ={}, aliases=app.model_aliases, default_model=app.default_model or None
        )
        assert registry.problems == []
    for option in re.findall(r"--BgStreamApp\.(\w+)=", block.code):
        assert option in BgStreamApp.class_trait_names(config=True)


@of("bash", "console")
def test_shell_commands_can_be_parsed(block: Block) -> None:
    code = block.code
    if block.language == "console":
        code = "\n".join(line[2:] for line in code.splitlines() if line.startswith("$ "))
    subprocess.run(["bash", "-n"], input=code, text=True, check=True)
    for command in re.findall(r"(?:jupyter bgstream|jupyter-bgstream) ([^&|\n]+)", code):
        assert command_parser().parse_args(shlex.split(command, comments=True)).run
    for path in re.findall(r"(?<![\w/.])(?:tests|docs(?!/build)|benchmarks|notebooks)/[\w./-]*\w", code):
        assert (ROOT / path).exists(), path


@of("json", "toml", "ini")
def test_data_can_be_parsed(block: Block) -> None:
    if block.not_run:
        return
    if block.language == "ini":
        parser = configparser.ConfigParser(interpolation=None, strict=False)
        parser.optionxform = str  # type: ignore[assignment, method-assign]
        parser.read_string(block.code)
        assert parser.sections()
    else:
        assert {"json": json.loads, "toml": tomllib.loads}[block.language](block.code)


def test_paths_of_notebooks_are_on_the_tutorial_page() -> None:
    page = (ROOT / "docs/tutorials/index.md").read_text()
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        assert f"](../../notebooks/{path.name})" in page
