"""As much of a model hub as an upload and a download ask for, on this machine and in memory."""

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import unquote

COMMIT = "0" * 40


class _Hub(BaseHTTPRequestHandler):
    server: "_Server"

    def _answer(self, body: bytes, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), "X-Repo-Commit": COMMIT, **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _json(self, value: object) -> None:
        self._answer(json.dumps(value).encode(), Content_Type="application/json")

    def do_POST(self) -> None:
        sent = self.rfile.read(int(self.headers["Content-Length"]))
        files = self.server.files
        if self.path.endswith("/repos/create"):
            told = json.loads(sent)
            self._json({"url": f"http://{self.headers['Host']}/{told['organization']}/{told['name']}"})
        elif "/preupload/" in self.path:
            named = [{"path": one["path"], "uploadMode": "regular"} for one in json.loads(sent)["files"]]
            self._json({"files": [{**one, "shouldIgnore": False} for one in named]})
        elif "/commit/" in self.path:
            for line in map(json.loads, sent.splitlines()):
                if line["key"] == "file":
                    files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
            name = self.path.partition("/api/models/")[2].partition("/commit/")[0]
            url = f"http://{self.headers['Host']}/{name}/commit/{COMMIT}"
            self._json({"commitUrl": url, "commitOid": COMMIT})
        else:
            self._json({})

    def do_GET(self) -> None:
        files = self.server.files
        path = unquote(self.path.partition("?")[0])
        if found := re.fullmatch(r".*/resolve/\w+/(.*)", path):
            content = files.get(found[1])
            if content is None:
                self._answer(b"", 404, X_Error_Code="EntryNotFound")
            else:
                self._answer(content, ETag=f'"{hashlib.sha256(content).hexdigest()}"')
        elif "/tree/" in path:
            self._json(
                [{"type": "file", "path": name, "size": len(files[name]), "oid": "0"} for name in files]
            )
        else:
            self._json({"id": "me/model", "sha": COMMIT, "siblings": [{"rfilename": name} for name in files]})

    do_HEAD = do_GET

    def log_message(self, *_: object) -> None:
        """Nothing is printed."""


class _Server(ThreadingHTTPServer):
    files: dict[str, bytes]


@contextmanager
def local_hub() -> Iterator[tuple[str, dict[str, bytes]]]:
    """Its address, and what was uploaded, by name."""
    with _Server(("127.0.0.1", 0), _Hub) as server:
        server.files = {}
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", server.files
        finally:
            server.shutdown()
