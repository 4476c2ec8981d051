"""Expressions of a prompt that are filled in, and braces that are sent unchanged."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_bgstream.client.job_handle import Job
from jupyter_bgstream.client.magics.errors import MagicError
from jupyter_bgstream.client.magics.interpolation import fill, places, value_of
from jupyter_bgstream.core.schemas.jobs import JobInfo

NAMES: dict[str, Any] = {
    "name": "Bob",
    "n": 3,
    "price": 3.14159,
    "x": "X",
    "i": 7,
    "d": {"k": "v"},
    "names": ["p", "q"],
}


def filled(text: str, *, everywhere: bool = False, **names: Any) -> str:
    namespace = NAMES | names
    found = places(text, everywhere=everywhere)
    return fill(text, found, lambda place: value_of(place.expression, namespace, f"on line {place.line}"))


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("Hi {name}!", "Hi Bob!"),
        ("{price:.2f}|{name!r:>6}|{n:05d}|{names[0]:>3}", "3.14| 'Bob'|00003|  p"),
        ("{', '.join(names)} {d['k']} {[k for k in names]} {n*2} {2*n}", "p, q v ['p', 'q'] 6 6"),
        ("{n}{name} file_{n}.csv it's {name}", "3Bob file_3.csv it's Bob"),
        ("{{name}} {{{name}}} {{{{name}}}}", "{name} {Bob} {{name}}"),
        ("```\n{name}\n```", "```\nBob\n```"),
        ("{name}}", "Bob}"),
        ("{name}{{{name}}}{{name}}", "Bob{Bob}{name}"),
    ],
)
def test_expressions_are_filled_in(text: str, sent: str) -> None:
    assert filled(text) == sent


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "}{",
        "{}",
        "{ name }",
        "{name",
        "{\nname}",
        "{{ name }}",
        '{"a": 1, "b": {"c": []}}',
        "{'foo': 'bar'}",
        "{v:k for k,v in dic.items()}",
        "{1,2} {{1,2},{3,4}} [0-9]{3,4} \\d{2} \\w{n}",
        "{name, n} {it's}",
        "for (const { name, n } of all) { return `${name}`; }",
        "a{color:red} style={{color: 'red'}} {lambda: 3} {n=} {*names}",
        r"\frac{n}{x} \sqrt[n]{x} \begin{x}{n} x_{i} x^{n} \sum_{i=1}^{n} \mathbb{E}_{x} L_{\theta} \{x\}",
        r"\frac{x}{\sqrt{n}} \textbf{{x}} \textbf{{{x}}}",
        "{n != 3} {n | n > 0} {x|n} {max({n: 1})}",
        "{{name}} and {{#name}}",
        "{" + "n + " * 200 + "n}",
    ],
)
def test_other_braces_are_sent_unchanged(text: str) -> None:
    assert filled(text) == text


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "a\nb {artcle}",
            "{artcle} on line 2 cannot be filled in: NameError: name 'artcle' is not defined. Write {{artcle}} ",
        ),
        ("{n / 0}", "{n / 0} on line 1 cannot be filled in: ZeroDivisionError: division by zero. Write {{n / 0}} to "),
        ("{name:.2f}", "{name:.2f} on line 1 cannot be formatted as text: ValueError: Unknown format code 'f' for "),
        ("user {id}", "{id} on line 1 is a function, which has no useful text. Write {{id}} to send it as it"),
        ("{str}", "{str} on line 1 is a class, "),
        ("{pytest}", "{pytest} on line 1 is a module, "),
        ("{figure}", "{figure} on line 1 is an image: use --image figure. "),
        ("{data}", "{data} on line 1 is bytes: use --image data for an image, "),
        ("{job}", "{job} on line 1 is a job: use {job.text} for the text so far, "),
    ],
)
def test_expression_that_cannot_be_filled_in_is_one_sentence_error(text: str, sentence: str) -> None:
    class Figure:
        def savefig(self) -> None: ...

    job: Any = Job(JobInfo(id="job-0001", status="queued", model="a/b", title="", cursor="", created_at=0.0), None)  # type: ignore[arg-type]
    with pytest.raises(MagicError) as caught:
        filled(text, pytest=pytest, figure=Figure(), data=b"x", job=job)
    assert str(caught.value).startswith(sentence)
    assert str(caught.value).endswith(".")


def test_table_is_filled_in_as_printed() -> None:
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame({"a": [1, 2]})
    assert filled("Look:\n{table}\n{table.shape}", table=table) == f"Look:\n{table}\n(2, 1)"


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ('{"name": "{name}", "inner": {"n": {n}}}', '{"name": "Bob", "inner": {"n": 3}}'),
        (r"\textbf{{{name}}} x_{i} ${price:.2f}", r"\textbf{Bob} x_7 $3.14"),
        ("```\nf'{name}' {{n}}\n```", "```\nf'Bob' {n}\n```"),
        ("{{name}} and {{#name}}", "{name} and {{#name}}"),
        (r"\frac{1}{2} {} {a, b}", r"\frac{1}{2} {} {a, b}"),
    ],
)
def test_everywhere_also_fills_in_code(text: str, sent: str) -> None:
    assert filled(text, everywhere=True) == sent


def test_expressions_left_as_code_are_listed() -> None:
    found = places("Hi {name}:\n${name}\nx_{i + n} \\frac{x}{[name for name in n]}\n\n{{n}}")
    left = [(place.expression.written, place.line, place.expression.names) for place in found if place.left]
    assert left == [
        ("{name}", 2, {"name"}),
        ("{i + n}", 3, {"i", "n"}),
        ("{x}", 3, {"x"}),
        ("{[name for name in n]}", 3, {"n"}),
    ]
    assert [place.line for place in found if place.filled] == [1]
    assert found[-1].braces == 2


@given(
    st.lists(
        st.sampled_from(["{", "}", "{{", "}}", "a", "n", "\\", "_", "^", "$", "'", '"', ":", "\n", "(", "]", "1", " "])
    )
)
def test_filling_in_changes_nothing_but_braces(parts: list[str]) -> None:
    text = "".join(parts)
    for everywhere in (False, True):
        sent = fill(text, places(text, everywhere=everywhere), lambda place: place.expression.written)
        # Only pairs of braces that say "no expression" are halved.
        assert [character for character in sent if character not in "{}"] == [c for c in text if c not in "{}"]
    spaced = text.replace("{", "{ ")
    assert fill(spaced, places(spaced, everywhere=True), lambda _: "wrong") == spaced
