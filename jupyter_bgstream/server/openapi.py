"""The OpenAPI 3.1 document of the API, generated from the wire schemas and the table of operations."""

import inspect
import re
from collections.abc import Iterable, Sequence
from http import HTTPStatus
from typing import Any, ClassVar, get_args

import msgspec
from tornado.web import RequestHandler

from .._version import __version__
from ..core.events import Event, MediaType
from ..core.schemas.messages import CacheControlInfo, MessageInfo, PartInfo, ThreadMessageInfo
from ..core.schemas.server_info import ErrorResponse
from .base import ApiHandler, endpoint, verbs
from .openapi_operations import CONSTRAINTS, FILE, JSON, OPERATIONS, PART_FIELDS, SSE, Operation, Schema

REF = "#/components/schemas/{name}"
IDS = ("id", "image")  # names of the path parameters, in their order
WITH_OPTIONAL_FIELDS = (*get_args(Event), MessageInfo, ThreadMessageInfo, PartInfo, CacheControlInfo)  # of responses
COMMON_ERRORS = (400, 403, 404, 413, 503)  # possible responses of every verb


def openapi_document(routes: Iterable[tuple[str, type[RequestHandler]]], base_url: str) -> Schema:
    """Return the OpenAPI document of these routes, which are below ``base_url``."""
    paths: dict[str, Schema] = {}
    for pattern, handler in routes:
        path = path_of(pattern)
        paths[f"/{path}"] = {verb: _operation(verb, path, handler) for verb in verbs(handler)}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "jupyter_bgstream",
            "version": __version__,
            "description": "LLM jobs that run in the background of a Jupyter server. See PROTOCOL.md.",
        },
        "servers": [{"url": f"{base_url.rstrip('/')}/api/bgstream"}],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "schemas": component_schemas(),
            "responses": {str(status): _response(status, ErrorResponse) for status in COMMON_ERRORS},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def path_of(pattern: str) -> str:
    """Return a route's pattern as OpenAPI writes it: ``jobs/{id}``."""
    names = iter(IDS)
    return re.sub(r"\(.+?\)", lambda _: f"{{{next(names)}}}", pattern).replace("\\", "")


def component_schemas() -> dict[str, Schema]:
    """Return the JSON schemas of all request and response bodies by their names."""
    bodies = [operation.body for operation in OPERATIONS.values() if operation.body is not None]
    types = [type_ for operation in OPERATIONS.values() for type_ in operation.responses.values()]
    types = [type_ for type_ in types if type_ not in (None, FILE)]
    _, components = msgspec.json.schema_components([*bodies, *types], ref_template=REF)
    _, sent = msgspec.json.schema_components(types)
    _complete(components, sent.keys() - {type_.__name__ for type_ in WITH_OPTIONAL_FIELDS})
    for type_, constraint in CONSTRAINTS.items():
        components[type_.__name__] = {"allOf": [components[type_.__name__], constraint]}
    portable: dict[str, Schema] = _portable(components)
    return portable


def _complete(components: dict[str, Schema], complete: Iterable[str]) -> None:
    # Clients may miss fields that have defaults, but this server sends all of them.
    for name in complete:
        properties = components[name]["properties"]
        components[name]["required"] = list(properties)
        for field in properties.values():
            field.pop("default", None)
    for event in get_args(Event):  # stored events are numbered
        components[event.__name__]["required"] += ["seq", "attempt"]
    part = components[PartInfo.__name__]["properties"]
    components[PartInfo.__name__] = {
        "title": PartInfo.__name__,
        "oneOf": [
            {
                "type": "object",
                "properties": {"type": {"const": kind}, **{field: part[field] for field in (*fields, "cache_control")}},
                "required": ["type", *fields],
            }
            for kind, fields in PART_FIELDS.items()
        ],
    }


def _portable(schema: Any) -> Any:
    # JSON Schema has the regular expressions of JavaScript, where ``$`` matches the end only.
    if isinstance(schema, dict):
        return {
            key: value.replace(r"\A", "^").replace(r"\Z", "$") if key == "pattern" else _portable(value)
            for key, value in schema.items()
        }
    return [_portable(each) for each in schema] if isinstance(schema, list | tuple) else schema


def _operation(verb: str, path: str, handler: type[RequestHandler]) -> Schema:
    operation = OPERATIONS[f"{verb} {path}"]
    responses: dict[str, Schema] = {
        str(status): {"$ref": f"#/components/responses/{status}"} for status in COMMON_ERRORS
    }
    if verb == "head":
        responses = {str(status): _response(status, None) for status in COMMON_ERRORS}
    for status, type_ in operation.responses.items():
        responses[str(status)] = _response(status, type_)
        if operation.links and status < 300:
            responses[str(status)]["links"] = {
                name: {"operationId": name, "parameters": {"id": "$response.body#/id"}}
                for name in _operations_below(operation.links)
            }
    if f"{verb} {path}" == "get jobs/{id}/events":
        responses["200"]["content"]["text/event-stream"] = {"schema": SSE}
    described: Schema = {
        "operationId": _operation_id(verb, path),
        "summary": (inspect.getdoc(getattr(handler, verb)) or "").partition("\n")[0],
        "parameters": [*_parameters(operation, path)],
        "responses": responses,
    }
    if operation.body is not None:
        described["requestBody"] = {"required": True, "content": {JSON: {"schema": _schema(operation.body)}}}
    return described


def _operations_below(path: str) -> Iterable[str]:
    for verb, target in (name.split(" ") for name in OPERATIONS):
        if verb != "head" and (target == path or target.startswith(f"{path}/")) and "{image}" not in target:
            yield _operation_id(verb, target)


def _operation_id(verb: str, path: str) -> str:
    return "_".join([verb, *re.findall(r"[a-z]+", path)])


def _parameters(operation: Operation, path: str) -> Iterable[Schema]:
    for name in IDS:
        if f"{{{name}}}" in path:
            schema = {"type": "string", "pattern": "^[A-Za-z0-9_-]+$"}
            yield {"name": name, "in": "path", "required": True, "schema": schema}
    for place, parameters in (("query", operation.query), ("header", operation.headers)):
        for name, schema in parameters.items():
            style = {"style": "form", "explode": False} if schema["type"] == "array" else {}
            required = {"required": True} if name in operation.required else {}
            yield {"name": name, "in": place, "schema": schema, **style, **required}


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

    every_route: ClassVar[Sequence[tuple[str, type[RequestHandler]]]] = ()  # this one too; set by ``routes``

    @endpoint
    async def get(self) -> None:
        """Return the OpenAPI document of this API."""
        self.answer(openapi_document(self.every_route, self.base_url))


ROUTES = [(r"openapi\.json", OpenAPIHandler)]
