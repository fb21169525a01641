"""The port: gRPC and REST beside each other, as the official emulator has them.

A connection that begins with HTTP/2's preface is handed on to the gRPC server, which listens on a port of its own;
any other is REST, with JSON as Google's references have it.
"""

from __future__ import annotations

import contextlib
import json
import re
import socket
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

import grpc  # type: ignore[import-untyped]

from gapless.stack.pubsub.broker import Rejected
from gapless.stack.pubsub.service import Method

_PREFACE = b"PRI"
_CALLS = 32  # at a time over gRPC, waiting pulls included
_MOST_BYTES = 11 * 2**20  # of a request; Pub/Sub takes 10 MB
_STATUS = {"NOT_FOUND": 404, "ALREADY_EXISTS": 409, "INVALID_ARGUMENT": 400, "OUT_OF_RANGE": 400, "UNIMPLEMENTED": 501}


class Front(ThreadingHTTPServer):
    """Listens when it is made; `serve_forever` answers until `shutdown`."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, host: str, port: int, methods: Sequence[Method]) -> None:
        super().__init__((host, port), _Connection)
        self.routes = [(method.verb, re.compile(f"/v1/{method.path}"), method) for method in methods]
        self._grpc = grpc.server(
            ThreadPoolExecutor(_CALLS),
            handlers=[_Calls(methods)],
            options=[("grpc.max_receive_message_length", _MOST_BYTES), ("grpc.max_send_message_length", -1)],
        )
        self.grpc_port = self._grpc.add_insecure_port("127.0.0.1:0")
        self._grpc.start()

    def server_close(self) -> None:
        super().server_close()
        self._grpc.stop(grace=1).wait()


class _Calls(grpc.GenericRpcHandler):  # type: ignore[misc]
    """gRPC: every method of the list, and a sentence for the others."""

    def __init__(self, methods: Sequence[Method]) -> None:
        self._methods = {method.name: _handler(method) for method in methods}

    def service(self, details: Any) -> Any:
        return self._methods.get(details.method) or _unknown(details.method)


def _handler(method: Method) -> Any:
    def call(request: Any, context: Any) -> Any:
        try:
            return method.call(request, context.time_remaining() or 60.0)
        except Rejected as error:
            return context.abort(grpc.StatusCode[error.status], str(error))

    serialize = method.answer.serialize if method.answer else lambda _nothing: b""  # an Empty has no bytes
    return grpc.unary_unary_rpc_method_handler(call, method.request.deserialize, serialize)


def _unknown(name: str) -> Any:
    def call(_requests: Any, context: Any) -> Any:
        context.abort(
            grpc.StatusCode.UNIMPLEMENTED,
            f"the stack's own Pub/Sub has no {name.lstrip('/')}; the official emulator may have it",
        )
        yield b""

    return grpc.stream_stream_rpc_method_handler(call)


class _Connection(BaseHTTPRequestHandler):
    """One connection: gRPC is handed on, REST is answered here."""

    server: Front
    protocol_version = "HTTP/1.1"

    def handle(self) -> None:
        with contextlib.suppress(OSError):
            if self.connection.recv(len(_PREFACE), socket.MSG_PEEK | socket.MSG_WAITALL) == _PREFACE:
                _join(self.connection, self.server.grpc_port)
            else:
                super().handle()

    def do_GET(self) -> None:
        if self.path == "/":
            self._answer(200, b"Ok\n", "text/plain")
        else:
            self._call()

    def _call(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        content = self.rfile.read(length).decode(errors="replace")
        try:
            self._answer(200, self._called(content).encode(), "application/json")
        except Rejected as error:
            code = _STATUS.get(error.status, 500)
            told = {"error": {"code": code, "message": str(error), "status": error.status}}
            self._answer(code, json.dumps(told).encode(), "application/json")

    do_PUT = do_POST = do_DELETE = do_PATCH = _call  # noqa: N815

    def _called(self, content: str) -> str:
        path = unquote(urlsplit(self.path).path)
        for verb, pattern, method in self.server.routes:
            if verb == self.command and (match := pattern.fullmatch(path)):
                return _called(method, content, match.groupdict())
        raise Rejected("UNIMPLEMENTED", f"the stack's own Pub/Sub has no {self.command} {path}")

    def _answer(self, status: int, content: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Nothing: the broker tells what matters."""


def _called(method: Method, content: str, fields: Mapping[str, str]) -> str:
    """Call a method with a JSON body and the fields that the path holds; the answer as JSON."""
    try:
        request = method.request.from_json(content or "{}")
    except Exception as error:  # the library has one of its own for every way to be wrong
        raise Rejected("INVALID_ARGUMENT", f"Payload isn't valid for request: {error}") from error
    for name, value in fields.items():
        setattr(request, name, value)
    answer = method.call(request, 60.0)
    if method.answer is None:
        return "{}"
    return str(method.answer.to_json(answer, always_print_fields_with_no_presence=False))


def _join(client: socket.socket, port: int) -> None:
    """Copy between two connections until both ends have said all they have to say."""
    with socket.create_connection(("127.0.0.1", port)) as server:
        for each in (client, server):
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        back = threading.Thread(target=_copy, args=(server, client), daemon=True)
        back.start()
        _copy(client, server)
        back.join()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while content := source.recv(1 << 16):
            target.sendall(content)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)
