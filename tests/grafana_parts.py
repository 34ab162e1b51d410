"""A stand-in for Grafana: its documented HTTP API of dashboards and folders, with a memory."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

from jsonschema import Draft7Validator

Json = dict[str, Any]
Answer = tuple[int, Any]

TOKEN = "glsa_a-token"

# What the documentation lists as the body of POST /api/dashboards/db; a wrong name would be
# ignored by Grafana, and a folder or a message silently be lost.
_SAVING = {
    "type": "object",
    "required": ["dashboard", "overwrite"],
    "additionalProperties": False,
    "properties": {
        "dashboard": {
            "type": "object",
            "required": ["uid", "title", "id", "version"],
            "properties": {"id": {"type": ["integer", "null"]}, "version": {"type": "integer"}},
        },
        "folderUid": {"type": "string", "maxLength": 40},
        "message": {"type": "string"},
        "overwrite": {"type": "boolean"},
    },
}
_FOLDER = {
    "type": "object",
    "required": ["title"],
    "additionalProperties": False,
    "properties": {
        "uid": {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,40}$"},
        "title": {"type": "string", "minLength": 1},
    },
}


@dataclass
class Request:
    """What was received."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any


@dataclass
class Grafana:
    """What it keeps, and what it answers out of turn.

    Attributes:
        url: Its address, with `prefix`.
        dashboards: Documents by uid.
        places: Uid of each dashboard's folder.
        versions: Messages of each dashboard's versions.
        folders: Titles by uid.
        provisioned: Uids of dashboards that come from files.
        received: All requests.
        answers: By method and path: status, headers and body instead of the usual answer.
        prefix: Path below which it is served.

    """

    url: str
    prefix: str = ""
    dashboards: dict[str, Json] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)
    versions: dict[str, list[str]] = field(default_factory=dict)
    folders: dict[str, str] = field(default_factory=dict)
    provisioned: set[str] = field(default_factory=set)
    received: list[Request] = field(default_factory=list)
    answers: dict[tuple[str, str], tuple[int, dict[str, str], str]] = field(default_factory=dict)

    def writes(self) -> list[Request]:
        """Give the requests that change something."""
        return [each for each in self.received if each.method != "GET"]

    def refuse(self, method: str, path: str, status: int, body: str = "{}", **headers: str) -> None:
        """Answer a request out of turn."""
        self.answers[method, path] = (status, headers, body)

    def answer(self, request: Request) -> Answer:  # noqa: PLR0911 - one for each address
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            return 401, {"message": "Invalid API key"}
        path = unquote(urlsplit(request.path).path.removeprefix(self.prefix))
        match request.method, path.removeprefix("/api/").split("/"):
            case "GET", ["dashboards", "uid", uid]:
                return self._show(uid)
            case "POST", ["dashboards", "db"]:
                return self._save(request.body)
            case "GET", ["folders", uid]:
                if uid not in self.folders:
                    return 404, {"message": "folder not found", "status": "not-found"}
                return 200, {"uid": uid, "title": self.folders[uid], "version": 1}
            case "GET", ["folders"]:
                listed = [{"uid": uid, "title": title} for uid, title in self.folders.items()]
                return 200, listed
            case "POST", ["folders"]:
                return self._create(request.body)
        return 404, {"message": "Not found"}

    def _show(self, uid: str) -> Answer:
        if uid not in self.dashboards:
            return 404, {"message": "Dashboard not found"}
        meta = {
            "folderUid": self.places[uid],
            "provisioned": uid in self.provisioned,
            "url": f"{self.prefix}/d/{uid}/slug",
        }
        return 200, {"dashboard": self.dashboards[uid], "meta": meta}

    def _save(self, body: Json) -> Answer:  # noqa: PLR0911 - one for each refusal
        if faults := [each.message for each in Draft7Validator(_SAVING).iter_errors(body)]:
            return 400, {"message": "bad request data", "faults": faults}
        document, folder = body["dashboard"], body.get("folderUid", "")
        uid, title = document["uid"], document["title"]
        if uid in self.provisioned:
            return 400, {"message": "Cannot save provisioned dashboard"}
        if folder and folder not in self.folders:
            return 404, {"message": "folder not found", "status": "not-found"}
        if uid in self.folders:
            return 400, {"message": "Dashboard cannot be changed to a folder"}
        if not body["overwrite"]:
            there = self.dashboards.get(uid, {"version": 0})["version"]
            if document["version"] != there:
                message = "The dashboard has been changed by someone else"
                return 412, {"message": message, "status": "version-mismatch"}
            for other, kept in self.dashboards.items():
                if other != uid and (kept["title"], self.places[other]) == (title, folder):
                    message = "A dashboard with the same name in the folder already exists"
                    return 412, {"message": message, "status": "name-exists"}
        version = self.dashboards.get(uid, {"version": 0})["version"] + 1
        number = [*self.dashboards, uid].index(uid) + 1
        self.dashboards[uid] = {**document, "id": number, "version": version}
        self.places[uid] = folder
        self.versions.setdefault(uid, []).append(body.get("message", ""))
        return 200, {
            "id": number, "uid": uid, "url": f"{self.prefix}/d/{uid}/slug",
            "status": "success", "version": version, "slug": "slug",
        }  # fmt: skip

    def _create(self, body: Json) -> Answer:
        if not Draft7Validator(_FOLDER).is_valid(body):
            return 400, {"message": "bad request data"}
        if body["uid"] in {*self.folders, *self.dashboards}:
            return 412, {"message": "the folder has been changed by someone else"}
        if body["title"] in self.folders.values():
            return 409, {"message": "a folder with that name already exists"}
        self.folders[body["uid"]] = body["title"]
        return 200, {"uid": body["uid"], "title": body["title"], "version": 1}


@contextmanager
def serve_grafana(prefix: str = "") -> Iterator[Grafana]:
    """Serve a stand-in on a loopback port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._handle()

        def do_POST(self) -> None:
            self._handle()

        def _handle(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            headers = {name.lower(): value for name, value in self.headers.items()}
            request = Request(self.command, self.path, headers, body)
            grafana.received.append(request)
            path = urlsplit(self.path).path.removeprefix(prefix)
            if special := grafana.answers.get((self.command, path)):
                status, extra, text = special
            else:
                status, answer = grafana.answer(request)
                extra, text = {"Content-Type": "application/json"}, json.dumps(answer)
            self.send_response(status)
            for name, value in extra.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        grafana = Grafana(f"http://127.0.0.1:{server.server_port}{prefix}", prefix)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield grafana
        finally:
            server.shutdown()
            thread.join()
