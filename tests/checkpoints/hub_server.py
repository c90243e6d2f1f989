"""Local server with the Hub's routes and faults on demand, for the real client."""

import base64
import hashlib
import json
import re
import socket
import struct
from http.server import BaseHTTPRequestHandler
from urllib.parse import unquote, urlsplit

LARGE = (".safetensors", ".bin", ".pt", ".pth", ".onnx")


def git_digest(content):
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def sha256(content):
    return hashlib.sha256(content).hexdigest()


class Hub:
    """Repositories, stored blobs, and what goes wrong.

    ``faults``: by repository, the status, error code and headers of every answer about it.
    ``cuts``: by a file's sha256, after how many bytes each further answer breaks off.
    ``swaps``: by sha256, other content to send.
    ``troubles``: by a part of method and path, the answers of the next requests there: a status,
    with headers, a page, or a connection that is reset.
    """

    def __init__(self):
        self.repositories = {}
        self.blobs = {}
        self.plain = {}
        self.private = set()
        self.faults = {}
        self.cuts = {}
        self.swaps = {}
        self.seen = []
        self.troubles = {}
        self.token = "hf_sesame"
        self.commits = {}
        self.weak = False

    def add(self, repository, files):
        """Commit files; the commit's hash."""
        self.repositories.setdefault(repository, []).append(dict(files))
        self.blobs |= {sha256(content): content for content in files.values()}
        return self.commit(repository)

    def commit(self, repository, revision="main"):
        history = self.repositories[repository]
        hashes = [
            hashlib.sha1(f"{repository} {index}".encode()).hexdigest()
            for index in range(len(history))
        ]
        return hashes[-1] if revision == "main" else revision if revision in hashes else None

    def files(self, repository, revision):
        history = self.repositories[repository]
        return next(
            files
            for index, files in enumerate(history)
            if hashlib.sha1(f"{repository} {index}".encode()).hexdigest() == revision
        )

    def asked(self, method, part):
        return [headers for verb, path, headers in self.seen if verb == method and part in path]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    @property
    def hub(self):
        return self.server.hub

    def answer(self, status, body=b"", **headers):
        body = json.dumps(body).encode() if not isinstance(body, bytes) else body
        self.send_response(status)
        for key, value in ({"Content-Length": str(len(body))} | headers).items():
            self.send_header(key.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def about(self, repository):
        """Whether the repository may be spoken of; otherwise the refusal has been sent."""
        if repository in self.hub.faults:
            status, code, headers = self.hub.faults[repository]
            self.answer(
                status, {"error": "no"}, **({"X_Error_Code": code} if code else {}), **headers
            )
            return False
        known = repository in self.hub.repositories
        allowed = (
            repository not in self.hub.private
            or self.headers.get("Authorization") == f"Bearer {self.hub.token}"
        )
        if not known or not allowed:
            self.answer(
                404 if self.headers.get("Authorization") else 401,
                {"error": "no"},
                X_Error_Code="RepoNotFound",
            )
        return known and allowed

    def content(self, digest):
        """A blob, from where it is asked, cut or swapped as the faults say."""
        whole = self.hub.swaps.get(digest, self.hub.blobs[digest])
        tag = f'W/"{digest}"' if self.hub.weak else f'"{digest}"'
        start = int(re.match(r"bytes=(\d+)-", self.headers.get("Range", "bytes=0-")).group(1))
        if self.headers.get("If-Range", tag) != tag:
            start = 0
        if start >= len(whole):
            return self.answer(416)
        part = whole[start:]
        ranged = {"Content_Range": f"bytes {start}-{len(whole) - 1}/{len(whole)}"} if start else {}
        cuts = self.hub.cuts.get(digest)
        if not cuts:
            return self.answer(206 if start else 200, part, ETag=tag, **ranged)
        self.send_response(206 if start else 200)
        for key, value in (
            {"Content-Length": str(len(part)), "ETag": tag}
            | {k.replace("_", "-"): v for k, v in ranged.items()}
        ).items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(part[: cuts.pop(0)])
        self.wfile.flush()
        self.close_connection = True
        self.connection.close()
        return None

    def troubled(self, path):
        """Whether the request has met with trouble; then it was answered."""
        for part, answers in self.hub.troubles.items():
            if part in f"{self.command} {path}" and answers:
                self.hub.seen.append((self.command, path, dict(self.headers)))
                trouble = answers.pop(0)
                if trouble == "page":
                    self.answer(
                        200, b"<html>Log in to this network</html>", Content_Type="text/html"
                    )
                elif trouble == "reset":
                    self.connection.setsockopt(
                        socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
                    )
                    self.close_connection = True
                    self.connection.close()
                else:
                    status, headers = trouble
                    self.answer(status, {"error": "busy"}, **headers)
                return True
        return False

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        path = unquote(urlsplit(self.path).path)
        if self.troubled(path):
            return None
        self.hub.seen.append((self.command, path, dict(self.headers)))
        if found := re.fullmatch(r"/cdn/([0-9a-f]+)", path):
            return self.content(found[1])
        if path in self.hub.plain:
            entry = self.hub.plain[path]
            return (
                self.answer(*entry[:1], b"", **entry[1])
                if isinstance(entry, tuple)
                else self.content(sha256(entry))
            )
        if found := re.fullmatch(
            r"/api/models/([\w.-]+/[\w.-]+)(?:/revision/([^/]+)|/tree/([^/]+))?", path
        ):
            repository, revision, tree = found.groups()
            if not self.about(repository):
                return None
            commit = self.hub.commit(repository, revision or tree or "main")
            if commit is None:
                return self.answer(404, {"error": "no"}, X_Error_Code="RevisionNotFound")
            files = self.hub.files(repository, commit)
            if not tree:
                siblings = [{"rfilename": name} for name in files]
                return self.answer(
                    200,
                    {
                        "id": repository,
                        "modelId": repository,
                        "sha": commit,
                        "siblings": siblings,
                        "tags": [],
                    },
                )
            return self.answer(
                200,
                [
                    {"type": "file", "path": name, "size": len(content), "oid": git_digest(content)}
                    | (
                        {"lfs": {"oid": sha256(content), "size": len(content), "pointerSize": 130}}
                        if name.endswith(LARGE)
                        else {}
                    )
                    for name, content in files.items()
                ],
            )
        if found := re.fullmatch(r"/([\w.-]+/[\w.-]+)/resolve/([^/]+)/(.+)", path):
            repository, revision, name = found.groups()
            if not self.about(repository):
                return None
            commit = self.hub.commit(repository, revision)
            content = self.hub.files(repository, commit).get(name)
            if content is None:
                return self.answer(
                    404, {"error": "no"}, X_Error_Code="EntryNotFound", X_Repo_Commit=commit
                )
            if name.endswith(LARGE):
                digest = sha256(content)
                # another host, as the Hub's is
                storage = f"http://localhost:{self.server.server_port}/cdn/{digest}"
                where = {"Location": storage, "X_Linked_Etag": f'"{digest}"'}
                return self.answer(
                    302, X_Repo_Commit=commit, X_Linked_Size=str(len(content)), **where
                )
            return self.answer(200, content, X_Repo_Commit=commit, ETag=f'"{git_digest(content)}"')
        return self.answer(404, {"error": path})

    def do_PUT(self):
        content = self.rfile.read(int(self.headers["Content-Length"]))
        self.hub.seen.append(("PUT", self.path, dict(self.headers)))
        self.hub.blobs[sha256(content)] = content
        self.answer(200)

    def do_POST(self):
        path = unquote(urlsplit(self.path).path)
        raw = (
            self.rfile.read(int(self.headers["Content-Length"]))
            if "Content-Length" in self.headers
            else self.chunked()
        )
        if self.troubled(path):
            return None
        self.hub.seen.append(("POST", path, dict(self.headers)))
        if path == "/api/validate-yaml":
            return self.answer(200, {"errors": [], "warnings": []})
        if self.headers.get("Authorization") != f"Bearer {self.hub.token}" and not path.startswith(
            "/lfs"
        ):
            return self.answer(401, {"error": "Invalid username or password."})
        if path == "/api/repos/create":
            asked = json.loads(raw)
            repository = f"{asked['organization']}/{asked['name']}"
            if repository in self.hub.faults:
                return self.about(repository)
            fresh = repository not in self.hub.repositories
            self.hub.repositories.setdefault(repository, [{}])
            if asked.get("private") or asked.get("visibility") == "private":
                self.hub.private.add(repository)
            page = {
                "url": f"http://{self.headers['Host']}/{repository}",
                "id": repository,
                "name": repository,
            }
            return self.answer(200 if fresh else 409, page)
        if found := re.fullmatch(r"/api/models/([\w.-]+/[\w.-]+)/preupload/main", path):
            asked = json.loads(raw)["files"]
            modes = [
                {
                    "path": each["path"],
                    "uploadMode": "lfs" if each["path"].endswith(LARGE) else "regular",
                }
                for each in asked
            ]
            return self.answer(200, {"files": [mode | {"shouldIgnore": False} for mode in modes]})
        if path.endswith(".git/info/lfs/objects/batch"):
            host = f"http://{self.headers['Host']}"
            objects = [
                each
                | {
                    "actions": {
                        "upload": {"href": f"{host}/lfs/{each['oid']}"},
                        "verify": {"href": f"{host}/lfs/verify"},
                    }
                }
                for each in json.loads(raw)["objects"]
            ]
            return self.answer(200, {"transfer": "basic", "objects": objects})
        if path == "/lfs/verify":
            asked = json.loads(raw)
            return self.answer(
                200 if len(self.hub.blobs.get(asked["oid"], b"")) == asked["size"] else 404
            )
        if found := re.fullmatch(r"/api/models/([\w.-]+/[\w.-]+)/commit/main", path):
            files = dict(self.hub.repositories[found[1]][-1])
            for line in map(json.loads, raw.decode().splitlines()):
                value = line["value"]
                if line["key"] == "file":
                    files[value["path"]] = base64.b64decode(value["content"])
                elif line["key"] == "lfsFile":
                    files[value["path"]] = self.hub.blobs[value["oid"]]
            commit = self.hub.add(found[1], files)
            page = f"http://{self.headers['Host']}/{found[1]}/commit/{commit}"
            return self.answer(
                200, {"success": True, "commitOid": commit, "commitUrl": page, "hookOutput": ""}
            )
        return self.answer(404, {"error": path})

    def chunked(self):
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body
