"""The documentation names every setting, provider, error code and test."""

from __future__ import annotations

import asyncio
import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from providers.speaking import job, of, read, text

from jupyter_bgstream.core.events import Citation, Usage
from jupyter_bgstream.providers.builtin_services import _HOSTED, _LOCAL, NAMES
from jupyter_bgstream.providers.plugins.generator import GeneratorProvider
from jupyter_bgstream.providers.plugins.loader import GROUP
from jupyter_bgstream.providers.provider_settings import ProviderSettings
from jupyter_bgstream.server.app import BgStreamApp

ROOT = Path(__file__).parents[2]
DOCS = (ROOT / "docs/reference/configuration.md").read_text()


SETTINGS = {name: trait for name, trait in BgStreamApp.class_own_traits(config=True).items() if trait.help}
# Defaults that depend on the machine or on other settings.
COMPUTED = {
    "model_aliases",
    "database",
    "default_model",
    "database_host",
    "max_running_per_owner",
    "providers",
    "stop_grace",
    "webhook_url",
}


@pytest.mark.parametrize("name", SETTINGS)
def test_setting_is_documented_with_its_default(name: str) -> None:
    section = DOCS.split(f"### `BgStreamApp.{name}`\n")[1].split("\n#")[0]
    default = SETTINGS[name].default_value
    shown = f'`"{default}"`' if isinstance(default, str) else f"`{default}`"
    assert re.search(r"^Default: ", section, re.MULTILINE)
    assert name in COMPUTED or f"Default: {shown}" in section


def test_every_field_of_a_provider_is_documented() -> None:
    for name in ProviderSettings.__struct_fields__:
        assert f"| `{name}` |" in DOCS


@pytest.mark.parametrize("name", NAMES)
def test_built_in_provider_is_in_the_table_and_its_page_has_its_data(name: str) -> None:
    folder = ROOT / "docs/reference/providers"
    (row,) = re.findall(rf"^\| \[`{name}`\]\({name}\.md\) \|.*$", (folder / "index.md").read_text(), re.MULTILINE)
    entry = (_HOSTED | _LOCAL)[name]
    names = entry.fields.get("api_key_env", ())
    default = entry.fields.get("default_model")
    for word in filter(None, [default, *([names] if isinstance(names, str) else names)]):
        assert f"`{word}`" in row
    described = f"Format `{entry.fields.get('format', 'chat_completions')}`"
    described += f", default model `{default}`" if default else ""
    assert f"\n{described} · [documentation of the service]({entry.documentation})\n" in page_of(name)


def page_of(provider: str) -> str:
    return (ROOT / f"docs/reference/providers/{provider}.md").read_text()


@pytest.mark.parametrize("name", NAMES)
def test_every_built_in_provider_has_a_page(name: str) -> None:
    # What to set, what it supports, what it cannot.
    headings = {line for line in page_of(name).splitlines() if line.startswith("## ")}
    assert {"## What to set", "## Limitations"} <= headings
    assert headings & {"## What it supports", "## What you see"}


def test_plugin_example_has_at_most_ten_lines_and_works() -> None:
    page = (ROOT / "docs/how-to/plugins.md").read_text()
    (source,) = re.findall(r"```python\n(.*?)```", page, re.S)
    assert len([line for line in source.splitlines() if line]) <= 10
    (entry,) = tomllib.loads(re.findall(r"```toml\n(.*?)```", page, re.S)[0])["project"]["entry-points"][GROUP].values()
    module: dict[str, Any] = {}
    exec(source, module)
    agent = module[entry.partition(":")[2]]
    said, error = asyncio.run(read(GeneratorProvider("deep", agent), job("deep/thought", prompt="The answer?")))
    assert error is None
    assert (text(said), text(said, "reasoning")) == ("Forty-two.", "thought is asked: The answer?")
    assert [source.title for source in of(said, Citation)] == ["Deep Thought"]
    assert [usage.output_tokens for usage in of(said, Usage)] == [3]


def test_every_frontend_setting_is_documented() -> None:
    schema = json.loads((ROOT / "labextension/schema/plugin.json").read_text())
    for name in schema["properties"]:
        assert f"`{name}`" in DOCS


def test_every_error_code_of_protocol_is_in_code_and_troubleshooting() -> None:
    source = "".join(path.read_text() for path in (ROOT / "jupyter_bgstream").rglob("*.py"))
    protocol = (ROOT / "PROTOCOL.md").read_text()
    listed = protocol[protocol.index("A failed job's `error.code`") : protocol.index("## Events")]
    codes = [word for word in listed.split("`")[1::2] if word != "error.code"]
    assert len(codes) == 23
    troubleshooting = (ROOT / "docs/how-to/troubleshooting.md").read_text()
    for code in codes:
        assert f'"{code}"' in source, code
        assert f"`{code}`" in troubleshooting, code


def test_every_test_named_in_failure_modes_exists() -> None:
    defined = {
        name for path in (ROOT / "tests").rglob("*.py") for name in re.findall(r"def (test_\w+)", path.read_text())
    }
    named = re.findall(r"`(test_\w+)`", (ROOT / "docs/explanation/failure-modes.md").read_text())
    assert len(named) > 50
    assert set(named) <= defined
