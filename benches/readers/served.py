"""A lake in a folder, served as S3 serves it, each request a fixed time after it arrived: only what readers need (lists and reads)."""

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, quote, unquote, urlsplit
from xml.sax.saxutils import escape

PAGE = 1000


class Served:
    """`s3://b/lake`, at `endpoint`; counts its requests."""

    def __init__(self, folder, delay):
        self.folder, self.delay, self.requests = Path(folder), delay, 0
        self.names, self._lock = [], threading.Lock()
        self.look()
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                server.respond(self)

            do_HEAD = do_GET

            def log_message(self, *_):
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 256

        self._server = Server(("127.0.0.1", 0), Handler)
        self.endpoint = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def look(self):
        """Lists the folder again."""
        self.names = sorted(f"lake/{path.relative_to(self.folder).as_posix()}" for path in self.folder.rglob("*") if path.is_file())

    def close(self):
        self._server.shutdown()

    def path(self, name):
        return self.folder / name.removeprefix("lake/")

    def etag(self, name):
        """As the extractor knows the file: the index that was written on disk counts here, as one that was written on S3 does."""
        found = self.path(name).stat()
        return f'"{found.st_ino:x}-{found.st_mtime_ns // 1000:x}-{found.st_size:x}"'

    def respond(self, handler):
        with self._lock:
            self.requests += 1
        time.sleep(self.delay)
        url = urlsplit(handler.path)
        name = unquote(url.path).removeprefix("/b").lstrip("/")
        if not name:
            return self.send(handler, 200, self.listed(parse_qs(url.query)))
        try:
            content = self.path(name).read_bytes()
        except OSError:
            return self.send(handler, 404, b"<Error><Code>NoSuchKey</Code><Message>no such key</Message></Error>")
        headers = {"ETag": self.etag(name), "Last-Modified": "Fri, 05 Jan 2024 00:00:00 GMT"}
        wanted = handler.headers.get("Range")
        if wanted is None:
            return self.send(handler, 200, content, headers)
        first, last = wanted.removeprefix("bytes=").split("-")
        start = max(0, len(content) - int(last)) if not first else int(first)
        end = len(content) if not first or not last else min(len(content), int(last) + 1)
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{len(content)}"
        self.send(handler, 206, content[start:end], headers)

    def listed(self, query):
        prefix, after = query.get("prefix", [""])[0], query.get("continuation-token", [""])[0]
        found = [name for name in self.names if name.startswith(prefix) and name > after]
        page = found[:PAGE]
        contents = "".join(
            f"<Contents><Key>{escape(quote(name, safe='/=.-_'))}</Key><LastModified>2024-01-05T00:00:00.000Z</LastModified>"
            f"<ETag>{escape(self.etag(name), {chr(34): '&quot;'})}</ETag><Size>{self.path(name).stat().st_size}</Size></Contents>"
            for name in page
        )
        more = "<IsTruncated>false</IsTruncated>"
        if len(found) > PAGE:
            more = f"<IsTruncated>true</IsTruncated><NextContinuationToken>{escape(page[-1])}</NextContinuationToken>"
        return f"<?xml version='1.0'?><ListBucketResult><Name>b</Name>{more}{contents}</ListBucketResult>".encode()

    @staticmethod
    def send(handler, status, body, headers=None):
        handler.send_response(status)
        for name, value in (headers or {}).items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        if handler.command != "HEAD":
            handler.wfile.write(body)
