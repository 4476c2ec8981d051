"""Secrets are redacted in every form that services were seen to return, and little else is changed."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_bgstream.providers.errors.redact import LABEL_LENGTH, MAX_CHARACTERS, Redactor

KEYS = ("sk-proj-AbCd1234_-xyz", 'sk-"K3y"+/9&\\ z', "%41%42percent", "plain123", "a+b c/d_e-f", "x41\\u0041\\x42zz")


def hexadecimal(text: str) -> str:
    return text.encode().hex()


def coded(text: str, before: int = 0, *, url: bool = False) -> str:
    data = b"u:1"[:before] + text.encode() + b"!" * (before % 2)
    return (base64.urlsafe_b64encode if url else base64.b64encode)(data).decode()


FORMS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "upper case": str.upper,
    "lower case": str.lower,
    "JSON": json.dumps,
    "JSON in JSON": lambda key: json.dumps(json.dumps(key)),
    "all in JSON's escapes": lambda key: "".join(f"\\u{ord(each):04X}" for each in key),
    "Python": repr,
    "all in Python's escapes": lambda key: "".join(f"\\x{ord(each):02x}" for each in key),
    "address": lambda key: quote(key, safe=""),
    "all in an address": lambda key: "".join(f"%{ord(each):02X}" for each in key),
    "address in an address": lambda key: quote(quote(key, safe=""), safe=""),
    "form": quote_plus,
    "page": html.escape,
    "all in a page": lambda key: "".join(f"&#{ord(each)};" for each in key),
    "all in a page, in hex": lambda key: "".join(f"&#x{ord(each):x};" for each in key),
    "hex": hexadecimal,
    "HEX": lambda key: hexadecimal(key).upper(),
    **{f"base64 at {place}": (lambda key, place=place: coded(key, place)) for place in range(4)},
    **{f"base64 of addresses at {place}": (lambda key, place=place: coded(key, place, url=True)) for place in range(4)},
    "base64 in an address": lambda key: quote(coded(key, 1), safe=""),
    "base64 in JSON with escaped slashes": lambda key: coded(key, 2).replace("/", "\\/"),
    "with the scheme in base64": lambda key: coded(f"Bearer {key}"),
    "Basic": lambda key: "Basic " + coded(f"me:{key}"),
}  # fmt: skip


def traces(key: str, form: str) -> list[str]:
    """Return the parts of a key's form that must not remain, without edges that base64 shares with neighbors."""
    shown = FORMS[form](key)
    return [shown, shown[3:-5]] if "base64" in form or form == "Basic" else [shown.strip("\"'")]


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("form", FORMS)
def test_key_is_redacted_in_every_form(form: str, key: str) -> None:
    words = f"No: {FORMS[form](key)}, sorry"
    shown = Redactor([key])(words)
    assert "[key]" in shown
    assert not [trace for trace in traces(key, form) if trace in shown]
    assert shown.startswith("No: ")
    assert shown.endswith(", sorry")


@pytest.mark.parametrize("sent", ["Bearer s3cr3t-token", "token  s3cr3t-token", "s3cr3t-token"])
def test_credentials_without_scheme_are_redacted(sent: str) -> None:
    assert Redactor([sent])("You sent s3cr3t-token.") == "You sent [key]."


def test_parts_of_basic_credentials_are_redacted() -> None:
    redactor = Redactor(["Basic " + base64.b64encode(b"user:pa55word!").decode()])
    assert redactor("user:pa55word! and pa55word!") == "[key] and [key]"


@pytest.mark.parametrize("words", ["", "Nothing here: 100 % \\o/ &c; %zz \\u12", "a" * 1000])
def test_other_text_is_unchanged(words: str) -> None:
    assert Redactor(KEYS)(words) == words
    assert Redactor([])(words) == words


@given(st.text(), st.sampled_from(KEYS), st.text(), st.sampled_from(sorted(FORMS)))
def test_key_in_any_form_and_context_is_redacted(before: str, key: str, after: str, form: str) -> None:
    shown = Redactor([key])(f"{before} {FORMS[form](key)} {after}")
    assert not [trace for trace in traces(key, form) if trace in shown and trace not in before + after]


@pytest.mark.parametrize("before", range(MAX_CHARACTERS - 60, MAX_CHARACTERS + 60, 7))
@pytest.mark.parametrize("form", ["plain", "all in JSON's escapes", "base64 at 1"])
def test_cut_leaves_no_part_of_key(before: int, form: str) -> None:
    key = KEYS[0]
    shown = Redactor([key])(" " * before + FORMS[form](key) + "tail" * 100)
    (whole,) = traces(key, form)[-1:]
    assert not [whole[at : at + 6] for at in range(len(whole) - 5) if whole[at : at + 6] in shown]


@pytest.mark.parametrize("before", range(LABEL_LENGTH - 40, LABEL_LENGTH + 40, 3))
def test_cut_of_label_leaves_no_part_of_key(before: int) -> None:
    label = Redactor([KEYS[0]]).label("_" * before + KEYS[0] + "tail" * 100)
    assert len(label) <= LABEL_LENGTH
    assert "sk-" not in label
    assert label.startswith("____")


def test_label_is_one_line_without_control_characters() -> None:
    assert Redactor([]).label("a\nb\0c\u202ed\u2028e") == "a b c d e"


def test_short_value_is_not_redacted() -> None:
    assert Redactor(["2025", "true"])("true in 2025") == "true in 2025"
