"""The description of this API, OpenAPI 3.1, made of its types and one table of routes."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any, get_args

import msgspec
from tornado.web import RequestHandler

from .._version import __version__
from ..core.costs import Price
from ..core.events import Event, MediaType
from ..core.messages import FILE_TYPE
from ..core.tool_turns import MAX_ID
from . import answers, inbox, jobs, requests, threads
from .base import ApiHandler, endpoint, verbs
from .listing import MAX_PAGE

JSON = "application/json"
REF = "#/components/schemas/{name}"
IDS = ("id", "image")  # what the parts of a path stand for, in their order
FILE = "file"  # an answer that is no JSON, but a picture
REFUSALS = (400, 403, 404, 413, 503)  # what every verb may answer
TEXT = {"type": "string"}
NOT_BLANK = {"type": "string", "pattern": r"[^\s\x1c-\x1f\x85]"}
NULL = {"type": "null"}
NONE = {"type": "array", "maxItems": 0}
NO_CONTROL = r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029]+$"
BASE64 = {"type": "string", "pattern": "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{4}|[A-Za-z0-9+/]{3}=|[A-Za-z0-9+/]{2}==)$"}

Schema = dict[str, Any]


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """A verb of a route: what it takes, what it answers beside REFUSALS. A status without a type has no body."""

    answers: Mapping[int, Any]
    body: Any = None
    query: Mapping[str, Schema] = {}
    headers: Mapping[str, Schema] = {}
    required: tuple[str, ...] = ()  # of the query
    links: Mapping[str, str] = {}  # operation to the field of the answer that is its id


JOB_LINKS = {f"{verb} jobs/{{id}}{rest}": "id" for verb, rest in (("get", ""), ("delete", ""), ("post", "/cancel"))} | {
    "post jobs/{id}/retry": "id",
    "get jobs/{id}/events": "id",
}
GROUP_LINKS = {
    "get groups/{id}": "id",
    "get groups/{id}/answers": "id",
    "post groups/{id}/cancel": "id",
    "post groups/{id}/resume": "id",
    "post groups/{id}/retry": "id",
}
OFFSET = {"type": "string", "pattern": r"^(-1|now|[0-9a-f]{8}_[0-9]{4}_[0-9]{12})$", "default": "-1"}
LAST_EVENT_ID = {"type": "string", "pattern": OFFSET["pattern"].replace("(", "(|", 1)}
SSE = {
    "type": "object",
    "required": ["event", "id", "data"],
    "properties": {
        "event": {"enum": ["data", "control"]},
        "id": TEXT,
        "data": {"type": "string", "contentMediaType": JSON},
    },
}
THREAD: dict[str, Schema] = {"thread": {"type": "string", "minLength": 1, "maxLength": threads.MAX_NAME}}
MUTED: dict[str, Schema] = {
    kind: {"type": "string", "minLength": 1, "maxLength": inbox.MAX_NAME} for kind in inbox.MUTED_KINDS
}

PAGE: dict[str, Schema] = {
    "limit": {"type": "integer", "minimum": 1, "maximum": MAX_PAGE, "default": 50},
    "cursor": {"type": "string", "pattern": "^[0-9]{1,15}$"},
}

OPERATIONS: dict[str, Operation] = {
    "get jobs": Operation(
        query={
            "status": {"type": "string", "enum": list(jobs.STATES)},
            **dict.fromkeys(("thread", "notebook", "group", "submitted_by", "tag"), TEXT),
            "ids": {"type": "array", "items": TEXT, "maxItems": jobs.MAX_IDS},
            **PAGE,
        },
        answers={200: answers.JobPage},
    ),
    "post jobs": Operation(
        body=requests.JobSubmission,
        answers={201: answers.JobInfo, 200: answers.JobInfo, 409: answers.Refusal, 429: answers.Refusal},
        links=JOB_LINKS,
    ),
    "get jobs/{id}": Operation(answers={200: answers.JobWithAnswer}),
    "delete jobs/{id}": Operation(answers={204: None}),
    "post jobs/{id}/cancel": Operation(answers={200: answers.JobInfo}),
    "post jobs/{id}/retry": Operation(
        answers={201: answers.JobInfo, 200: answers.JobInfo, 409: answers.Refusal, 429: answers.Refusal}
    ),
    "get jobs/{id}/events": Operation(
        query={"offset": OFFSET, "live": {"type": "string", "enum": ["long-poll", "sse"]}},
        headers={"Last-Event-ID": LAST_EVENT_ID, "If-None-Match": TEXT},
        answers={200: list[Event], 204: None, 304: None, 410: answers.Refusal},
    ),
    "head jobs/{id}/events": Operation(answers={200: None}),
    "get jobs/{id}/images/{image}": Operation(headers={"If-None-Match": TEXT}, answers={200: FILE, 304: None}),
    "post groups": Operation(
        body=requests.BatchSubmission,
        answers={200: answers.BatchInfo, 409: answers.Refusal, 429: answers.Refusal},
        links=GROUP_LINKS,
    ),
    "get groups/{id}": Operation(answers={200: answers.BatchInfo}),
    "get groups/{id}/answers": Operation(
        query={
            "after": {"type": "string", "pattern": "^[0-9]{1,15}_[0-9]{1,15}$"},
            "limit": {"type": "integer", "minimum": 1, "maximum": MAX_PAGE, "default": MAX_PAGE},
        },
        answers={200: answers.AnswerPage},
    ),
    "post groups/{id}/cancel": Operation(answers={200: answers.BatchInfo}),
    "post groups/{id}/resume": Operation(answers={200: answers.BatchInfo}),
    "post groups/{id}/retry": Operation(answers={200: answers.BatchInfo, 429: answers.Refusal}),
    "get kernels/{id}": Operation(answers={200: answers.KernelInfo}),
    "get threads": Operation(query=PAGE | {"thread": TEXT}, answers={200: answers.ThreadPage}),
    "delete threads": Operation(query=THREAD, required=("thread",), answers={204: None}),
    "get threads/messages": Operation(query=THREAD, required=("thread",), answers={200: answers.ThreadMessages}),
    "post threads/fork": Operation(body=requests.ForkRequest, answers={201: answers.ThreadInfo, 409: answers.Refusal}),
    "post threads/rename": Operation(
        body=requests.RenameRequest, answers={200: answers.ThreadInfo, 409: answers.Refusal}
    ),
    "get mutes": Operation(answers={200: answers.MuteList}),
    "put mutes": Operation(query=MUTED, answers={200: answers.MuteList}),
    "delete mutes": Operation(query=MUTED, answers={200: answers.MuteList}),
    "get notices": Operation(
        query={"unread": {"type": "string", "enum": ["true", "false"]}}, answers={200: answers.Inbox}
    ),
    "post notices/read": Operation(body=requests.ReadRequest, answers={200: answers.Inbox}),
    "delete notices/{id}": Operation(answers={204: None}),
    "get costs": Operation(
        query={
            "by": {"type": "string", "enum": list(jobs.COST_KEYS), "default": "day"},
            **{key: {"type": "integer", "minimum": 0, "maximum": jobs.MAX_TIME} for key in ("since", "until")},
        },
        answers={200: answers.CostList},
    ),
    "get prices": Operation(
        query={
            "model": TEXT,
            **{
                key: {"type": "integer", "minimum": 0, "maximum": jobs.MAX_TOKENS}
                for key in ("input_tokens", "output_tokens")
            },
        },
        answers={200: Price},
    ),
    "get models": Operation(
        query={"refresh": {"type": "string", "enum": ["true", "false"]}}, answers={200: answers.ModelList}
    ),
    "get status": Operation(answers={200: answers.ServerStatus}),
    "get openapi.json": Operation(answers={200: dict[str, Any]}),
    "get live": Operation(answers={101: None}),
}

# HEAD is GET without the body.
for path in [name.removeprefix("get ") for name in OPERATIONS if name.startswith("get ") and name != "get live"]:
    read = OPERATIONS[f"get {path}"]
    OPERATIONS.setdefault(
        f"head {path}", Operation(answers=dict.fromkeys(read.answers), query=read.query, required=read.required)
    )

# What the types cannot say, and the code checks.
SAYING = {
    "anyOf": [
        NOT_BLANK,
        {
            "type": "array",
            "contains": {
                "anyOf": [
                    {"properties": {"type": {"const": "text"}, "text": NOT_BLANK}, "required": ["type", "text"]},
                    {
                        "properties": {"type": {"enum": ["image", "file", "audio"]}, "data": BASE64},
                        "required": ["type", "data"],
                    },
                ]
            },
        },
    ]
}
PROMPTED = {"required": ["prompt"], "properties": {"prompt": NOT_BLANK, "messages": NULL}}
CONVERSED = {
    "required": ["messages"],
    "properties": {
        "prompt": NULL,
        "messages": {"type": "array", "contains": {"properties": {"content": SAYING}, "required": ["content"]}},
    },
}
FURTHER: dict[str, Schema] = {
    "ImagePart": {"properties": {"data": BASE64}},
    "FilePart": {
        "properties": {
            "media_type": {"pattern": f"^({FILE_TYPE})$"},
            "name": {"pattern": NO_CONTROL},
            "data": BASE64,
        }
    },
    "AudioPart": {"properties": {"data": BASE64}},
    "FunctionCall": {"properties": {name: {"minLength": 1, "maxLength": MAX_ID} for name in ("id", "name")}},
    "Message": {
        "oneOf": [
            {
                "properties": {
                    "role": {"enum": ["system", "developer", "user"]},
                    "tool_calls": NONE,
                    "tool_call_id": NULL,
                }
            },
            {"properties": {"role": {"const": "assistant"}, "tool_call_id": NULL}},
            {
                "required": ["tool_call_id"],
                "properties": {"role": {"const": "tool"}, "tool_calls": NONE, "tool_call_id": TEXT},
            },
        ]
    },
    "Submission": {
        "oneOf": [PROMPTED, CONVERSED],
        "properties": {"model": {"anyOf": [{"type": "string", "pattern": r"^[^/]+/[\s\S]"}, NULL]}},
    },
    "GroupSubmission": {
        "properties": {"jobs": {"items": {"required": ["id"], "properties": {"id": {"type": "string"}, "group": NULL}}}}
    },
    "Reading": {
        "oneOf": [
            {"required": ["ids"], "properties": {"ids": {"type": "array"}, "all": {"const": False}}},
            {"required": ["all"], "properties": {"ids": NULL, "all": {"const": True}}},
        ]
    },
}


def described(routes: Iterable[tuple[str, type[RequestHandler]]], base_url: str) -> Schema:
    """Return the description of these routes, which hang below ``base_url``."""
    paths: dict[str, Schema] = {}
    for pattern, handler in routes:
        path = path_of(pattern)
        paths[f"/{path}"] = {verb: _operation(verb, path, handler) for verb in verbs(handler)}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "jupyter_bgstream",
            "version": __version__,
            "description": "LLM jobs in the background of a Jupyter server. PROTOCOL.md says what it all means.",
        },
        "servers": [{"url": f"{base_url.rstrip('/')}/api/bgstream"}],
        "security": [{"token": []}],
        "paths": paths,
        "components": _components(),
    }


def path_of(pattern: str) -> str:
    """Return a route's pattern as OpenAPI writes it: ``jobs/{id}``."""
    names = iter(IDS)
    return re.sub(r"\(.+?\)", lambda _: f"{{{next(names)}}}", pattern).replace("\\", "")


