"""Takes a key, and the headers that were sent with it, out of what a service says, in whatever form they come back."""

from __future__ import annotations

import re
import string
from base64 import b64decode, b64encode
from binascii import Error
from collections.abc import Iterable, Iterator
from functools import cached_property

WORDS_READ = 64 * 1024  # characters that are looked at: what a service says may have millions
LABEL_LENGTH = 200  # characters of a name
SECRET_LENGTH = 6  # characters; shorter values, such as a version number in a header, are no secrets

_INSTEAD = "[key]"
_FORM_LENGTH = 12  # characters that one of a secret may take
_ROUNDS = 3  # escapes of escapes that are undone
_ESCAPE = re.compile(
    r"%([0-9a-f]{2})|\\+u00([0-9a-f]{2})|\\+x([0-9a-f]{2})|&#x0*([0-9a-f]{2});|&#0*([0-9]{1,3});"
    r"|&(quot|apos|amp|lt|gt);|\\+",
    re.I,
)
_NAMED = {"quot": '"', "apos": "'", "amp": "&", "lt": "<", "gt": ">"}
# Case is that of whoever repeats it, a space of a form is a +, and base64 has two alphabets.
_FOLDED = str.maketrans(string.ascii_uppercase + " -_", string.ascii_lowercase + "++/")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9-]* +")


class Redaction:
    """Knows what is secret in one call; holds it, and shows none of it.

    A secret is found as it is, in either case, in the escapes of JSON, Python, addresses, forms and pages, in hex and
    in base64, also as a part of more; so are the credentials in a header without their scheme, and the password in
    those of ``Basic``. A part of a secret, or one that was turned into something else, is not found.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        self._secrets = {part for secret in secrets for part in _parts(secret) if len(part) >= SECRET_LENGTH}

    def __repr__(self) -> str:
        return f"Redaction({len(self._secrets)} secrets)"

    def __call__(self, words: str, most: int = WORDS_READ) -> str:
        """Return the first so many characters of words, without what is secret."""
        if not self._secrets:
            return words[:most]
        margin = _FORM_LENGTH * max(map(len, self._secrets))
        text = self._without(words[: most + margin])
        if len(words) > most + margin:  # the cut may have left the first half of one
            text = text[: max(0, len(text) - margin)]
        return text[:most]

    def label(self, words: str, most: int = LABEL_LENGTH) -> str:
        """Return what a service calls something: as ``__call__``, in one line, without control characters."""
        text = self(words, most + 1)
        if not text.isprintable():
            text = "".join(character if character.isprintable() else " " for character in text)
        return text if len(text) <= most else text[: most - 1] + "…"

    def _without(self, text: str) -> str:
        # What holds a secret in escapes is returned without them.
        shown = plain = self._replaced(text) or text
        for _ in range(_ROUNDS):
            opened = _unescaped(plain)
            if opened == plain:
                break
            plain = opened
            if (replaced := self._replaced(plain)) is not None:
                shown = plain = replaced
        return shown

    def _replaced(self, text: str) -> str | None:
        folded = text.translate(_FOLDED)
        places = sorted(place for form in self._forms for place in _places(folded, form))
        if not places:
            return None
        pieces, at = [], 0
        for begin, end in places:
            if begin >= at:
                pieces += [text[at:begin], _INSTEAD]
            at = max(at, end)
        return "".join([*pieces, text[at:]])

    @cached_property
    def _forms(self) -> set[str]:
        return {form.translate(_FOLDED) for secret in self._secrets for form in _forms(secret)}


def _parts(secret: str) -> Iterator[str]:
    yield secret
    scheme = _SCHEME.match(secret)
    if scheme is None:
        return
    credentials = secret[scheme.end() :]
    yield credentials
    if scheme[0].strip().lower() == "basic":
        try:
            known = b64decode(credentials, validate=True).decode()
        except (Error, ValueError):
            return
        yield known
        yield known.partition(":")[2]


def _forms(secret: str) -> Iterator[str]:
    yield secret
    plain = secret
    for _ in range(_ROUNDS):
        plain = _unescaped(plain)  # as the text is that it is looked for in
        yield plain
    data = secret.encode()
    yield data.hex()
    for before in range(3):  # bytes that stand before it in what was encoded
        coded = b64encode(bytes(before) + data).decode()
        yield coded[(before * 8 + 5) // 6 : (before + len(data)) * 8 // 6]


def _places(text: str, form: str) -> Iterator[tuple[int, int]]:
    at = text.find(form) if form else -1
    while at >= 0:
        yield at, at + len(form)
        at = text.find(form, at + len(form))


def _unescaped(text: str) -> str:
    return _ESCAPE.sub(_character, text) if "%" in text or "\\" in text or "&" in text else text


def _character(escape: re.Match[str]) -> str:
    if escape[6]:
        return _NAMED[escape[6].lower()]
    hexadecimal = escape[1] or escape[2] or escape[3] or escape[4]
    if not hexadecimal and not escape[5]:
        return ""  # backslashes alone
    number = int(hexadecimal, 16) if hexadecimal else int(escape[5])
    return chr(number) if 32 <= number < 127 else escape[0]
