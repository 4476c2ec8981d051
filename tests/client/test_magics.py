"""%%bg and %bg in real kernels of a real server."""

from __future__ import annotations

import json
from contextlib import closing

import pytest
from client.conftest import Kernel
from harness.jupyter import Jupyter

from jupyter_bgstream.client import job, jobs, models, submit
from jupyter_bgstream.client.magics.options import OPTIONS
from jupyter_bgstream.core.codec import BUNDLE_MIME, JOBS_MIME
from jupyter_bgstream.testing import Cut, ThreadedProvider, answer

pytestmark = pytest.mark.usefixtures("script")


def test_cell_creates_one_job_and_one_display(kernel: Kernel, provider: ThreadedProvider) -> None:
    provider.scripts["held"] = answer("one two", hold_after=1)
    ran = kernel.run("%%bg test/held --thread trip-1\nWhat is\n  ${this} $that?\n", cell="cell-7")
    assert [output["type"] for output in ran.outputs] == ["display_data"]
    shown = ran.job
    assert set(shown) == {"id", "cursor", "status", "model"}
    assert (shown["status"], shown["model"]) == ("queued", "test/held")
    assert ran.bundles[0]["text/markdown"] == "*Queued…*"
    assert ran.bundles[0]["text/plain"] == f"Queued… (job {shown['id']})"

    provider.held()
    sent = provider.requests[-1].json
    assert sent["messages"] == [{"role": "user", "content": "What is\n  ${this} $that?"}]
    assert kernel.ask("1 + 1") == "2"  # the kernel is free while the answer is held
    stored = kernel.rest.get(f"api/bgstream/jobs/{shown['id']}").json()
    assert (stored["source"]["cell"], stored["source"]["kernel"]) == ("cell-7", kernel.id)
    assert stored["thread"] == "trip-1"
    provider.release()
    assert job(shown["id"]).result() == "one two"


def test_cell_without_model_and_cell_id_uses_default_model(kernel: Kernel) -> None:
    shown = kernel.run("%%bg\nSay hello.").job
    assert shown["model"] == "test/hello"
    stored = kernel.rest.get(f"api/bgstream/jobs/{shown['id']}").json()
    assert (stored["source"]["cell"], stored["source"]["kernel"]) == (None, kernel.id)


def test_models_magic_lists_providers_and_models(kernel: Kernel, provider: ThreadedProvider) -> None:
    (shown,) = kernel.run("%bg models").bundles
    plain = shown["text/plain"]
    row = next(line for line in plain.splitlines() if line.startswith("test "))
    assert "default: hello" in row
    assert "The default is test/hello. c.BgStreamApp.default_model names it." in plain
    assert "Not configured: " in plain
    assert "anthropic" in plain.splitlines()[-1]
    assert shown["text/html"].startswith("<table class=")
    (shown,) = kernel.run("%bg models demo").bundles
    named = [line.split()[1] for line in shown["text/plain"].splitlines()[1:]]
    assert named == ["tour", "quick", "slow", "echo", "mood"]
    (shown,) = kernel.run("%bg models anthropic").bundles
    assert "ANTHROPIC_API_KEY" in shown["text/plain"]
    assert "Unknown provider 'nobody'. Known providers: " in kernel.run("%bg models nobody").error
    found = models(refresh=True)
    assert "test/hello" in found.names
    assert "anthropic" not in found.errors
    assert found.default == "test/hello"


def test_name_option_binds_handle(kernel: Kernel) -> None:
    shown = kernel.run("%%bg --name greeting\nSay hello.").job
    assert kernel.ask("greeting.wait(60).text") == "'Hello, world'"
    assert kernel.ask("greeting.id") == repr(shown["id"])
    last = kernel.run("greeting")
    assert last.outputs[0]["type"] == "execute_result"
    assert last.job["status"] == "completed"
    assert last.bundles[0]["text/markdown"] == "Hello, world"


