"""Images in answers of all five formats: each is yielded once, and none affects the text."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

import pytest
from providers.decoding import bare, decoded, heard, named, one_by_one
from providers.speaking import ERRORS

from jupyter_bgstream.core.events import Completed, Delta
from jupyter_bgstream.providers.errors import ErrorBuilder
from jupyter_bgstream.providers.event_limits import URL_LENGTH, Sanitizer
from jupyter_bgstream.providers.formats.anthropic_messages import MessagesDecoder
from jupyter_bgstream.providers.formats.chat_completions import ChatDecoder
from jupyter_bgstream.providers.formats.framing import CUT, MAX_EVENT_BYTES, BodyParser, ServerEvent
from jupyter_bgstream.providers.formats.gemini import GeminiDecoder
from jupyter_bgstream.providers.formats.ollama import OllamaDecoder
from jupyter_bgstream.providers.formats.openai_responses_decoder import ResponsesDecoder
from jupyter_bgstream.providers.port import ImageData, ProviderEvent

PNG = b64encode(b"\x89PNG\r\n\x1a\n and so on").decode()
JPEG = b64encode(b"\xff\xd8\xff and so on").decode()
URL = f"data:image/png;base64,{PNG}"
DONE = b"data: [DONE]\n\n"
ADDRESS = "https://pictures.example/1.png"


def image(url: Any, **fields: Any) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}, **fields}


def chat(*deltas: dict[str, Any], **choice: Any) -> list[bytes]:
    events = [{"choices": [{"index": 0, "delta": delta}]} for delta in deltas]
    return [*bare(*events, {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop", **choice}]}), DONE]


def whole_chat(message: dict[str, Any]) -> list[bytes]:
    return [json.dumps({"choices": [{"message": message, "finish_reason": "stop"}]}, indent=2).encode()]


def gemini(*parts: dict[str, Any]) -> list[bytes]:
    return bare({"candidates": [{"content": {"parts": list(parts)}, "finishReason": "STOP"}]})


def responses(*items: dict[str, Any], whole: bool = True) -> list[bytes]:
    done = [{"type": "response.output_item.done", "output_index": 0, "item": item} for item in items]
    output = list(items) if whole else []
    return named(*done, {"type": "response.completed", "response": {"status": "completed", "output": output}})


def drawn(result: Any, **fields: Any) -> dict[str, Any]:
    return {"type": "image_generation_call", "id": "ig_1", "status": "completed", "result": result, **fields}


def messages(source: Any) -> list[bytes]:
    block = {"type": "content_block_start", "index": 0, "content_block": {"type": "image", "source": source}}
    stop = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}}
    return named(block, stop, {"type": "message_stop"})


def ollama(images: Any) -> list[bytes]:
    lines = ({"message": {"content": "", "images": images}, "done": False}, {"done": True, "done_reason": "stop"})
    return [json.dumps(line).encode() + b"\n" for line in lines]


def shown(said: list[ProviderEvent]) -> list[ImageData]:
    assert isinstance(said[-1], Completed)
    assert said[-1].finish_reason == "stop"
    return [item for item in said if isinstance(item, ImageData)]


WAYS = {
    "delta": (ChatDecoder, chat({"content": "", "images": [image(URL)]})),
    "delta, URL as string": (ChatDecoder, chat({"images": [{"image_url": URL}]})),
    "an object in place of a list": (ChatDecoder, chat({"images": image(URL)})),
    "last message": (ChatDecoder, chat({"content": "Here."}, message={"content": "Here.", "images": [image(URL)]})),
    "both": (ChatDecoder, chat({"images": [image(URL)]}, message={"content": "", "images": [image(URL)]})),
    "part": (ChatDecoder, chat({"content": [image(URL)]})),
    "part of a whole message": (ChatDecoder, whole_chat({"content": [{"type": "text", "text": "Here."}, image(URL)]})),
    "whole message": (ChatDecoder, whole_chat({"content": "Here.", "images": [image(URL)]})),
    "in capitals": (ChatDecoder, chat({"images": [image(URL.replace("data", "DATA").replace("base64", "BASE64"))]})),
    "URL with parameters": (ChatDecoder, chat({"images": [image(URL.replace("png;", "png;charset=utf-8;a=b;"))]})),
    "SVG by its label": (ChatDecoder, chat({"images": [image(URL.replace("png", "svg+xml"))]})),
    "base64 alone": (ChatDecoder, chat({"images": [{"b64_json": PNG}]})),
    "Gemini": (GeminiDecoder, gemini({"inlineData": {"mimeType": "image/png", "data": PNG}})),
    "Gemini, no label": (GeminiDecoder, gemini({"inlineData": {"data": PNG}})),
    "Gemini, invalid label": (GeminiDecoder, gemini({"inlineData": {"mimeType": 5, "data": PNG}})),
    "Responses": (ResponsesDecoder, responses(drawn(PNG, output_format="png"))),
    "Responses, no id": (ResponsesDecoder, responses(drawn(PNG, id=None))),
    "Responses, not repeated": (ResponsesDecoder, responses(drawn(PNG), whole=False)),
    "Messages": (MessagesDecoder, messages({"type": "base64", "media_type": "image/png", "data": PNG})),
    "Ollama": (OllamaDecoder, ollama([PNG])),
    "Ollama, data URL": (OllamaDecoder, ollama([URL])),
    "Ollama, no list": (OllamaDecoder, ollama(PNG)),
}


@pytest.mark.parametrize("way", WAYS)
def test_image_is_yielded_once_with_its_data(way: str) -> None:
    decoder, stream = WAYS[way]
    assert shown(decoded(decoder, stream)) == [ImageData(data=PNG)]
    assert shown(decoded(decoder, one_by_one(b"".join(stream)))) == [ImageData(data=PNG)]


@pytest.mark.parametrize("data", [None, "", 5, 1.5, True, [], {}, [PNG], {"x": PNG}])
@pytest.mark.parametrize("way", ["chat", "chat part", "Gemini", "Responses", "Messages"])
def test_unreadable_image_is_yielded_without_data(way: str, data: Any) -> None:
    decoder, stream = {
        "chat": (ChatDecoder, chat({"images": [image(data)]})),
        "chat part": (ChatDecoder, chat({"content": [image(data)]})),
        "Gemini": (GeminiDecoder, gemini({"inlineData": {"mimeType": "image/png", "data": data}})),
        "Responses": (ResponsesDecoder, responses(drawn(data))),
        "Messages": (MessagesDecoder, messages({"type": "base64", "data": data})),
    }[way]
    assert shown(decoded(decoder, stream)) == [ImageData()]


@pytest.mark.parametrize("images", [None, [], [None], {}, ""])
def test_empty_images_field_yields_no_image(images: Any) -> None:
    assert shown(decoded(ChatDecoder, chat({"content": "x", "images": images}))) == []
    assert shown(decoded(OllamaDecoder, ollama(images if images != {} else None))) == []


@pytest.mark.parametrize("images", [5, [5], [[]], True, "x", {"image_url": None}])
def test_malformed_image_does_not_affect_text(images: Any) -> None:
    said = decoded(ChatDecoder, chat({"content": "Here."}, {"images": images}))
    assert Delta(channel="text", text="Here.") in said
    assert len(shown(said)) == 1


def test_image_url_is_yielded_as_url() -> None:
    for decoder, stream in (
        (ChatDecoder, chat({"images": [image(ADDRESS)]})),
        (GeminiDecoder, gemini({"fileData": {"mimeType": "image/png", "fileUri": ADDRESS}})),
        (MessagesDecoder, messages({"type": "url", "url": ADDRESS})),
        (OllamaDecoder, ollama([ADDRESS])),
    ):
        assert shown(decoded(decoder, stream)) == [ImageData(url=ADDRESS)]


def test_images_keep_their_place_in_the_text() -> None:
    second = image(f"data:image/jpeg;base64,{JPEG}")
    said = decoded(ChatDecoder, chat({"content": "One:"}, {"images": [image(URL), second]}, {"content": "Two."}))
    assert said[:-1] == [
        Delta(channel="text", text="One:"),
        ImageData(data=PNG),
        ImageData(data=JPEG),
        Delta(channel="text", text="Two."),
    ]


def test_image_previews_are_ignored() -> None:
    preview = {"type": "response.image_generation_call.partial_image", "item_id": "ig_1", "partial_image_b64": JPEG}
    stream = [*named(preview), *responses(drawn(PNG))]
    assert shown(decoded(ResponsesDecoder, stream)) == [ImageData(data=PNG)]


def test_image_draft_becomes_reasoning() -> None:
    draft = {"inlineData": {"mimeType": "image/png", "data": JPEG}, "thought": True}
    said = decoded(GeminiDecoder, gemini(draft, {"inlineData": {"mimeType": "image/png", "data": PNG}}))
    assert shown(said) == [ImageData(data=PNG)]
    assert isinstance(said[0], Delta)
    assert (said[0].channel, "draft of an image" in said[0].text) == ("reasoning", True)


def test_resumed_stream_does_not_repeat_image() -> None:
    first = ResponsesDecoder(ERRORS)
    created = {"type": "response.created", "sequence_number": 0, "response": {"id": "resp_1", "background": True}}
    item = {"type": "response.output_item.done", "sequence_number": 1, "item": drawn(PNG)}
    said = first.feed(b"".join(named(created, item)))
    assert [each for each in said if isinstance(each, ImageData)] == [ImageData(data=PNG)]
    again = ResponsesDecoder(ERRORS, first.token)
    another = drawn(JPEG, id="ig_2")
    end = {
        "type": "response.completed",
        "sequence_number": 2,
        "response": {"status": "completed", "output": [drawn(PNG), another]},
    }
    said = [*again.feed(b"".join(named(end))), *again.close()]
    assert [each for each in said if isinstance(each, ImageData)] == [ImageData(data=JPEG)]


def test_image_urls_are_redacted_and_bounded() -> None:
    screen = Sanitizer("demo", ErrorBuilder("demo", model="m", secrets=("sk-secret-key-0123456789",)))
    secret = ImageData(url="https://pictures.example/?key=sk-secret-key-0123456789&n=1")
    long = ImageData(url="https://pictures.example/" + "x" * URL_LENGTH)
    kept = ImageData(data=PNG)
    seen = screen.sanitized([secret, long, kept])
    assert seen == [ImageData(url="https://pictures.example/?key=[key]&n=1"), ImageData(), kept]


class TestLargeEvents:
    """The base64 data of an image has its own limit."""

    MB = 1_000_000

    def parsed(self, body: bytes, piece: int = 8192, **limits: int) -> list[ServerEvent]:
        parser = BodyParser(**limits)
        events = []
        for place in range(0, len(body), piece):
            events += parser.feed(body[place : place + piece])
        return [*events, *parser.end()]

    @pytest.mark.parametrize(
        "before", ['{"url":"data:image/png;base64,', '{"result": "', '{"images":["', '{"data" : "']
    )
    @pytest.mark.parametrize("piece", [1000, 8192, 10**9])
    def test_image_may_exceed_the_event_limit(self, before: str, piece: int) -> None:
        body = f'data: {before}{"iVBOR/" * 500_000}"}}\n\n'.encode()
        (event,) = self.parsed(body, piece, max_event_bytes=self.MB)
        assert event.data == body.decode()[6:-2]
        assert not event.is_cut

    @pytest.mark.parametrize("before", ['{"content":"', '{"text":"data ', "", '{"data":"not base64: '])
    def test_other_events_keep_their_limit(self, before: str) -> None:
        with pytest.raises(Exception, match="more than 1000000 bytes"):
            self.parsed(f'data: {before}{"iVBOR/" * 500_000}"}}\n\n'.encode(), max_event_bytes=self.MB)

    def test_text_beside_image_counts_toward_event_limit(self) -> None:
        body = f'data: {{"data":"{"iVBOR/" * 500_000}","more":"{"no picture " * 100_000}"}}\n\n'
        with pytest.raises(Exception, match="more than 1000000 bytes"):
            self.parsed(body.encode(), max_event_bytes=self.MB)

    def test_image_limit_applies_to_each_event(self) -> None:
        event = f'data: {{"data":"{"iVBOR/" * 300_000}"}}\n\n'.encode()
        events = self.parsed(event * 3, max_event_bytes=self.MB, max_image_bytes=2 * self.MB)
        assert [each.is_cut for each in events] == [False] * 3

    @pytest.mark.parametrize("escaped", [False, True])
    def test_image_beyond_its_limit_is_cut(self, escaped: bool) -> None:
        data = ("iVBOR\\/" if escaped else "iVBOR/") * 1_000_000
        body = f'data: {{"data":"{data}","after":"all"}}\n\ndata: {{"next":1}}\n\n'.encode()
        event, following = self.parsed(body, max_event_bytes=self.MB, max_image_bytes=2 * self.MB)
        found = json.loads(event.data)
        assert found["after"] == "all"
        assert CUT in found["data"]
        assert len(event.data) < 2.2 * self.MB
        assert event.is_cut
        assert (following.data, following.is_cut) == ('{"next":1}', False)

    def test_cut_image_does_not_affect_text(self) -> None:
        data = "iVBORw0K" * (7_000_000)  # 56 MB
        said = decoded(ChatDecoder, chat({"content": "Here:"}, {"images": [image(URL + data)]}, {"content": "Enjoy."}))
        assert said[:-1] == [
            Delta(channel="text", text="Here:"),
            ImageData(is_cut=True),
            Delta(channel="text", text="Enjoy."),
        ]

    def test_cut_text_fails_as_event_too_large(self) -> None:
        part = {"type": "text", "data": "", "text": "iVBORw0K" * 7_000_000}
        stream = json.dumps({"choices": [{"delta": {"content": [part]}}]}, separators=(",", ":")).encode()
        stream = stream.replace(b'"data":"","text"', b'"text"').replace(b'"text":"iVBOR', b'"text":"data:;base64,iVBOR')
        said, error = heard(ChatDecoder, [b"data: " + stream + b"\n\n"])
        assert error is not None
        assert error.code == "event_too_large"
        assert not [item for item in said if isinstance(item, Delta)]

    def test_document_with_large_image_is_decoded(self) -> None:
        data = URL + "iVBORw0K" * (MAX_EVENT_BYTES // 8)
        said = decoded(ChatDecoder, whole_chat({"content": 'Here: [{\\"', "images": [image(data)]}))
        assert [sample.data for sample in shown(said)] == [data.partition(",")[2]]
