"""A local server that plays what real ones do, and what it serves."""

import io
import json
import os
import tarfile
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np

from hmrcli.assets.registry import Registry


def npy(*shape: int) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.random.default_rng(0).random(shape))
    return buffer.getvalue()


BODY = npy(300, 500)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        self.query = {name: values[0] for name, values in parse_qs(url.query).items()}
        self.server.seen.append((url.path, dict(self.headers)))
        try:
            self.server.routes.get(url.path, missing)(self)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def head(self, status: int, **headers: Any) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()

    def log_message(self, *args: Any) -> None:
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.routes: dict[str, Callable[[Any], None]] = {}
        self.seen: list[tuple[str, dict[str, str]]] = []
        self.closing = threading.Event()
        self.url = f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # clients that hang up early are part of the plays

    def publish(self, registry: Registry, path: Path) -> dict[str, str]:
        """Writes the registry; gives the environment in which a process uses it."""
        document = registry.model_dump(mode="json", exclude_defaults=True)
        document["files"] = {asset.pop("name"): asset for asset in document["files"]}
        path.write_text(json.dumps(document))
        return {**os.environ, "HMR_REGISTRY": str(path), "PYTHONPATH": str(Path(__file__).parents[2])}

    def asked(self, path: str) -> list[dict[str, str]]:
        return [headers for seen, headers in self.seen if seen == path]

    def registry(self, **files: dict[str, Any]) -> Registry:
        assets = [
            {
                "group": "g",
                "path": f"sub/{name}",
                "about": "a test file",
                "licence": "l",
                "name": name,
                **fields,
            }
            for name, fields in files.items()
        ]
        licences = {"l": {"name": "L", "who": "testers", "page": "https://licence.example"}}
        return Registry.model_validate(
            {"drive": f"{self.url}/uc", "groups": {"g": "a group"}, "licences": licences, "files": assets}
        )

    def file(self, *paths: str, **fields: Any) -> Registry:
        return self.registry(**{"f.npy": {"sources": [{"url": self.url + path} for path in paths], **fields}})


def missing(handler: Any) -> None:
    handler.head(404, Content_Length=0)


def whole(body: bytes, **headers: Any) -> Callable[[Any], None]:
    def play(handler: Any) -> None:
        handler.head(200, Content_Length=len(body), **headers)
        handler.wfile.write(body)

    return play


def html(text: str, status: int = 200) -> Callable[[Any], None]:
    def play(handler: Any) -> None:
        body = text.encode()
        handler.head(status, Content_Length=len(body), Content_Type="text/html; charset=utf-8")
        handler.wfile.write(body)

    return play


def cut(body: bytes, at: int, **headers: Any) -> Callable[[Any], None]:
    def play(handler: Any) -> None:
        handler.head(200, Content_Length=len(body), **headers)
        handler.wfile.write(body[:at])
        handler.close_connection = True

    return play


def in_turn(*plays: Callable[[Any], None]) -> Callable[[Any], None]:
    remaining = iter(plays)
    return lambda handler: next(remaining)(handler)


def tar_of(**members: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()
