"""A stand-in for the Hugging Face hub on this machine: the few addresses that publishing asks, and faults on demand."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "hf_StandInTokenThatNobodyMayEverSee"


@dataclass
class Hub:
    """What the stand-in holds: repositories with their files, uploads by hash; `fault` is met once at each address
    that holds it in its path."""

    address: str = ""
    repositories: dict[str, dict[str, bytes]] = field(default_factory=dict)
    uploads: dict[str, bytes] = field(default_factory=dict)
    private: dict[str, bool] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    fault: str = ""

    def owner(self) -> str:
        return "mira"


def _handler(hub: Hub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None:
            pass

        def _body(self) -> bytes:
            if self.headers.get("Transfer-Encoding") == "chunked":
                data = b""
                while size := int(self.rfile.readline(), 16):
                    data += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
                return data
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))

        def _answer(self, status: int, value: Any = None) -> None:
            data = json.dumps({} if value is None else value).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def _any(self) -> None:
            body = self._body()
            hub.requests.append(f"{self.command} {self.path}")
            if hub.fault and hub.fault in self.path:
                # The line is cut: no answer, not even a bad one.
                self.close_connection = True
                self.connection.close()
                return
            if "/uploads/" in self.path:
                hub.uploads[self.path.rpartition("/")[2]] = body
                self._answer(200)
                return
            if self.headers.get("Authorization") != f"Bearer {TOKEN}":
                self._answer(401, {"error": "Invalid credentials in Authorization header"})
                return
            self._route(body)

        do_GET = do_POST = do_PUT = _any

        def _route(self, body: bytes) -> None:
            path = self.path.partition("?")[0]
            if path == "/api/whoami-v2":
                self._answer(200, {"name": hub.owner(), "type": "user"})
            elif path == "/api/repos/create":
                asked = json.loads(body)
                name = f"{asked.get('organization') or hub.owner()}/{asked['name']}"
                taken = name in hub.repositories
                if not taken:
                    hub.repositories[name] = {}
                    hub.private[name] = asked.get("visibility") == "private" or bool(asked.get("private"))
                self._answer(409 if taken else 200, {"url": f"{hub.address}/{name}", "error": "You already created"})
            elif path == "/api/validate-yaml":
                self._answer(200, {"errors": [], "warnings": []})
            elif "/preupload/" in path:
                files = json.loads(body)["files"]
                modes = [
                    {
                        "path": file["path"],
                        "uploadMode": "lfs" if file["path"].endswith((".safetensors", ".png")) else "regular",
                        "shouldIgnore": False,
                        "oid": None,
                    }
                    for file in files
                ]
                self._answer(200, {"files": modes})
            elif path.endswith("/info/lfs/objects/batch"):
                objects = []
                for one in json.loads(body)["objects"]:
                    there = one["oid"] in hub.uploads
                    action = {"upload": {"href": f"{hub.address}/uploads/{one['oid']}", "header": {}}}
                    objects.append({**one} if there else {**one, "actions": action})
                self._answer(200, {"transfer": "basic", "objects": objects})
            elif "/commit/" in path:
                name = path.split("/api/models/")[1].split("/commit/")[0]
                for line in body.splitlines():
                    row = json.loads(line)
                    value = row["value"]
                    if row["key"] == "file":
                        hub.repositories[name][value["path"]] = base64.b64decode(value["content"])
                    elif row["key"] == "lfsFile":
                        hub.repositories[name][value["path"]] = hub.uploads[value["oid"]]
                self._answer(
                    200, {"commitUrl": f"{hub.address}/{name}/commit/1", "commitOid": "0" * 40, "success": True}
                )
            else:
                self._answer(404, {"error": "Not found"})

    return Handler


@contextmanager
def serving() -> Iterator[Hub]:
    """A hub that answers while the block runs."""
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(hub))
    server.daemon_threads = True
    hub.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
