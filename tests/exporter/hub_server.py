"""The routes of the Hugging Face Hub that an export calls: repositories, large files, commits, and files by name.

The client is the unmodified `huggingface_hub`; its Xet protocol is turned off by its own switch in the environment.
"""

import asyncio
import base64
import hashlib
import json
import threading
from dataclasses import dataclass, field
from typing import Any

import yaml
from aiohttp import web

TOKEN = "hf_tests"
_LARGE = ".safetensors"


@dataclass
class Repo:
    """A repository: its branches, each a mapping from path to content."""

    private: bool
    branches: dict[str, dict[str, bytes]] = field(default_factory=lambda: {"main": {}})
    commits: list[str] = field(default_factory=list)


@dataclass
class HubServer:
    """A Hub in memory.

    Attributes:
        repos: By `<owner>/<name>`.
        blobs: Large files by digest.
        uploads: Digests of the large files that were sent, in order.
        commits_hang: Whether a commit is never answered, nor made.
        overtaken: How many commits are told that another one came before.
        stuck: Set when somebody waits for that.
    """

    repos: dict[str, Repo] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)
    uploads: list[str] = field(default_factory=list)
    commits_hang: bool = False
    overtaken: int = 0
    stuck: threading.Event = field(default_factory=threading.Event)

    def app(self) -> web.Application:
        app = web.Application(client_max_size=1 << 30, middlewares=[self._authorized])
        repo = "{owner:[^/]+}/{name:[^/]+}"
        app.add_routes(
            [
                web.post("/api/repos/create", self._create),
                web.post("/api/validate-yaml", self._validated),
                web.get(f"/api/models/{repo}", self._info),
                web.post(f"/api/models/{repo}/branch/{{branch}}", self._branch),
                web.post(f"/api/models/{repo}/preupload/{{revision}}", self._preupload),
                web.post(f"/api/models/{repo}/commit/{{revision}}", self._commit),
                web.post(f"/{repo}/info/lfs/objects/batch", self._batch),
                web.put("/lfs/{oid}", self._upload),
                web.get(f"/{repo}/resolve/{{revision}}/{{path:.+}}", self._resolve),
            ]
        )
        return app

    @web.middleware
    async def _authorized(self, request: web.Request, handler: Any) -> web.StreamResponse:
        signed = request.path.startswith("/lfs/")  # a signed address needs no token
        if not signed and request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return web.json_response({"error": "Invalid credentials"}, status=401)
        answer: web.StreamResponse = await handler(request)
        return answer

    def _of(self, request: web.Request) -> Repo | None:
        return self.repos.get(f"{request.match_info['owner']}/{request.match_info['name'].removesuffix('.git')}")

    async def _create(self, request: web.Request) -> web.Response:
        asked = await request.json()
        name = f"{asked.get('organization')}/{asked['name']}"
        url = f"http://{request.host}/{name}"
        if name in self.repos:
            return web.json_response({"error": "You already created this model repo", "url": url}, status=409)
        private = asked.get("private", asked.get("visibility") == "private")
        self.repos[name] = Repo(private)
        return web.json_response({"url": url, "name": name, "id": name})

    async def _validated(self, request: web.Request) -> web.Response:
        """What the Hub asks of a card: YAML between two lines at its beginning."""
        head, _, _ = (await request.json())["content"].removeprefix("---\n").partition("\n---\n")
        named = isinstance(yaml.safe_load(head), dict)
        return web.json_response({"warnings": [], "errors": [] if named else [{"message": "no metadata"}]})

    async def _info(self, request: web.Request) -> web.Response:
        repo = self._of(request)
        if repo is None:
            return _missing("RepoNotFound")
        name = f"{request.match_info['owner']}/{request.match_info['name']}"
        return web.json_response(
            {"id": name, "modelId": name, "private": repo.private, "sha": "0" * 40, "siblings": []}
        )

    async def _branch(self, request: web.Request) -> web.Response:
        repo = self._of(request)
        assert repo is not None
        if request.match_info["branch"] in repo.branches:
            return web.json_response({"error": "Reference already exists"}, status=409)
        repo.branches[request.match_info["branch"]] = dict(repo.branches["main"])
        return web.json_response({})

    async def _preupload(self, request: web.Request) -> web.Response:
        files = (await request.json())["files"]
        told = [
            {
                "path": one["path"],
                "uploadMode": "lfs" if one["path"].endswith(_LARGE) else "regular",
                "shouldIgnore": False,
            }
            for one in files
        ]
        return web.json_response({"files": told})

    async def _batch(self, request: web.Request) -> web.Response:
        asked = await request.json()
        objects = []
        for one in asked["objects"]:
            upload = {"upload": {"href": f"http://{request.host}/lfs/{one['oid']}?signature=hidden", "header": {}}}
            objects.append(one if one["oid"] in self.blobs else {**one, "actions": upload})
        return web.json_response({"transfer": "basic", "objects": objects})

    async def _upload(self, request: web.Request) -> web.Response:
        content = await request.read()
        if hashlib.sha256(content).hexdigest() != request.match_info["oid"]:
            return web.Response(status=400)
        self.blobs[request.match_info["oid"]] = content
        self.uploads.append(request.match_info["oid"])
        return web.Response()

    async def _commit(self, request: web.Request) -> web.Response:
        lines = [json.loads(line) for line in (await request.read()).splitlines() if line.strip()]
        if self.commits_hang:
            self.stuck.set()
            await asyncio.Event().wait()
        if self.overtaken:
            self.overtaken -= 1
            return web.json_response(
                {"error": "A commit has happened since. Please refresh and try again."}, status=412
            )
        repo = self._of(request)
        assert repo is not None
        files = dict(repo.branches[request.match_info["revision"]])
        for line in lines:
            value = line["value"]
            if line["key"] == "header":
                repo.commits.append(value["summary"])
            elif line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.blobs[value["oid"]]
            else:
                del files[value["path"]]
        repo.branches[request.match_info["revision"]] = files
        url = f"http://{request.host}/{request.match_info['owner']}/{request.match_info['name']}/commit/{'1' * 40}"
        return web.json_response({"commitUrl": url, "commitOid": "1" * 40, "success": True})

    async def _resolve(self, request: web.Request) -> web.Response:
        repo = self._of(request)
        if repo is None:
            return _missing("RepoNotFound")
        branch = repo.branches.get(request.match_info["revision"])
        if branch is None:
            return _missing("RevisionNotFound")
        content = branch.get(request.match_info["path"])
        if content is None:
            return _missing("EntryNotFound")
        digest = hashlib.sha256(content).hexdigest()
        return web.Response(body=content, headers={"ETag": f'"{digest}"', "X-Repo-Commit": "1" * 40})


def _missing(code: str) -> web.Response:
    return web.json_response({"error": code}, status=404, headers={"X-Error-Code": code})
