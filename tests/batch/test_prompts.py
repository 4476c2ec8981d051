"""Prompts of rows: templates, functions and images."""

from datetime import date
from types import SimpleNamespace

import pandas as pd
import pytest

from jupyter_bgstream.client.batch.row_prompts import Requests
from jupyter_bgstream.client.batch.table import read_rows
from jupyter_bgstream.core.errors import InvalidRequestError

TABLE = [
    {"text": "a", "price": 1.5, "meta": {"size": "L", "1": "one"}, "when": date(2026, 1, 2), "words": ["x", "y"]},
    {"text": "{b}", "price": 2, "meta": {"size": "S", "1": "eins"}, "when": date(2025, 3, 4), "words": ["z", "{}"]},
]
PNG = b"\x89PNG\r\n\x1a\n" + b"0" * 20


def asked(prompt, table=TABLE, **how):
    return list(Requests(read_rows(table), prompt, **{"system": None, "images": None} | how))


def refusal(prompt, table=TABLE, **how):
    with pytest.raises(InvalidRequestError) as refused:
        asked(prompt, table, **how)
    return refused.value.message


@pytest.mark.parametrize(
    ("prompt", "first", "second"),
    [
        ("Classify: {text}", "Classify: a", "Classify: {b}"),
        ("{{text}} is {text!r}", "{text} is 'a'", "{text} is '{b}'"),
        ("{price:.2f} € of {text:>3}", "1.50 € of   a", "2.00 € of {b}"),
        ("{meta[size]} {meta[1]} {when.year} {words[0]} {words[1]}", "L one 2026 x y", "S eins 2025 z {}"),
        ("{when:%d.%m.%Y}", "02.01.2026", "04.03.2025"),
    ],
)
def test_template_is_filled_in(prompt, first, second):
    assert [request["prompt"] for request in asked(prompt)] == [first, second]


def test_requests_can_be_iterated_repeatedly():
    requests = Requests(read_rows(iter(TABLE)), "{text}", system=None, images=None)
    assert list(requests) == list(requests)
    assert len(requests) == 2


def test_columns_can_have_any_name():
    table = pd.DataFrame({"first name": ["Ada"], "a.b": [1], 0: ["x"], "c[d]": [2]})
    assert asked("{first name} {a.b} {0} {c[d]}", table) == [{"prompt": "Ada 1 x 2"}]
    assert asked("{} and {row.real}", [1]) == [{"prompt": "1 and 1"}]


@pytest.mark.parametrize(
    "name", ["Q1: mood", "Really!", "Really?!", "ratio a/b: 1!", "size [mm]", "a\nb", "100%", " text", "a.b[c]:d!e"]
)
def test_punctuation_in_column_name_is_accepted(name):
    table = [{name: 1, name + "!": 2, name[:2]: 3}]
    assert asked("{" + name + "} {" + name + ":03d} {" + name + "!r:>2}{{x}}", table) == [{"prompt": "1 001  1{x}"}]
    assert asked("{" + name + "!}{" + name[:2] + "}", table) == [{"prompt": "23"}]


@pytest.mark.parametrize("name", ["{curly}", "half{", "}"])
def test_column_with_braces_in_name_needs_function(name):
    table = [{name: "a"}, {name: "b"}]
    assert "Use a function for a column with braces in its name: prompt=lambda row:" in refusal(
        "Classify: {" + name + "}", table
    )
    assert asked(lambda row: "Classify: " + row[name], table)[1] == {"prompt": "Classify: b"}


