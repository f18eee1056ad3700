"""A webhook on this machine that answers as it is told to, and keeps what it took."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Webhook:
    """The server: its address, its next answers (200 when there are no more), what it was sent."""

    url: str = ""
    answers: list[int] = field(default_factory=list)
    taken: list[dict[str, Any]] = field(default_factory=list)
    asked: int = 0
    hangs: threading.Event = field(default_factory=threading.Event)

    def ids(self) -> list[str]:
        return [alarm["id"] for alarm in self.taken]


@contextmanager
def webhook_server() -> Iterator[Webhook]:
    """A server while the context lasts. An answer of 0 means none until the context ends."""
    hook = Webhook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            hook.asked += 1
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            answer = hook.answers.pop(0) if hook.answers else 200
            if answer == 0:
                hook.hangs.wait(30)
                return
            if answer == 200:
                hook.taken.append(body)
            self.send_response(answer)
            if 300 <= answer < 400:
                self.send_header("Location", hook.url)
            self.end_headers()

        do_GET = do_POST

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        hook.url = f"http://127.0.0.1:{server.server_address[1]}/key-1234"
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield hook
        finally:
            hook.hangs.set()
            server.shutdown()
            thread.join()
