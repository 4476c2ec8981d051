"""Hand-written responses of Gemini, one of each kind."""

from __future__ import annotations

from typing import Any

from providers.decoding import bare

from jupyter_bgstream.core.events import Citation, Completed, Delta, ToolCall, Usage
from jupyter_bgstream.providers.port import ImageData

ROUTE = "POST /v1/models/*"


def parts(*found: Any, **fields: Any) -> dict[str, Any]:
    """Return a response with one candidate of these parts; fields belong to the candidate."""
    return {"candidates": [{"content": {"parts": list(found), "role": "model"}, "index": 0, **fields}]}


def says(words: str, **fields: Any) -> dict[str, Any]:
    return parts({"text": words}, **fields)


def ends(reason: str = "STOP", **fields: Any) -> dict[str, Any]:
    return {"candidates": [{"finishReason": reason, "index": 0, **fields}]}


GROUNDS = {
    "webSearchQueries": ["logs"],
    "groundingChunks": [
        {"web": {"uri": "https://a.example/", "title": "A"}},
        {"web": {"uri": "https://b.example/"}},
        {"web": {"uri": "https://a.example/", "title": "again"}},
        {"retrievedContext": {"uri": "https://c.example/", "title": "C", "text": "x"}},
        {"maps": {"uri": "https://maps.example/", "title": "M", "placeId": "p"}},
    ],
    "groundingSupports": [{"segment": {"text": "x"}, "groundingChunkIndices": [0]}],
}
COUNTS = {"promptTokenCount": 9, "candidatesTokenCount": 10, "thoughtsTokenCount": 5, "totalTokenCount": 24}

# Every kind of response that a stream may hold.
FULL = bare(
    {**parts({"text": "Grüße, ", "thought": True}), "usageMetadata": {"promptTokenCount": 9, "totalTokenCount": 9}},
    parts({"text": "hm\u2028", "thought": True, "thoughtSignature": "EvQB"}),
    {**says("A 👩‍👩‍👧‍👦 "), "modelVersion": "gemini-x", "responseId": "r"},
    parts({"executableCode": {"id": "1", "language": "PYTHON", "code": "print(1)\n"}}),
    parts({"codeExecutionResult": {"id": "1", "outcome": "OUTCOME_OK", "output": "1\n"}}),
    parts({"text": "log", "thoughtSignature": "Eo0H"}, {"inlineData": {"mimeType": "image/png", "data": "iVBORw=="}}),
    parts({"functionCall": {"name": "look", "args": {"at": 2}}, "thoughtSignature": "Eo0H"}),
    parts({"functionCall": {"id": "fc_1", "name": "find"}}),
    {
        **parts({"text": "", "thoughtSignature": "EqsF"}, finishReason="STOP", groundingMetadata=GROUNDS),
        "usageMetadata": COUNTS | {"cachedContentTokenCount": 4, "toolUsePromptTokenCount": 3},
    },
)
EVENTS = [
    Delta(channel="reasoning", text="Grüße, "),
    Delta(channel="reasoning", text="hm\u2028"),
    Delta(channel="text", text="A 👩‍👩‍👧‍👦 "),
    Delta(channel="text", text="\n\n```python\nprint(1)\n```\n\n"),
    Delta(channel="text", text="\n\n```\n1\n```\n\n"),
    Delta(channel="text", text="log"),
    ImageData(data="iVBORw=="),
    ToolCall(id="call_0", name="look", arguments='{"at":2}'),
    ToolCall(id="fc_1", name="find", arguments="{}"),
    Citation(url="https://a.example/", title="A"),
    Citation(url="https://b.example/"),
    Citation(url="https://c.example/", title="C"),
    Citation(url="https://maps.example/", title="M"),
    Usage(input_tokens=12, output_tokens=15, cached_tokens=4, reasoning_tokens=5),
    Completed(at=0.0, finish_reason="tool_calls"),
]