def _components() -> Schema:
    types = [operation.body for operation in OPERATIONS.values() if operation.body is not None]
    given = [each for operation in OPERATIONS.values() for each in operation.answers.values()]
    types += [each for each in given if each not in (None, FILE)]
    _, schemas = msgspec.json.schema_components(types, ref_template=REF)
    for name, further in FURTHER.items():
        schemas[name] = {"allOf": [schemas[name], further]}
    return {
        "schemas": _portable(schemas),
        "responses": {str(status): _response(status, answers.Refusal) for status in REFUSALS},
        "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
    }


def _portable(schema: Any) -> Any:
    # JSON Schema's patterns are JavaScript's, where ``$`` is the end and nothing else.
    if isinstance(schema, dict):
        return {
            key: value.replace(r"\A", "^").replace(r"\Z", "$") if key == "pattern" else _portable(value)
            for key, value in schema.items()
        }
    return [_portable(each) for each in schema] if isinstance(schema, list | tuple) else schema


def _operation(verb: str, path: str, handler: type[RequestHandler]) -> Schema:
    operation = OPERATIONS[f"{verb} {path}"]
    responses: dict[str, Schema] = {str(status): {"$ref": f"#/components/responses/{status}"} for status in REFUSALS}
    if verb == "head":
        responses = {str(status): _response(status, None) for status in REFUSALS}
    for status, type_ in operation.answers.items():
        responses[str(status)] = _response(status, type_)
        if operation.links and status < 300:
            responses[str(status)]["links"] = {
                _id(*target.split(" ")): {
                    "operationId": _id(*target.split(" ")),
                    "parameters": {"id": f"$response.body#/{field}"},
                }
                for target, field in operation.links.items()
            }
    if f"{verb} {path}" == "get jobs/{id}/events":
        responses["200"]["content"]["text/event-stream"] = {"schema": SSE}
    described: Schema = {
        "operationId": _id(verb, path),
        "summary": (inspect.getdoc(getattr(handler, verb)) or "").partition("\n")[0],
        "parameters": [*_parameters(operation, path)],
        "responses": responses,
    }
    if operation.body is not None:
        described["requestBody"] = {"required": True, "content": {JSON: {"schema": _schema(operation.body)}}}
    return described


