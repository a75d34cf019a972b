"""Stands between a run and the S3 server, and does harm on the way: connections cut, stalled or answered by nobody."""

import contextlib
import socket
import struct
import threading
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from urllib.parse import parse_qs, unquote, urlparse


@dataclass
class Request:
    """What was asked of the server."""

    method: str
    target: str
    head: bytes
    body: bytes

    @property
    def path(self):
        return unquote(urlparse(self.target).path)

    @property
    def kind(self):
        query = parse_qs(urlparse(self.target).query, keep_blank_values=True)
        match self.method:
            case "GET":
                return "list" if "list-type" in query else "read"
            case "PUT":
                return "part" if "partNumber" in query else "put"
            case "POST" if "delete" in query:
                return "delete"
            case "POST":
                return "begin" if "uploads" in query else "complete"
            case "DELETE":
                return "abort" if "uploadId" in query else "delete"
        return self.method.lower()


class Proxy:
    """Forwards requests one by one to `endpoint`, as the script says:

    - None: as it is
    - ("before", do), ("half-way", do), ("after", do): `do(request)` before the server has anything of it, when it
      has half of the body, or when it has answered; then the connection is reset
    - ("stall", event): half of it is taken, and nothing more happens until the event
    - ("stall answer", event): the server answers, and half of that is handed on until the event
    - (status, headers, body): the server is not asked
    """

    def __init__(self, endpoint):
        self._server = urlparse(endpoint)
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self._lock = threading.Lock()
        self.endpoint = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.requests = []
        self._script = None
        self._ready = threading.Event()
        self._ready.set()

    def __enter__(self):
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._listener.close()

    @contextlib.contextmanager
    def watching(self):
        """Requests wait until there is a script, which lasts to the end."""
        self._ready.clear()
        self.requests = []

        def script(script):
            self._script = script
            self._ready.set()

        try:
            yield script
        finally:
            self._script = None
            self._ready.set()

    @contextlib.contextmanager
    def doing(self, script):
        with self.watching() as begin:
            begin(script)
            yield self

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        with client, contextlib.suppress(OSError, HTTPException), client.makefile("rb") as reader:
            while request := self._read(reader, client):
                self._ready.wait()
                with self._lock:
                    self.requests.append(request)
                    action = self._script(len(self.requests), request) if self._script else None
                match action:
                    case None:
                        self._answer(client, request, self._ask(request))
                    case ("before", do):
                        do(request)
                        return self._reset(client)
                    case ("half-way", do):
                        with self._connect() as server:
                            server.sendall(request.head + request.body[: len(request.body) // 2])
                            do(request)
                            self._reset(server)
                        return self._reset(client)
                    case ("after", do):
                        self._ask(request)
                        do(request)
                        return self._reset(client)
                    case ("stall", event):
                        event.wait()
                        return self._reset(client)
                    case ("stall answer", event):
                        status, headers, body = self._ask(request)
                        self._answer(client, request, (status, headers, body), half=True)
                        event.wait()
                        return self._reset(client)
                    case (int(), _, _):
                        self._answer(client, request, action)

    def _read(self, reader, client):
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            if not (line := reader.readline()):
                return None
            head += line
        method, target, _ = head.split(b"\r\n")[0].decode().split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(b":") for line in head.split(b"\r\n")[1:])}
        if headers.get(b"expect", b"").lower() == b"100-continue":
            client.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        length = int(headers.get(b"content-length", 0))
        body = reader.read(length)
        return Request(method, target, head, body) if len(body) == length else None

    def _connect(self):
        return socket.create_connection((self._server.hostname, self._server.port), timeout=60)

    def _ask(self, request):
        with self._connect() as server:
            server.sendall(request.head + request.body)
            answer = HTTPResponse(server, method=request.method)
            answer.begin()
            return answer.status, answer.getheaders(), answer.read()

    def _answer(self, client, request, answer, half=False):
        status, headers, body = answer
        own = {"transfer-encoding", "connection", "content-length"}
        length = dict((name.lower(), value) for name, value in headers).get("content-length", len(body))
        lines = [f"HTTP/1.1 {status} -", *(f"{name}: {value}" for name, value in headers if name.lower() not in own)]
        if status not in (204, 304):
            lines.append(f"Content-Length: {length if request.method == 'HEAD' else len(body)}")
        client.sendall("\r\n".join([*lines, "", ""]).encode("latin-1") + body[: len(body) // 2 if half else None])

    def _reset(self, end):
        # so that closing sends RST
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        end.close()