@pytest.mark.parametrize(
    ("prompt", "words"),
    [
        ("{txt}", "names 'txt', but the table has no such column. Columns: text, price, meta, when, words"),
        ("{text", "an unclosed brace"),
        ("} {text}", "an unclosed brace"),
        ("{}", "without a name"),
        ("{text!x}", "!s, !r or !a"),
        ("{price:{text}}", "nested braces"),
        ("{text.__class__}", "Unsupported lookup"),
        ("{meta[size].__init__.__globals__}", "Unsupported lookup"),
        ("{meta[size}", "closed"),
        ("{when.century}", "Row 0, counted from 0: {when.century} cannot be formatted: AttributeError"),
        ("{meta[colour]}", "KeyError"),
        ("{text:.2f}", "Row 0, counted from 0: {text} cannot be formatted: ValueError"),
        ("Classify this.", "it is the same for all rows. Use {text}, for example."),
        (7, "a text or a function of a row, not a int"),
    ],
)
def test_invalid_prompt_is_refused_before_submit(prompt, words):
    assert words in refusal(prompt)


def test_only_gaps_in_used_columns_are_refused():
    table = [{"a": 1, "b": None}, {"a": 2, "b": 3}, {"a": 4}]
    assert len(asked("{a}", table)) == 3
    assert "'b' is empty (None or NaN) in 2 rows (0, 2)" in refusal("{b}", table)


@pytest.mark.parametrize("gap", [None, float("nan"), pd.NaT, pd.NA])
@pytest.mark.parametrize("prompt", ["{m[size]}", "{m[size]:>3}", "{m[size]!r}", "{m[deep][0].real}", "Of {o.size}"])
def test_gap_inside_cell_is_refused_before_submit(gap, prompt):
    whole = {"m": {"size": "L", "deep": [1]}, "o": SimpleNamespace(size=1)}
    gaps = {"m": {"size": gap, "deep": [gap] if gap is not None else None}, "o": SimpleNamespace(size=gap)}
    if "deep" in prompt and gap is not None:
        prompt = "{m[deep][0]}"
    with pytest.raises(InvalidRequestError) as refused:
        Requests(read_rows([whole, gaps]), prompt, system=None, images=None)
    named = prompt.removeprefix("Of ").partition("!")[0].partition(":")[0].rstrip("}") + "}"
    assert refused.value.message.startswith(f"{named} is empty (None or NaN) in row 1, counted from 0")
    assert len(asked(prompt, [whole, whole])) == 2


def test_empty_prompt_of_row_is_refused():
    assert "The prompt of row 1, counted from 0, is empty" in refusal("{text}", [{"text": "a"}, {"text": " \n"}])


def test_prompt_function_is_called_once_per_row():
    seen = []
    requests = Requests(
        read_rows(pd.DataFrame(TABLE)),
        lambda row: seen.append(row) or f"Q {row['text']}",
        system="Be brief.",
        images=None,
    )
    assert list(requests) == list(requests)
    assert [row["text"] for row in seen] == ["a", "{b}"]
    assert next(iter(requests)) == {
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Q a"}]
    }
    said = [{"role": "user", "content": "Hi"}]
    assert asked(lambda row: said, [1]) == [{"messages": said}]
    for nothing in (None, [], 7, [1]):
        assert "The prompt function returned" in refusal(lambda row, nothing=nothing: nothing, [1])


def test_images_come_from_column_function_or_constant(tmp_path):
    path = tmp_path / "one.png"
    path.write_bytes(PNG)
    table = [{"text": "a", "photo": PNG}, {"text": "b", "photo": [str(path), PNG]}]
    for images, counts in (("photo", [1, 2]), (lambda row: row["photo"], [1, 2]), (PNG, [1, 1])):
        requests = asked("What is it?", table, images=images)
        kinds = [[part["type"] for part in request["messages"][0]["content"]] for request in requests]
        assert kinds == [["image"] * count + ["text"] for count in counts]
    assert "images names 'foto'" in refusal("{text}", table, images="foto")
    assert "'photo' is empty" in refusal("{text}", [*table, {"text": "c"}], images="photo")
    assert "Row 1, counted from 0: Cannot read the image" in refusal(
        "{text}", [table[0], {"text": "b", "photo": "no.png"}], images="photo"
    )