def _id(verb: str, path: str) -> str:
    return "_".join([verb, *re.findall(r"[a-z]+", path)])


def _parameters(operation: Operation, path: str) -> Iterable[Schema]:
    for name in IDS:
        if f"{{{name}}}" in path:
            schema = {"type": "string", "pattern": "^[A-Za-z0-9_-]+$"}
            yield {"name": name, "in": "path", "required": True, "schema": schema}
    for place, given in (("query", operation.query), ("header", operation.headers)):
        for name, schema in given.items():
            lists = {"style": "form", "explode": False} if schema["type"] == "array" else {}
            needed = {"required": True} if name in operation.required else {}
            yield {"name": name, "in": place, "schema": schema, **lists, **needed}


def _response(status: int, type_: Any) -> Schema:
    response: Schema = {"description": HTTPStatus(status).phrase}
    if type_ == FILE:
        response["content"] = {media_type: {} for media_type in get_args(MediaType)}
    elif type_ is not None:
        response["content"] = {JSON: {"schema": _schema(type_)}}
    return response


def _schema(type_: Any) -> Schema:
    (schema,), _ = msgspec.json.schema_components([type_], ref_template=REF)
    return schema


class OpenAPIHandler(ApiHandler):
    """``openapi.json``."""

    @endpoint
    async def get(self) -> None:
        """Describe this API."""
        from .routes import ROUTES as EVERY  # noqa: PLC0415 - this one is among them

        self.answer(described(EVERY, self.base_url))


ROUTES = [(r"openapi\.json", OpenAPIHandler)]
