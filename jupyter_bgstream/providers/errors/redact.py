"""Redaction of keys, and of the headers sent with them, in text of a provider, in several encodings."""

import re
import string
from base64 import b64decode, b64encode
from binascii import Error
from collections.abc import Iterable, Iterator
from functools import cached_property

MAX_CHARACTERS = 64 * 1024  # of a text that are read: a provider may send millions
LABEL_LENGTH = 200  # characters of a name
SECRET_LENGTH = 6  # characters; shorter values, such as a version number in a header, are not secret

_REPLACEMENT = "[key]"
_ENCODED_LENGTH = 12  # characters that one character of a secret may take
_ROUNDS = 3  # nested escapes that are undone
_ESCAPE = re.compile(
    r"%([0-9a-f]{2})|\\+u00([0-9a-f]{2})|\\+x([0-9a-f]{2})|&#x0*([0-9a-f]{2});|&#0*([0-9]{1,3});"
    r"|&(quot|apos|amp|lt|gt);|\\+",
    re.I,
)
_ENTITIES = {"quot": '"', "apos": "'", "amp": "&", "lt": "<", "gt": ">"}
# The case may differ, a space in a form is a +, and base64 has two alphabets.
_FOLDED = str.maketrans(string.ascii_uppercase + " -_", string.ascii_lowercase + "++/")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9-]* +")


class Redactor:
    """Holds the secrets of one call and replaces them in text. Its repr shows none.

    It finds a secret as it is, in either case, in the escapes of JSON, Python, URLs, forms and HTML, in hex and in
    base64, also inside longer text; likewise the credentials of a header without their scheme, and the password in
    those of ``Basic``. It does not find a part of a secret, or a secret in another encoding.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        self._secrets = {part for secret in secrets for part in _parts(secret) if len(part) >= SECRET_LENGTH}

    def __repr__(self) -> str:
        return f"Redactor({len(self._secrets)} secrets)"

    def __call__(self, text: str, max_length: int = MAX_CHARACTERS) -> str:
        """Return the first ``max_length`` characters of a text, without secrets."""
        if not self._secrets:
            return text[:max_length]
        margin = _ENCODED_LENGTH * max(map(len, self._secrets))
        result = self._without_secrets(text[: max_length + margin])
        if len(text) > max_length + margin:  # the cut may have left the first half of a secret
            result = result[: max(0, len(result) - margin)]
        return result[:max_length]

    def label(self, text: str, max_length: int = LABEL_LENGTH) -> str:
        """Return a name without secrets, in one line and without control characters."""
        text = self(text, max_length + 1)
        if not text.isprintable():
            text = "".join(character if character.isprintable() else " " for character in text)
        return text if len(text) <= max_length else text[: max_length - 1] + "…"

    def _without_secrets(self, text: str) -> str:
        # Text that holds a secret inside escapes is returned unescaped.
        result = plain = self._replaced(text) or text
        for _ in range(_ROUNDS):
            unescaped = _unescaped(plain)
            if unescaped == plain:
                break
            plain = unescaped
            if (replaced := self._replaced(plain)) is not None:
                result = plain = replaced
        return result

    def _replaced(self, text: str) -> str | None:
        folded = text.translate(_FOLDED)
        places = sorted(place for form in self._forms for place in _places(folded, form))
        if not places:
            return None
        pieces, at = [], 0
        for begin, end in places:
            if begin >= at:
                pieces += [text[at:begin], _REPLACEMENT]
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
            decoded = b64decode(credentials, validate=True).decode()
        except (Error, ValueError):
            return
        yield decoded
        yield decoded.partition(":")[2]


def _forms(secret: str) -> Iterator[str]:
    yield secret
    plain = secret
    for _ in range(_ROUNDS):
        plain = _unescaped(plain)  # like the text in which it is searched
        yield plain
    data = secret.encode()
    yield data.hex()
    for before in range(3):  # bytes before it in the encoded text
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
        return _ENTITIES[escape[6].lower()]
    hexadecimal = escape[1] or escape[2] or escape[3] or escape[4]
    if not hexadecimal and not escape[5]:
        return ""  # backslashes alone
    number = int(hexadecimal, 16) if hexadecimal else int(escape[5])
    return chr(number) if 32 <= number < 127 else escape[0]
