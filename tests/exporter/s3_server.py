"""The part of S3 that an export needs: objects, uploads in parts, checksums, and whose key it is.

It answers as Amazon's does where the library looks. The same laws are held against moto's server where that is there.
"""

import asyncio
import base64
import hashlib
import re
import threading
from dataclasses import dataclass, field
from html import unescape
from typing import Any

from aiohttp import web

ACCESS_KEY = "AKIATESTS"
BUCKET = "models"
_DIGEST = "x-amz-checksum-sha256"
_META = "x-amz-meta-"
_SMALL = 1 << 16


@dataclass
class Object:
    """What is stored: of large ones the digest only."""

    size: int
    sha256: str
    meta: dict[str, str]
    content: bytes


@dataclass
class S3Server:
    """One bucket in memory.

    Attributes:
        objects: By key.
        puts: Keys of the objects that were written, in order; parts of uploads too.
        stuck_at: A key whose writing is never answered.
        stuck: Set when somebody waits for that.
        keep_content: Whether all that was sent is kept, or of what is large its size and digest alone.
    """

    objects: dict[str, Object] = field(default_factory=dict)
    puts: list[str] = field(default_factory=list)
    stuck_at: str | None = None
    stuck: threading.Event = field(default_factory=threading.Event)
    keep_content: bool = True
    _uploads: dict[str, tuple[dict[str, str], dict[int, Object]]] = field(default_factory=dict)

    def app(self) -> web.Application:
        app = web.Application(client_max_size=1 << 30, middlewares=[self._authorized])
        app.router.add_post("/{bucket}", self._delete)
        app.router.add_route("*", "/{bucket}/{key:.+}", self._serve)
        return app

    @web.middleware
    async def _authorized(self, request: web.Request, handler: Any) -> web.StreamResponse:
        signed = request.headers.get("Authorization", "")
        if not signed.startswith(f"AWS4-HMAC-SHA256 Credential={ACCESS_KEY}/"):
            return _error(403, "InvalidAccessKeyId")
        if request.match_info["bucket"] != BUCKET:
            return _error(404, "NoSuchBucket")
        answer: web.StreamResponse = await handler(request)
        return answer

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        key = request.match_info["key"]
        if request.method in {"PUT", "POST"}:
            return await self._write(request, key)
        found = self.objects.get(key)
        if found is None:
            return _error(404, "NoSuchKey")
        return _content(request, found)

    async def _delete(self, request: web.Request) -> web.StreamResponse:
        """Several objects at once."""
        assert "delete" in request.query
        keys = re.findall("<Key>(.*?)</Key>", await request.text())
        for key in keys:
            self.objects.pop(unescape(key), None)
        gone = "".join(f"<Deleted><Key>{key}</Key></Deleted>" for key in keys)
        return _xml(f"<DeleteResult>{gone}</DeleteResult>")

    async def _write(self, request: web.Request, key: str) -> web.StreamResponse:
        meta = {
            name[len(_META) :].lower(): it for name, it in request.headers.items() if name.lower().startswith(_META)
        }
        if "uploads" in request.query:
            upload = str(len(self._uploads))
            self._uploads[upload] = (meta, {})
            return _xml(f"<InitiateMultipartUploadResult><UploadId>{upload}</UploadId></InitiateMultipartUploadResult>")
        if request.method == "POST":
            meta, parts = self._uploads.pop(request.query["uploadId"])
            await request.read()
            self.objects[key] = _joined(meta, parts)
            return _xml('<CompleteMultipartUploadResult><ETag>"e"</ETag></CompleteMultipartUploadResult>')
        self.puts.append(key)
        if key == self.stuck_at:
            self.stuck.set()
            await request.read()
            await asyncio.Event().wait()
        got = await self._received(request, meta)
        told = request.headers.get(_DIGEST)
        if told is None or base64.b64decode(told).hex() != got.sha256:
            return _error(400, "BadDigest")
        if "uploadId" in request.query:
            self._uploads[request.query["uploadId"]][1][int(request.query["partNumber"])] = got
        else:
            self.objects[key] = got
        return web.Response(headers={"ETag": '"e"', _DIGEST: told})

    async def _received(self, request: web.Request, meta: dict[str, str]) -> Object:
        digest, size, kept = hashlib.sha256(), 0, []
        async for piece in request.content.iter_chunked(1 << 16):
            digest.update(piece)
            size += len(piece)
            if self.keep_content or size < _SMALL:
                kept.append(piece)
        return Object(size, digest.hexdigest(), meta, b"".join(kept))


def _joined(meta: dict[str, str], parts: dict[int, Object]) -> Object:
    content = b"".join(parts[number].content for number in sorted(parts))
    return Object(sum(part.size for part in parts.values()), "", meta, content)


def _content(request: web.Request, found: Object) -> web.Response:
    headers = {"ETag": '"e"', "Last-Modified": "Sun, 01 Nov 2026 00:00:00 GMT", "Accept-Ranges": "bytes"}
    headers |= {f"{_META}{name}": it for name, it in found.meta.items()}
    body, status = found.content, 200
    if request.headers.get("Range") is not None:
        start, end = request.http_range.start or 0, request.http_range.stop or found.size
        body, status = (found.content or bytes(found.size))[start:end], 206
        headers["Content-Range"] = f"bytes {start}-{start + len(body) - 1}/{found.size}"
    return web.Response(status=status, body=body, headers=headers)


def _xml(body: str) -> web.Response:
    return web.Response(text=f'<?xml version="1.0" encoding="UTF-8"?>{body}', content_type="application/xml")


def _error(status: int, code: str) -> web.Response:
    text = f"<Error><Code>{code}</Code><Message>{code}</Message></Error>"
    return web.Response(status=status, text=text, content_type="application/xml")
