"""A Qdrant server in miniature, which keeps what it is asked in a list, and a validator of what an OpenAPI 3.0
description says, for the tests of vector stores.

FACTS is what docs/redoc/master/openapi.json of github.com/qdrant/qdrant (1.19.0) says of the calls that Hearth
makes, reduced to members and types. With HEARTH_QDRANT_OPENAPI naming that file (`make stores` fetches it),
each request and each answer of the miniature is held to the whole of it, too.
"""

import json
import math
import os
import re
import ssl
import threading
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_ID = {"anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "format": "uuid"}]}
_VECTOR = {"type": "array", "items": {"type": "number"}}
_CLOSED = {"type": "object", "additionalProperties": False}

# {(method, path): the body's schema}; closed, so that a member which Qdrant does not know is found.
FACTS = {
    ("GET", "/collections/{collection_name}"): None,
    ("PUT", "/collections/{collection_name}"): {
        **_CLOSED, "properties": {"vectors": {
            **_CLOSED, "required": ["distance", "size"], "properties": {
                "size": {"type": "integer", "minimum": 1},
                "distance": {"type": "string", "enum": ["Cosine", "Euclid", "Dot", "Manhattan"]}}}}},
    ("PUT", "/collections/{collection_name}/index"): {
        **_CLOSED, "required": ["field_name"], "properties": {
            "field_name": {"type": "string"},
            "field_schema": {"type": "string", "enum": ["keyword", "integer", "float", "geo", "text", "bool",
                                                        "datetime", "uuid"]}}},
    ("POST", "/collections/{collection_name}/points"): {
        **_CLOSED, "required": ["ids"], "properties": {
            "ids": {"type": "array", "items": _ID}, "with_payload": {"type": "boolean"},
            "with_vector": {"type": "boolean"}}},
    ("PUT", "/collections/{collection_name}/points"): {
        **_CLOSED, "required": ["batch"], "properties": {"batch": {
            **_CLOSED, "required": ["ids", "vectors"], "properties": {
                "ids": {"type": "array", "items": _ID}, "vectors": {"type": "array", "items": _VECTOR},
                "payloads": {"type": "array", "items": {"type": "object"}}}}}},
    ("POST", "/collections/{collection_name}/points/delete"): {
        **_CLOSED, "required": ["points"], "properties": {"points": {"type": "array", "items": _ID}}},
    ("POST", "/collections/{collection_name}/points/query"): {
        **_CLOSED, "properties": {
            "query": _VECTOR, "limit": {"type": "integer", "minimum": 1}, "with_payload": {"type": "boolean"},
            "with_vector": {"type": "boolean"},
            "filter": {**_CLOSED, "properties": {"must": {"type": "array", "items": {
                **_CLOSED, "required": ["key"], "properties": {
                    "key": {"type": "string"},
                    "match": {**_CLOSED, "required": ["value"], "properties": {"value": {"type": "string"}}}}}}}}}},
}
QUERY = {"wait": ("true", "false")}

_TYPES = {"object": dict, "array": list, "string": str, "boolean": bool, "integer": int, "number": (int, float)}


def check(value, schema, root, where="body"):
    """Raises AssertionError where `value` is not what `schema` says (the part of OpenAPI 3.0 that Qdrant's uses)."""
    if "$ref" in schema:
        target = root
        for part in schema["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        return check(value, target, root, where)
    if value is None and (schema.get("nullable") or not schema):
        return None
    for key in ("anyOf", "oneOf"):
        if key in schema:
            why = []
            for option in schema[key]:
                try:
                    return check(value, option, root, where)
                except AssertionError as e:
                    why.append(str(e))
            raise AssertionError(f"{where}: none of {key}: {why}")
    for part in schema.get("allOf", []):
        check(value, part, root, where)
    kind = schema.get("type")
    if kind:
        good = isinstance(value, _TYPES[kind]) and (kind == "boolean" or not isinstance(value, bool))
        assert good, f"{where}: {str(value)[:60]} is no {kind}"
    if "enum" in schema:
        assert value in schema["enum"], f"{where}: {value} is none of {schema['enum']}"
    if "minimum" in schema:
        assert value >= schema["minimum"], f"{where}: {value}"
    if schema.get("format") == "uuid":
        uuid.UUID(value)
        assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", value), f"{where}: {value}"
    if isinstance(value, dict):
        for name in schema.get("required", []):
            assert name in value, f"{where} has no {name}"
        more = schema.get("additionalProperties", True)
        for name, x in value.items():
            if name in schema.get("properties", {}):
                check(x, schema["properties"][name], root, f"{where}.{name}")
            else:
                assert more is not False, f"{where}.{name} is not known"
                if isinstance(more, dict):
                    check(x, more, root, f"{where}.{name}")
    if isinstance(value, list):
        for i, x in enumerate(value[:50]):
            check(x, schema.get("items", {}), root, f"{where}[{i}]")
    return None


def check_call(method, path, query, body, answer=None):
    """One request, and its answer, against FACTS and, where it is at hand, Qdrant's whole description."""
    template = re.sub(r"^/collections/[^/]+", "/collections/{collection_name}", path)
    assert (method, template) in FACTS, f"{method} {path} is no call of Qdrant's that Hearth should make"
    schema = FACTS[method, template]
    assert (schema is None) == (body is None)
    if schema:
        check(body, schema, FACTS)
    for name, value in query.items():
        assert name in QUERY and value in QUERY[name], f"{name}={value}"
    whole = openapi()
    if not whole:
        return
    call = whole["paths"][template][method.lower()]
    assert {p["name"] for p in call["parameters"] if p["in"] == "query"} >= set(query)
    if body is not None:
        wanted = call["requestBody"]["content"]["application/json"]["schema"]
        check(body, wanted, whole)
        assert set(body) <= known_members(wanted, whole), set(body)
    if answer is not None:
        check(answer, call["responses"]["200"]["content"]["application/json"]["schema"], whole, "answer")


def known_members(schema, root):
    if "$ref" in schema:
        target = root
        for part in schema["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        return known_members(target, root)
    names = set(schema.get("properties", {}))
    for key in ("anyOf", "oneOf", "allOf"):
        for part in schema.get(key, []):
            names |= known_members(part, root)
    return names


def openapi():
    path = os.environ.get("HEARTH_QDRANT_OPENAPI")
    if not path or not os.path.exists(path):
        return None
    if not hasattr(openapi, "read"):
        with open(path, encoding="utf-8") as f:
            openapi.read = json.load(f)
    return openapi.read


class Qdrant:
    """In memory, exact. `key`: the API key that it wants. `trouble(method, path, n)` may return (code, bytes,
    headers) to answer instead, n counting the requests; or "drop" to cut the connection."""

    def __init__(self, key=None, trouble=None, certificate=None):
        self.collections, self.requests, self.wrong = {}, [], []
        self.key, self.trouble = key, trouble
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args):
                pass

            def handle_any(self):
                outer.handle(self)

            do_GET = do_PUT = do_POST = do_DELETE = handle_any

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*map(str, certificate))
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.tls = bool(certificate)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def url(self, collection="project", scheme="qdrant"):
        host = "localhost" if self.tls else "127.0.0.1"
        return f"{scheme}{'s' if self.tls else ''}://{host}:{self.server.server_port}/{collection}"

    def __enter__(self):
        return self

    def __exit__(self, *args):
        self.server.shutdown()
        self.server.server_close()

    def points(self, collection="project"):
        return self.collections[collection]["points"]

    def handle(self, h):
        body = h.rfile.read(int(h.headers.get("Content-Length") or 0))
        path, _, query = h.path.partition("?")
        query = dict(p.split("=", 1) for p in query.split("&") if p)
        if self.trouble:
            answer = self.trouble(h.command, path, len(self.requests))
            if answer is not None:
                self.requests.append((h.command, path, query, None, dict(h.headers)))
                self.misbehave(h, answer)
                return
        data = json.loads(body) if body else None
        self.requests.append((h.command, path, query, data, dict(h.headers)))
        if self.key and h.headers.get("api-key") != self.key:
            self.send(h, 401, {"status": {"error": "Must provide an API key"}, "time": 0.0})
            return
        code, result = self.answer(h.command, path.split("/")[2:], data)
        message = {"result": result, "status": "ok", "time": 0.001} if code == 200 else \
            {"status": {"error": f"Not found: Collection `{result}` doesn't exist!"}, "time": 0.0}
        try:
            check_call(h.command, path, query, data, message if code == 200 else None)
        except (AssertionError, ValueError, KeyError) as e:
            self.wrong.append(f"{h.command} {path}: {e}")
        self.send(h, code, message)

    def send(self, h, code, message):
        data = json.dumps(message).encode()
        h.send_response(code)
        h.send_header("Content-Type", "application/json")
        h.send_header("Content-Length", str(len(data)))
        h.end_headers()
        h.wfile.write(data)

    def misbehave(self, h, answer):
        h.close_connection = True
        if answer == "drop":
            return
        code, pieces, headers = answer
        h.send_response(code)
        for name, value in headers.items():
            h.send_header(name, value)
        h.end_headers()
        try:
            for piece in [pieces] if isinstance(pieces, bytes) else pieces:
                h.wfile.write(piece)
                h.wfile.flush()
        except OSError:
            pass

    def answer(self, method, parts, data):
        name, rest = parts[0], "/".join(parts[1:])
        here = self.collections.get(name)
        if method == "PUT" and not rest:
            self.collections[name] = {"params": data, "points": {}}
            return 200, True
        if here is None:
            return 404, name
        points = here["points"]
        done = {"operation_id": len(self.requests), "status": "completed"}
        if rest == "":
            return 200, {"status": "green", "optimizer_status": "ok", "segments_count": 1, "points_count": len(points),
                         "payload_schema": {}, "config": {
                             "params": here["params"],
                             "hnsw_config": {"m": 16, "ef_construct": 100, "full_scan_threshold": 10000},
                             "optimizer_config": {"deleted_threshold": 0.2, "vacuum_min_vector_number": 1000,
                                                  "default_segment_number": 0, "flush_interval_sec": 5}}}
        if rest == "index":
            return 200, done
        if rest == "points" and method == "POST":
            return 200, [{"id": i} for i in data["ids"] if i in points]
        if rest == "points":
            b = data["batch"]
            assert len(b["ids"]) == len(b["vectors"]) == len(b["payloads"])
            size = here["params"]["vectors"]["size"]
            assert all(len(v) == size for v in b["vectors"])
            points.update({i: (v, p) for i, v, p in zip(b["ids"], b["vectors"], b["payloads"])})
            return 200, done
        if rest == "points/delete":
            for i in data["points"]:
                points.pop(i, None)
            return 200, done
        q, wanted = data["query"], data["filter"]["must"][0]["match"]["value"]
        scored = [(sum(a * b for a, b in zip(q, v)) / math.sqrt(sum(b * b for b in v) or 1), i)
                  for i, (v, p) in points.items() if p["model"] == wanted]
        scored.sort(reverse=True)
        return 200, {"points": [{"id": i, "version": 1, "score": s} for s, i in scored[:data["limit"]]]}