def test_job_can_be_iterated_and_awaited_in_cell(kernel: Kernel) -> None:
    ran = kernel.run(
        "from jupyter_bgstream.client import submit\n"
        "for piece in submit('x'): print(piece, end='')\n"
        "async for piece in submit('x'): print(piece, end='')\n"
        "print(await submit('x'))"
    )
    assert ran.printed == "Hello, world" * 3 + "\n"


def test_cell_returns_before_answer_begins(kernel: Kernel, provider: ThreadedProvider) -> None:
    provider.scripts["mute"] = answer("one", hold_after=0)
    kernel.run("%%bg test/mute --name mute\nx")
    assert kernel.ask("mute.text") == "''"
    assert kernel.ask("mute.status") in ("'queued'", "'running'")
    provider.release()
    assert kernel.ask("mute.result()") == "'one'"


def test_interrupt_ends_wait_and_not_job(kernel: Kernel, provider: ThreadedProvider) -> None:
    provider.scripts["held"] = answer("one two", hold_after=1)
    kernel.run("%%bg test/held --name held\nx")
    provider.held()
    waiting = kernel.send("print('waiting', flush=True); held.wait()")
    kernel.await_printed("waiting")
    kernel.interrupt()
    assert kernel.collect(waiting).reply["ename"] == "KeyboardInterrupt"
    assert kernel.ask("held.status") == "'running'"
    provider.release()
    assert kernel.ask("held.result()") == "'one two'"


def test_job_outlives_its_kernel(server: Jupyter, provider: ThreadedProvider) -> None:
    provider.scripts["held"] = answer("one two", hold_after=1)
    with closing(Kernel(server)) as kernel:
        kernel.run("%load_ext jupyter_bgstream")
        shown = kernel.run("%%bg test/held\nx").job
        provider.held()
        kernel.restart()
        assert kernel.ask("'jupyter_bgstream' in __import__('sys').modules") == "False"
        again = f"__import__('jupyter_bgstream.client').client.job({shown['id']!r})"
        assert kernel.ask(f"{again}.text") == "'one '"
        provider.release()
        assert kernel.ask(f"{again}.result()") == "'one two'"


@pytest.mark.parametrize(
    ("cell", "sentence"),
    [
        ("%%bg\n  \n", "The prompt is empty. Write it below the line with %%bg."),
        ("%%bg --color red\nx", "%%bg: unrecognized arguments: --color. %bg help lists all options."),
        ("%%bg --name 1st\nx", "%%bg: argument --name: '1st' is not a valid variable name. %bg help"),
        ("%%bg --name class\nx", "%%bg: argument --name: 'class' is not a valid variable name. %bg help"),
        ("%%bg --thread\nx", "%%bg: argument --thread: expected one argument. %bg help"),
        ("%%bg --retry-policy sometimes\nx", "%%bg: argument --retry-policy: invalid choice: 'sometimes' (choose from"),
        ("%%bg --idle-timeout long\nx", "%%bg: argument --idle-timeout: 'long' is not a number of seconds. %bg help"),
        ("%%bg --idle-timeout nan\nx", "%%bg: argument --idle-timeout: 'nan' is not a number of seconds. %bg help"),
        ("%%bg --idle-timeout 0.5\nx", "The field 'idle_timeout' is wrong"),
        ("%%bg 'a\nx", "%%bg: no closing quotation. %bg help"),
        ("%%bg no-slash\nx", "model"),
        ("%%bg\nDear\n{artcle}", "{artcle} on line 3 of the cell cannot be filled in: NameError: name 'artcle' is not"),
        ("%%bg --raw --fill\nx", "%%bg: --raw and --fill exclude each other"),
        ("%%bg --system {role}\nx", "{role} on line 1 of the cell cannot be filled in: NameError: name 'role' is not"),
        (
            "%%bg a/b c/d --thread t\nx",
            "--thread takes one model, because a second one would reply to the first answer",
        ),
        ("%bg show", "%bg show needs a job: its id, a prefix of the id, or its variable."),
        ("%bg delete", "%bg delete needs a job: its id, a prefix of the id, or its variable."),
        (
            "%bg list purple",
            "Unknown argument 'purple' of %bg list. Use --here, --thread NAME, or one of queued,",
        ),
        ("%bg list --here", "The server knows no notebook of this kernel."),
        ("%bg list --thread", "%bg list --thread needs the name of a thread."),
        ("%bg attach x 1st", "'1st' is not a valid variable name."),
        ("%bg mute everything", "%bg mute takes on or off for this notebook, or thread NAME for a thread."),
        ("%bg threads burn", "%bg threads takes no argument, or show NAME, fork NAME NEW [JOB], rename NAME NEW, or"),
        ("%bg costs of everything", "Unknown argument 'of everything' of %bg costs. Use one of day, model,"),
        ("%bg 'a", "%bg: no closing quotation."),
        ("%bg cancel nothing-like-it", "nothing-like-it"),
        ("%bg retry nothing-like-it", "nothing-like-it"),
        ("%bg test/hello Hi.", "%bg lists and manages jobs. To ask a model, begin a cell with %%bg test/hello."),
        ("%bg remove x", "Unknown verb in '%bg remove'. Use '%bg delete'; '%bg help' lists all verbs."),
        ("%bg rm x", "Unknown verb in '%bg rm'. Use '%bg delete'; "),
        ("%bg cost model", "Unknown verb in '%bg cost'. Use '%bg costs'; "),
        ("%bg xyzzy", "Unknown verb in '%bg xyzzy'. Known verbs: list, show, attach, "),
    ],
)
def test_invalid_magic_is_one_sentence_error(kernel: Kernel, cell: str, sentence: str) -> None:
    ran = kernel.run(cell)
    assert ran.reply["status"] == "error"
    assert sentence in ran.error
    assert "Traceback" not in ran.error
    assert ran.error.count("\n") == 0
    assert ran.error.endswith(".")


