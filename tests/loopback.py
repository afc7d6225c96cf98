"""A web server on loopback that speaks the hub's protocol and serves owners' files too, and that can be told to misbehave.

``python tests/loopback.py`` is no command: tests/data/conftest.py and tests/hub_world.py start it.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import json
import threading
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

from xlt.data.download.transfer import RetryPolicy

COMMIT = "c0ffee" * 6 + "beef"
QUICK = RetryPolicy(attempts=3, first_wait=0.01, longest_wait=0.5, connect=2.0, silence=0.7)


@dataclass(frozen=True)
class Fault:
    """One bad answer. ``kind``: status, stall, cut, corrupt, no-etag, no-commit, no-length, no-range, endless."""

    kind: str
    status: int = 0
    headers: tuple[tuple[str, str], ...] = ()
    after: int | None = None  # bytes that are sent before it shows; None: half of them


@dataclass
class Repository:
    """The files of one commit; a branch name resolves to it."""

    files: dict[str, bytes]
    commit: str = COMMIT


@dataclass
class Loopback:
    """What is served, how, and what was asked for."""

    repositories: dict[str, Repository] = field(default_factory=dict)  # "datasets/owner/name" or "owner/name"
    files: dict[str, bytes] = field(default_factory=dict)  # "/path" of an owner's server
    faults: dict[str, list[Fault]] = field(default_factory=dict)  # end of a path -> the answers to the next GETs
    head_faults: dict[str, list[Fault]] = field(default_factory=dict)
    redirect: bool = False
    pause: float = 0.0  # seconds between blocks of 64 KiB
    requests: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    stopped: threading.Event = field(default_factory=threading.Event)
    url: str = ""

    def __enter__(self) -> Loopback:
        handler = type("Bound", (Handler,), {"hub": self})
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stopped.set()
        self._server.shutdown()
        self._server.server_close()

    def fault(self, method: str, path: str) -> Fault | None:
        table = self.faults if method == "GET" else self.head_faults
        for end, waiting in table.items():
            if path.endswith(end) and waiting:
                return waiting.pop(0)
        return None

    def asked(self, method: str, end: str) -> list[dict[str, str]]:
        """The headers of the requests for a path that ends so."""
        return [headers for verb, path, headers in list(self.requests) if verb == method and path.endswith(end)]


def etag_of(content: bytes) -> str:
    """As on the hub: the SHA-256 of a large file (here: above 1000 bytes), git's name of a small one."""
    if len(content) > 1000:
        return hashlib.sha256(content).hexdigest()
    return hashlib.sha1(f"blob {len(content)}\0".encode() + content, usedforsecurity=False).hexdigest()


class Handler(http.server.BaseHTTPRequestHandler):
    """One request."""

    hub: Loopback
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer("HEAD")

    def do_GET(self) -> None:
        self._answer("GET")

    def _answer(self, method: str) -> None:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            path = unquote(urlsplit(self.path).path)
            self.hub.requests.append((method, path, dict(self.headers)))
            fault = self.hub.fault(method, path)
            if fault is not None and fault.kind == "status":
                self._plain(fault.status, b"", dict(fault.headers))
            elif path.startswith("/api/"):
                self._api(path.removeprefix("/api/"))
            elif "/resolve/" in path:
                self._resolve(method, path, fault)
            else:
                content = self.hub.files.get(path)
                if content is None:
                    self._plain(404, b"")
                else:
                    self._send(method, content, {"ETag": f'"{etag_of(content)}"'}, fault)

    def _plain(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for key, value in {**(headers or {}), "Content-Length": str(len(body))}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def _repository(self, name: str, revision: str) -> Repository | None:
        found = self.hub.repositories.get(name)
        if found is None:
            self._plain(404, b"", {"X-Error-Code": "RepoNotFound"})
        elif revision not in ("main", found.commit):
            self._plain(404, b"", {"X-Error-Code": "RevisionNotFound"})
        else:
            return found
        return None

    def _api(self, rest: str) -> None:
        kind, _, rest = rest.partition("/")
        name, _, revision = rest.partition("/revision/")
        found = self._repository(f"datasets/{name}" if kind == "datasets" else name, revision or "main")
        if found is not None:
            siblings = [{"rfilename": file} for file in found.files]
            body = json.dumps({"id": name, "sha": found.commit, "siblings": siblings}).encode()
            self._plain(200, body, {"Content-Type": "application/json"})

    def _resolve(self, method: str, path: str, fault: Fault | None) -> None:
        name, _, rest = path.strip("/").partition("/resolve/")
        revision, _, file = rest.partition("/")
        found = self._repository(name, revision)
        if found is None:
            return
        content = found.files.get(file)
        if content is None:
            self._plain(404, b"", {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": found.commit})
            return
        headers = {"ETag": f'"{etag_of(content)}"', "X-Repo-Commit": found.commit}
        if self.hub.redirect:
            place = f"/cdn/{name}/{file}"
            self.hub.files[place] = content
            linked = {"X-Linked-Etag": headers["ETag"], "X-Linked-Size": str(len(content))}
            self._plain(302, b"", {**headers, **linked, "Location": f"{self.hub.url}{place}?Signature=secret"})
            return
        self._send(method, content, headers, fault)

    def _send(self, method: str, content: bytes, headers: dict[str, str], fault: Fault | None) -> None:
        kind = fault.kind if fault else ""
        dropped = {"no-etag": "ETag", "no-commit": "X-Repo-Commit"}.get(kind)
        headers = {key: value for key, value in headers.items() if key != dropped}
        begin = 0
        given = self.headers.get("Range", "").removeprefix("bytes=").partition("-")[0]
        condition = self.headers.get("If-Range")
        if given and kind != "no-range" and condition in (None, headers.get("ETag")):
            begin = int(given)
            if begin >= len(content):
                self._plain(416, b"", {"Content-Range": f"bytes */{len(content)}"})
                return
        self.send_response(206 if begin else 200)
        if begin:
            headers["Content-Range"] = f"bytes {begin}-{len(content) - 1}/{len(content)}"
        body = content[begin:]
        if kind == "no-length":
            headers["Connection"] = "close"
            self.close_connection = True
        else:
            headers["Content-Length"] = str(len(body))
        for key, value in {**headers, "Accept-Ranges": "bytes"}.items():
            self.send_header(key, value)
        self.end_headers()
        if method == "GET":
            self._body(body, fault)

    def _body(self, body: bytes, fault: Fault | None) -> None:
        kind = fault.kind if fault else ""
        stop = len(body) // 2 if fault is None or fault.after is None else fault.after
        if kind == "corrupt":
            body = body[:stop] + bytes([body[stop] ^ 1]) + body[stop + 1 :]
        if kind in ("cut", "stall"):
            self.wfile.write(body[:stop])
            self.wfile.flush()
            if kind == "stall":
                self.hub.stopped.wait(20)
            self.close_connection = True
            return
        for start in range(0, len(body), 65536):
            self.wfile.write(body[start : start + 65536])
            if self.hub.pause:
                time.sleep(self.hub.pause)
