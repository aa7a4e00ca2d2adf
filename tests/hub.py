"""A stand-in for the Hugging Face Hub on loopback: what pushing and fetching one repository asks of its API.

Text goes into a commit within the request, everything else by Git LFS before it, as on the Hub.
"""

from __future__ import annotations

import base64
import hashlib
import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

Files = dict[str, bytes]


class Hub(ThreadingHTTPServer):
    """Serves a repository to whoever has the token.

    Attributes:
        created: what the repository was created with, of which there is none before.
        commits: files by commit.
        refs: commit by branch or tag.
    """

    def __init__(self, token: str) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.token = token
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.created: dict[str, Any] = {}
        self.large: Files = {}
        self.commits: dict[str, Files] = {"0" * 40: {}}
        self.refs = {"main": "0" * 40}

    def commit_of(self, revision: str) -> str | None:
        """Return the commit that a branch, tag or commit's own name means, None if there is none."""
        commit = self.refs.get(revision, revision)
        return commit if commit in self.commits else None

    def commit(self, lines: list[dict[str, Any]]) -> str:
        """Add and delete files of main, as the lines of a commit's request say."""
        files = dict(self.commits[self.refs["main"]])
        for line in lines:
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.large[value["oid"]]
            elif line["key"] == "deletedFile":
                del files[value["path"]]
        self.refs["main"] = hashlib.sha1(str(sorted(files.items())).encode()).hexdigest()
        self.commits[self.refs["main"]] = files
        return self.refs["main"]


class Answer(BaseHTTPRequestHandler):
    """Answers one request."""

    server: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def answer(self) -> None:
        """Answer by method and path."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        hub, parts = self.server, unquote(urlsplit(self.path).path).strip("/").split("/")
        is_open = parts[0] == "storage" or parts == ["api", "validate-yaml"]
        if self.headers.get("Authorization") != f"Bearer {hub.token}" and not is_open:
            return self.send({"error": "Invalid username or password."}, 401)
        match self.command, parts:
            case "POST", ["api", "repos", "create"]:
                hub.created = json.loads(body)
                self.send({"url": f"{hub.url}/{hub.created['organization']}/{hub.created['name']}"})
            case "POST", ["api", "validate-yaml"]:
                self.send({"errors": [], "warnings": []})
            case "POST", ["api", "models", _, _, "preupload", "main"]:
                self.send({"files": [upload_mode(file) for file in json.loads(body)["files"]]})
            case "POST", [_, _, "info", "lfs", "objects", "batch"]:
                objects = [{**o, "actions": {"upload": {"href": f"{hub.url}/storage/{o['oid']}"}}}
                           for o in json.loads(body)["objects"]]  # fmt: skip
                self.send({"transfer": "basic", "objects": objects})
            case "PUT", ["storage", oid]:
                hub.large[oid] = body
                self.send({}, 200 if hashlib.sha256(body).hexdigest() == oid else 400)
            case "POST", ["api", "models", owner, name, "commit", "main"]:
                commit = hub.commit([json.loads(line) for line in body.splitlines()])
                self.send({"commitOid": commit, "commitUrl": f"{hub.url}/{owner}/{name}/commit/{commit}"})
            case "POST", ["api", "models", _, _, "tag", revision]:
                tag = json.loads(body)["tag"]
                self.send({}, 409 if tag in hub.refs else 200)  # a tag does not move
                hub.refs.setdefault(tag, hub.refs[revision])
            case "DELETE", ["api", "models", _, _, "tag", tag] if tag in hub.refs:
                del hub.refs[tag]
                self.send({})
            case "GET", ["api", "models", _, _, "refs"]:
                refs = [{"name": n, "ref": f"refs/{n}", "targetCommit": c} for n, c in hub.refs.items()]
                self.send({"branches": refs[:1], "tags": refs[1:], "converts": []})
            case "GET", ["api", "models", owner, name, "revision", revision] if commit := hub.commit_of(revision):
                siblings = [{"rfilename": path} for path in hub.commits[commit]]
                self.send({"id": f"{owner}/{name}", "sha": commit, "siblings": siblings})
            case "GET", ["api", "models", _, _, "tree", revision] if commit := hub.commit_of(revision):
                self.send([entry(path, content) for path, content in hub.commits[commit].items()])
            case "GET" | "HEAD", [_, _, "resolve", revision, *path] if commit := hub.commit_of(revision):
                content = hub.commits[commit]["/".join(path)]
                self.send(content, ETag=f'"{hashlib.sha1(content).hexdigest()}"', **{"X-Repo-Commit": commit})
            case _:
                self.send({"error": f"no answer to {self.command} {self.path}"}, 404)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = answer  # noqa: N815, the names that http.server looks for

    def send(self, content: Any, status: int = 200, **headers: str) -> None:
        """Send bytes, or anything else as JSON."""
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)


def upload_mode(file: dict[str, Any]) -> dict[str, Any]:
    """Return how a file comes in, by a sample of its content."""
    text = b"\0" not in base64.b64decode(file["sample"])
    return {"path": file["path"], "uploadMode": "regular" if text else "lfs", "shouldIgnore": False}


def entry(path: str, content: bytes) -> dict[str, Any]:
    """Return a file as it is listed."""
    return {"type": "file", "path": path, "oid": hashlib.sha1(content).hexdigest(), "size": len(content)}