def test_job_table_has_columns_and_escaped_html(kernel: Kernel) -> None:
    asked = submit("What is <b>bold</b> in HTML? Explain at a length that no table has room for.")
    asked.wait()
    shown = kernel.run("%bg").bundles[0]
    heading, newest, *_ = shown["text/plain"].splitlines()
    assert heading.split() == ["id", "status", "model", "prompt", "time", "tokens", "cost"]
    assert newest.split()[:3] == [asked.id[:8], "Done", "test/hello"]
    assert newest.split()[-3:] == ["0", "s", "2"]
    assert "What is &lt;b&gt;bold&lt;/b&gt; in HTML?" in shown["text/html"]
    assert "<b>" not in shown["text/html"]


def test_cancel_takes_variable_id_or_id_prefix(kernel: Kernel, provider: ThreadedProvider) -> None:
    provider.scripts["held"] = answer("one two", hold_after=1)
    for name in ("held", "ID", "SHORT"):
        shown = kernel.run("%%bg test/held --name held\nx").job
        word = {"held": "held", "ID": shown["id"], "SHORT": shown["id"][:8]}[name]
        assert kernel.run(f"%bg cancel {word}").printed == f"Job {shown['id'][:8]}: Stopped.\n"
        assert job(shown["id"]).status == "cancelled"


def test_job_options_of_cell_reach_server(kernel: Kernel) -> None:
    line = "--on-restart retry --retry-policy always --priority bulk --idle-timeout 300"
    shown = kernel.run(f"%%bg {line}\nx").job
    stored = kernel.rest.get(f"api/bgstream/jobs/{shown['id']}").json()
    assert [stored[name] for name in ("on_restart", "retry_policy", "priority")] == ["retry", "always", "bulk"]


