"""Counts the requests that pass on their way to a server: the answer to "what does it cost on S3?"."""

import socket
import threading
from urllib.parse import urlparse


class Counter:
    """Forwards connections to `endpoint`, and keeps the request lines, and Amazon's headers, that went through."""

    def __init__(self, endpoint):
        self._server = urlparse(endpoint)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.requests = []
        self.heads = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection((self._server.hostname, self._server.port))
            threading.Thread(target=self._pump, args=(client, server, True), daemon=True).start()
            threading.Thread(target=self._pump, args=(server, client, False), daemon=True).start()

    def _pump(self, source, sink, counted):
        try:
            while block := source.recv(1 << 16):
                if counted:
                    # heads are small and come in one piece; bodies hold no such line
                    lines = block.split(b"\r\n")
                    self.requests += [line for line in lines if line.endswith(b" HTTP/1.1")]
                    self.heads.update(line for line in lines if line.startswith(b"x-amz-"))
                sink.sendall(block)
        except OSError:
            pass
        finally:
            for end in (source, sink):
                try:
                    end.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._listener.close()
