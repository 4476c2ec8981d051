"""Completion of ``%bg`` and ``%%bg``, requested from a kernel as a notebook does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest
from client.conftest import Kernel
from harness.jupyter import Jupyter

from jupyter_bgstream.testing import ThreadedProvider, answer

NO_JEDI = "%config IPCompleter.use_jedi = False"  # it takes seconds to begin, and is not what is tested

pytestmark = pytest.mark.usefixtures("script")


@pytest.fixture(scope="module")
def asked(kernel: Kernel, provider: ThreadedProvider) -> Iterator[dict[str, str]]:
    """Return the ids of an ended and of a running job, which exist before the first completion."""
    provider.scripts["held"] = answer("one two", hold_after=1)
    kernel.run("%%bg test/hello --thread my-talk --name ended\nx")
    kernel.run("ended.wait(); image = b'x'; price = 3; _hidden = 1")
    ids = {"ended": kernel.ask("ended.id")[1:9], "going": kernel.run("%%bg test/held\nx").job["id"][:8]}
    provider.held()
    yield ids
    kernel.run(f"%bg cancel {ids['going']}")


@pytest.mark.parametrize(
    ("code", "offered"),
    [
        ("%bg can", ["%bg cancel"]),
        ("%bg r", ["%bg retry"]),
        ("  %bg list fa", ["  %bg list failed"]),
        ("x = 1\n%bg mute o", ["x = 1\n%bg mute on", "x = 1\n%bg mute off"]),
        ("%bg costs mo", ["%bg costs model"]),
        ("%bg models dem", ["%bg models demo"]),
        ("%bg threads f", ["%bg threads fork"]),
        ("%bg threads delete my", ["%bg threads delete my-talk"]),
        ("%bg list --thread my", ["%bg list --thread my-talk"]),
        ("%bg mute thread my", ["%bg mute thread my-talk"]),
        ("%bg delete --f", ["%bg delete --force"]),
        ("%bg show end", ["%bg show ended"]),
        ("%%bg demo/t", ["%%bg demo/tour"]),
        ("%%bg demo/tour demo/q", ["%%bg demo/tour demo/quick"]),
        ("%%bg demo/t¦\nHello {pri", ["%%bg demo/tour"]),
        ("%%bg --th", ["%%bg --thread"]),
        ("%%bg --wait --pr", ["%%bg --wait --priority"]),
        ("%%bg --thread my", ["%%bg --thread my-talk"]),
        ("%%bg --priority b", ["%%bg --priority bulk"]),
        ("%%bg --retry-policy a", ["%%bg --retry-policy always"]),
        ("%%bg --param max", ["%%bg --param max_tokens="]),
        ("%%bg --param reasoning_effort=h", ["%%bg --param reasoning_effort=high"]),
        ("%%bg --file a.txt --fi", ["%%bg --file a.txt --file", "%%bg --file a.txt --fill"]),
        ("%%bg --image ima", ["%%bg --image image"]),
        ("%%bg\nWhat is {ima", ["%%bg\nWhat is {image"]),
        ("%%bg\nWhat is {image.hex", ["%%bg\nWhat is {image.hex"]),
    ],
)
@pytest.mark.usefixtures("asked")
def test_completion_candidates(kernel: Kernel, code: str, offered: list[str]) -> None:
    assert kernel.complete(code) == offered


def test_verb_completes_only_jobs_it_applies_to(kernel: Kernel, asked: dict[str, str]) -> None:
    def has(line: str) -> set[str]:
        offered = kernel.complete(line)
        return {name for name, short in asked.items() if f"{line}{short}" in offered}

    assert has("%bg show ") == has("%bg attach ") == {"ended", "going"}
    assert has("%bg cancel ") == has("%bg wait ") == {"going"}
    assert has("%bg retry ") == has("%bg delete ") == {"ended"}
    assert has(f"%bg wait {asked['going']} ") == set()
    assert "%bg cancel ended" in kernel.complete("%bg cancel ")


def test_other_lines_are_completed_by_ipython(kernel: Kernel) -> None:
    kernel.run("import math")
    kernel.run(NO_JEDI)
    assert kernel.complete("math.isclo") == ["math.isclose"]
    assert "%%bg" in kernel.complete("%%b")
    assert kernel.complete("%%timeit math.isclo") == ["%%timeit math.isclose"]


def test_reloaded_extension_offers_each_candidate_once(kernel: Kernel) -> None:
    kernel.run("%reload_ext jupyter_bgstream")
    assert kernel.complete("%bg can") == ["%bg cancel"]


def test_completion_without_server_offers_verbs(server: Jupyter) -> None:
    with closing(Kernel(server)) as kernel:
        kernel.run(
            "import os; os.environ['JUPYTER_BGSTREAM_RUNTIME'] = '/nowhere'; os.environ.pop('JPY_PARENT_PID', 0)"
        )
        kernel.run("os.environ['JUPYTER_RUNTIME_DIR'] = '/nowhere'")
        kernel.run("%load_ext jupyter_bgstream")
        kernel.run(NO_JEDI)
        assert "%%bg demo/tour" not in kernel.complete("%%bg demo/t")
        assert kernel.run("%bg show abc").error.startswith("The Jupyter server of the runtime file /nowhere has")
        assert kernel.complete("%bg can") == ["%bg cancel"]