def test_retry_shows_new_job(kernel: Kernel, provider: ThreadedProvider) -> None:
    provider.scripts["flaky"] = answer("one two").first(1, Cut())
    failed = kernel.run("%%bg test/flaky --name flaky\nx").job
    assert kernel.ask("flaky.wait().status") == "'failed'"
    provider.scripts["flaky"] = answer("one two")
    again = kernel.run("%bg retry flaky").job
    assert again["id"] == kernel.run(f"%bg retry {failed['id'][:8]}").job["id"] == job(failed["id"]).retried_by
    assert job(again["id"]).result() == "one two"
    provider.scripts["held"] = answer("one two", hold_after=1)
    kernel.run("%%bg test/held --name held\nx")
    assert "only one that has ended can be retried." in kernel.run("%bg retry held").error
    kernel.run("%bg cancel held")


def test_ambiguous_id_prefix_cancels_nothing(kernel: Kernel, provider: ThreadedProvider) -> None:
    provider.scripts["held"] = answer("one two", hold_after=1)
    twins = [submit("x", id=f"twin-000{number}", model="test/held") for number in range(2)]
    assert "2 jobs begin with 'twin-000'. Use a longer prefix of the id." in kernel.run("%bg cancel twin-000").error
    assert {twin.status for twin in twins} <= {"queued", "running"}
    for twin in twins:
        twin.cancel()


def test_help_names_every_verb_and_option(kernel: Kernel) -> None:
    helped = kernel.run("%bg help").printed
    verbs = kernel.run("%bg xyzzy").error.partition("Known verbs: ")[2].partition(". ")[0].split(", ")
    assert len(verbs) == 12
    assert all(f"%bg {verb}" in helped for verb in ("list", *verbs))
    assert len(OPTIONS) == 13
    assert all(option in helped for option in OPTIONS)


def test_cell_run_once_creates_one_job(kernel: Kernel) -> None:
    before = len(jobs(limit=500))
    kernel.run("%%bg\nOnce.")
    assert len(jobs(limit=500)) == before + 1


def test_bundle_has_no_address_and_no_token(kernel: Kernel, server: Jupyter) -> None:
    saved = json.dumps(kernel.run("%%bg\nx").outputs)
    token = json.loads(server.runtime_file.read_text())["token"]
    assert BUNDLE_MIME in saved
    assert token not in saved
    assert "127.0.0.1" not in saved


def test_list_is_default_verb_and_cancel_needs_job(kernel: Kernel) -> None:
    kernel.run("%%bg\nA question to be listed.")
    for line in ("%bg", "%bg list"):
        (shown,) = kernel.run(line).bundles
        assert "A question to be listed." in shown["text/plain"]
    assert kernel.run("%bg cancel").error.startswith("%bg cancel needs a job")
    assert kernel.run("%bg retry").error.startswith("%bg retry needs a job")


def test_expressions_are_filled_in_and_reported(kernel: Kernel, provider: ThreadedProvider) -> None:
    kernel.run("topic = 'the \"sea\" & sky'; number = 3; n = 5")
    line = "--system 'You know {topic}: {{n}}' --param max_tokens={number * 2} --thread {topic} --name asked"
    ran = kernel.run(f"%%bg {line}\n{{topic}} {{number:03d}}\n$x_{{n}}$ {{}} {{'a': 1}}")
    assert kernel.ask("asked.wait().status") == "'completed'"
    sent = provider.requests[-1].json
    assert [message["content"] for message in sent["messages"]] == [
        'You know the "sea" & sky: {n}',
        "the \"sea\" & sky 003\n$x_{n}$ {} {'a': 1}",
    ]
    assert sent["max_tokens"] == 6
    assert ran.printed == (
        "Filled in: {topic}, {number:03d}.\n"
        "Sent with single braces: {{n}}.\n"
        "Sent as code, not filled in: {n} on line 3. Use --fill to fill it in.\n"
    )
    assert (
        json.loads(
            kernel.ask("__import__('json').dumps(asked.messages)")[1:-1].replace("\\'", "'").replace("\\\\", "\\")
        )
        == sent["messages"]
    )
    assert job(ran.job["id"]).thread == 'the "sea" & sky'


