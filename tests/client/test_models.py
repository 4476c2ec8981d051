"""The table of providers and models."""

from __future__ import annotations

from jupyter_bgstream.client import Models
from jupyter_bgstream.core.schemas.server_info import ModelsInfo, ProviderInfo
from jupyter_bgstream.core.state import ErrorInfo

GONE = ErrorInfo(code="unreachable", message="It cannot be reached. " + "Details: <b>. " * 20)
FORM = ModelsInfo(
    default="a/one",
    default_why="It is the first.",
    aliases={"fast": "a/two"},
    providers=[
        ProviderInfo(name="a", models=[f"a/{name}" for name in ("one", "two", "three", "four", "five")]),
        ProviderInfo(name="agent"),
        ProviderInfo(name="gone", error=GONE),
        ProviderInfo(name="bare", note="This service has no list of models: " + "ask for it. " * 20),
        ProviderInfo(
            name="idle", error=ErrorInfo(code="missing_key", message="Not configured: set X."), configured=False
        ),
    ],
)


def test_overview_of_models_is_short() -> None:
    shown = Models(FORM)
    lines = repr(shown).splitlines()
    assert lines[1].split() == ["a", "one,", "two,", "three", "and", "2", "more", "default:", "one"]
    assert "use agent/ and the name of a model" in lines[2]
    assert lines[3].endswith("not available")
    assert max(map(len, lines[:5])) < 110
    assert lines[4].startswith("bare      This service has no list of models: ask for it.")
    assert lines[4].endswith("…")
    assert lines[5:] == [
        "The default is a/one. It is the first.",
        "Aliases: fast = a/two.",
        "Not configured: idle. %bg models NAME shows what each needs.",
    ]
    assert shown.names == [f"a/{name}" for name in ("one", "two", "three", "four", "five")]
    assert shown.errors == {"gone": GONE.message}
    assert "<b>" not in shown.bundle()["text/html"]


def test_single_provider_is_shown_completely() -> None:
    assert [line.split() for line in repr(Models(FORM, "a")).splitlines()[1:3]] == [
        ["a", "one", "default"],
        ["a", "two", "fast"],
    ]
    assert GONE.message.strip() in repr(Models(FORM, "gone"))
    assert str(FORM.providers[3].note).strip() in repr(Models(FORM, "bare"))
    assert "Not configured: set X." in repr(Models(FORM, "idle"))
