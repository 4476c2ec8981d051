"""Fuzz background answers: after any events the resume token is valid, and resuming never crashes."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from providers.speaking import ERRORS
from providers.test_fuzz import values

from jupyter_bgstream.core.codec import encode
from jupyter_bgstream.core.errors import ProviderError
from jupyter_bgstream.providers.formats.lenient_json import clean, parse
from jupyter_bgstream.providers.formats.openai_responses import Responses
from jupyter_bgstream.providers.formats.openai_responses_decoder import ResponsesDecoder
from jupyter_bgstream.providers.port import ProviderEvent, Resume
from jupyter_bgstream.testing.scripts import event

FORMAT = Responses()
KINDS = """
    created queued in_progress completed failed incomplete cancelled output_text.delta output_text.done
    reasoning_summary_text.delta reasoning_text.delta refusal.delta refusal.done output_item.done
    output_text.annotation.added
""".split()  # noqa: SIM905 - as a list it would fill the page
ITEMS = ["message", "reasoning", "function_call", "web_search_call", "custom_tool_call", "other_call"]
FIELDS = "content summary action id call_id arguments name input".split()  # noqa: SIM905
STATES = ["completed", "failed", "incomplete", "cancelled", "in_progress"]

items = values | st.fixed_dictionaries({"type": st.sampled_from(ITEMS)}, optional=dict.fromkeys(FIELDS, values))
responses = values | st.fixed_dictionaries(
    {"status": st.sampled_from(STATES)},
    optional={"id": st.text(), "background": st.just(True), "output": st.lists(items, max_size=3) | values}
    | dict.fromkeys(("usage", "error", "incomplete_details"), values),
)
events = st.fixed_dictionaries(
    {"type": st.sampled_from([f"response.{kind}" for kind in KINDS])},
    optional={"response": responses, "sequence_number": st.integers(-5, 9), "item": items, "output_index": values}
    | dict.fromkeys(("delta", "text", "refusal"), st.text(max_size=5) | values)
    | {"annotation": values},
)
BEGUN = {"type": "response.created", "sequence_number": -6, "response": {"id": "resp_1", "background": True}}


def checked(decoder: ResponsesDecoder, said: list[ProviderEvent]) -> None:
    said += decoder.close()
    for happened in said:
        assert isinstance(happened, Resume) or encode(happened)
    assert decoder.error is None or type(decoder.error) is ProviderError
    assert decoder.token is not None
    for request in (FORMAT.resume(decoder.token), FORMAT.retrieve(decoder.token), FORMAT.cancel(decoder.token)):
        assert request.path.startswith("/responses/")


@settings(deadline=None, max_examples=100)
@given(st.lists(events, max_size=6), responses)
def test_resuming_survives_arbitrary_events(sent: list[Any], whole: Any) -> None:
    pieces = [event(json.dumps(it)) for it in sent]
    decoder = FORMAT.decoder(ERRORS)
    said = [it for piece in [event(BEGUN), *pieces] for it in decoder.feed(piece)]
    checked(decoder, said)
    streamed = FORMAT.decoder(ERRORS, decoder.token)
    checked(streamed, [it for piece in pieces for it in streamed.feed(piece)])
    looked_at = FORMAT.decoder(ERRORS, decoder.token)
    checked(looked_at, looked_at.apply_snapshot(clean(parse(json.dumps(whole)))))