def test_raw_sends_prompt_and_system_text_unchanged(kernel: Kernel, provider: ThreadedProvider) -> None:
    kernel.run("topic = 'sea'")
    kernel.run("%%bg --raw --system '{topic}' --thread {topic}raw --name asked\n{topic} {{topic}}")
    assert kernel.ask("asked.wait().thread") == "'searaw'"
    assert [message["content"] for message in provider.requests[-1].json["messages"]] == [
        "{topic}",
        "{topic} {{topic}}",
    ]


def test_pasted_code_is_not_filled_in_and_is_reported(kernel: Kernel, provider: ThreadedProvider) -> None:
    kernel.run("name = 'Bob'; count = 3; topic = 'code'; a = b = c = d = 1; rule = 'Write {name} as it is.'")
    pasted = 'print(f"{name}")\n<p>{count}</p>'
    ran = kernel.run(f"%%bg --system 'Say {{topic}}: f(\"{{name}}\")' --name asked\nExplain {{topic}}:\n\n{pasted}")
    kernel.ask("asked.wait().status")
    sent = provider.requests[-1].json["messages"]
    assert [each["content"] for each in sent] == ['Say code: f("{name}")', f"Explain code:\n\n{pasted}"]
    assert ran.printed == (
        "Filled in: {topic}.\n"
        "Sent as code, not filled in: {name} on line 1, {name} on line 4, {count} on line 5. "
        "Use --fill to fill it in.\n"
    )

    ran = kernel.run(f"%%bg --fill --system $rule --name asked\nExplain {{topic}}:\n\n{pasted}\n{{a}} {{b}} {{c}}")
    kernel.ask("asked.wait().status")
    sent = provider.requests[-1].json["messages"]
    assert [each["content"] for each in sent] == [
        "Write {name} as it is.",  # the value of a variable is no prompt to fill in
        'Explain code:\n\nprint(f"Bob")\n<p>3</p>\n1 1 1',
    ]
    assert ran.printed == "Filled in: {topic}, {name}, {count} and 3 more.\n"


def test_failing_expression_sends_nothing(kernel: Kernel) -> None:
    before = len(jobs(limit=500))
    assert "cannot be filled in" in kernel.run("%%bg test/hello demo/echo\n{1 / 0 * nothing}").error
    assert len(jobs(limit=500)) == before


def test_error_for_figure_in_prompt_names_image_option(kernel: Kernel) -> None:
    kernel.run("class Figure:\n    def savefig(self, *a, **k): pass\nfigure = Figure()")
    assert "{figure} on line 2 of the cell is an image: use --image figure." in kernel.run("%%bg\n{figure}").error


def test_several_models_are_shown_side_by_side(kernel: Kernel, provider: ThreadedProvider) -> None:
    provider.scripts["other"] = answer("Another")
    ran = kernel.run("%%bg test/hello test/other test/hello --name both\nSay hello.")
    (shown,) = [data[JOBS_MIME]["jobs"] for data in ran.bundles]
    assert [each["model"] for each in shown] == ["test/hello", "test/other", "test/hello"]
    assert ran.bundles[0]["text/markdown"].startswith("#### test/hello\n\n*Queued…*\n\n#### test/other\n\n")
    assert kernel.ask("both.result()") == repr(
        {"test/hello": "Hello, world", "test/other": "Another", "test/hello (2)": "Hello, world"}
    )
    assert kernel.ask("(await both == both.text, len(both), [job.id for job in both], both[1].text)") == repr(
        (True, 3, [each["id"] for each in shown], "Another")
    )
    again = kernel.run("both")
    assert again.bundles[0]["text/markdown"].endswith("#### test/other\n\nAnother\n\n#### test/hello\n\nHello, world")
    assert kernel.run("%bg cancel both").printed.count(": Done.") == 3


def test_refused_model_does_not_affect_others(kernel: Kernel) -> None:
    ran = kernel.run("%%bg test/hello no-slash --name some\nSay hello.")
    assert [each["model"] for data in ran.bundles for each in data[JOBS_MIME]["jobs"]] == ["test/hello"]
    assert ran.error.startswith("no-slash: ")
    assert kernel.ask("some.result()") == "{'test/hello': 'Hello, world'}"
