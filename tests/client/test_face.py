"""``import jupyter_bgstream as bg``: its names, the cost of its import, and its examples."""

from __future__ import annotations

import ast
import copy
import doctest
import inspect
import pickle
import pydoc
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from harness.demo import fast_demo_config, serve_demo
from harness.jupyter import Jupyter, jupyter

import jupyter_bgstream as bg
from jupyter_bgstream.client.default_connection import default_background
from jupyter_bgstream.testing import ThreadedProvider, answer

PUBLIC = [getattr(bg, name) for name in bg.__all__]
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE | doctest.IGNORE_EXCEPTION_DETAIL


def examples() -> list[doctest.DocTest]:
    """Return the examples in the docstrings of the package, and of public objects and their methods."""
    finder = doctest.DocTestFinder(recurse=False)
    found = finder.find(bg, "jupyter_bgstream")
    for value in PUBLIC:
        members = [value, *vars(value).values()] if inspect.isclass(value) else [value]
        for member in members:
            member = member.fget if isinstance(member, property) else member
            if inspect.isfunction(member) or inspect.isclass(member):
                found += finder.find(member, member.__qualname__, globs={"bg": bg})
    return [test for test in found if test.examples]


@pytest.fixture(scope="module")
def fast_demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jupyter]:
    folder = tmp_path_factory.mktemp("demo")
    with serve_demo(speed=30) as base_url, jupyter(folder, config=fast_demo_config(folder, base_url)) as server:
        yield server


@pytest.mark.parametrize("test", examples(), ids=lambda test: test.name)
def test_docstring_example_runs(test: doctest.DocTest, fast_demo: Jupyter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(fast_demo.runtime))
    monkeypatch.setenv("JUPYTER_BGSTREAM_RUNTIME", str(fast_demo.runtime_file))
    test.globs = {"bg": bg}
    said: list[str] = []
    try:
        result = doctest.DocTestRunner(optionflags=FLAGS).run(test, out=said.append, clear_globs=False)
    finally:
        default_background.close()
    assert result.failed == 0, "".join(said)


def test_public_functions_and_classes_have_examples() -> None:
    named = {test.name for test in examples()}
    for value in PUBLIC:
        if not (inspect.isclass(value) and issubclass(value, bg.BgStreamError)):
            assert value.__qualname__ in named
    assert {
        "jupyter_bgstream",
        "Job",
        "Job.result",
        "Job.cancel",
        "Job.retry",
        "Job.delete",
        "Job.messages",
        "IncompleteAnswerError",
    } <= named


def test_every_public_name_exists_and_is_documented() -> None:
    assert sorted(set(bg.__all__)) == sorted(bg.__all__)
    assert set(bg.__all__) <= set(dir(bg))
    for value in PUBLIC:
        assert value.__module__.startswith("jupyter_bgstream.")
        assert inspect.getdoc(value)
        for name, member in vars(value).items() if inspect.isclass(value) else ():
            if not name.startswith("_") and (inspect.isfunction(member) or isinstance(member, property)):
                assert inspect.getdoc(member), f"{value.__name__}.{name}"
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        bg.nothing  # noqa: B018


def test_former_names_of_reported_scripts_still_work() -> None:
    assert bg.Invalid is bg.InvalidRequestError
    assert bg.Batch.frame(SimpleNamespace(to_frame=lambda: 7)) == 7


def test_type_checkers_see_all_public_names() -> None:
    tree = ast.parse(Path(str(bg.__file__)).read_text())
    (guarded,) = [node for node in tree.body if isinstance(node, ast.If)]
    imported = {name.name for node in ast.walk(guarded) if isinstance(node, ast.ImportFrom) for name in node.names}
    assert imported - {"InteractiveShell"} == set(bg.__all__)


def test_import_loads_nothing_heavy_before_first_use() -> None:
    code = (
        "import sys, jupyter_bgstream as bg\n"
        "assert 'submit' in dir(bg) and 'load_ipython_extension' in dir(bg)\n"
        "assert 'jupyter_bgstream.client' not in sys.modules\n"
        "assert bg.submit is bg.submit and bg.Job\n"
        "assert not {'httpx', 'IPython', 'tornado', 'jupyter_server', 'ipywidgets'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_module_help_is_short_manual() -> None:
    said = inspect.getdoc(bg) or ""
    assert all(
        word in said for word in ("bg.submit", "bg.jobs", "bg.job(", "thread=", "%%bg", "await job", "bg.models")
    )
    assert len(said.splitlines()) < 70
    manual = pydoc.render_doc(bg, renderer=pydoc.plaintext)
    assert said.splitlines()[0] in manual
    assert all(f" {value.__name__}" in manual for value in PUBLIC)


@pytest.mark.parametrize(("kind", "method"), [(bg.Job, "cancel"), (bg.Batch, "to_frame"), (bg.Thread, "fork")])
def test_jedi_completes_methods_of_handles(kind: Any, method: str) -> None:
    jedi = pytest.importorskip("jedi")  # IPython completes with it by default
    handle = kind.__new__(kind)
    assert method in {found.name for found in jedi.Interpreter("handle.", [{"handle": handle}]).complete(1, 7)}


@pytest.mark.usefixtures("script")
class TestHandles:
    def test_handles_of_one_job_are_equal_and_can_be_copied(self) -> None:
        asked = bg.submit("Say hello.")
        again = bg.job(asked.id)
        assert asked == again
        assert len({asked, again, bg.submit("Say hello.")}) == 2
        assert asked != asked.id
        for travelled in (pickle.loads(pickle.dumps(asked)), copy.deepcopy(asked), copy.copy(asked)):
            assert travelled == asked
            assert travelled.result() == "Hello, world"

    def test_job_list_is_displayed_as_table(self) -> None:
        asked = bg.submit("A <b>question</b>.", thread="faces").wait()
        found = bg.jobs(thread="faces")
        assert found == [asked]
        assert repr(found).splitlines()[1].split()[:3] == [asked.id[:8], "Done", "test/hello"]
        assert "A &lt;b&gt;question&lt;/b&gt;." in found.bundle()["text/html"]
        assert repr(bg.jobs(thread="nobody's")) == "No jobs yet."
        assert found.wait() is found

    def test_handle_has_messages_and_params(self) -> None:
        asked = bg.submit("Say hello.", system="Be brief.", params={"max_tokens": 5})
        assert [message["content"] for message in asked.messages] == ["Be brief.", "Say hello."]
        assert asked.params == {"max_tokens": 5}
        assert bg.submit("x").params == {}

    def test_delete_removes_running_job_and_can_be_repeated(self, provider: ThreadedProvider) -> None:
        provider.scripts["held"] = answer("one two", hold_after=1)
        asked = bg.submit("x", model="test/held")
        assert next(iter(asked)) == "one "
        asked.delete()
        asked.delete()
        with pytest.raises(bg.NotFoundError):
            bg.job(asked.id)
        with pytest.raises(bg.NotFoundError):
            asked.retry()
        provider.quiet()
        assert provider.asked("held")[-1].closed_by_client

    def test_client_can_be_used_by_several_threads(self) -> None:
        said: list[Any] = []
        workers = [threading.Thread(target=lambda: said.append(bg.submit("x").result())) for _ in range(4)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        assert said == ["Hello, world"] * 4

    async def test_job_can_be_awaited_in_running_loop(self) -> None:
        assert await bg.submit("x") == "Hello, world"
        assert "".join([piece async for piece in bg.submit("x")]) == "Hello, world"
