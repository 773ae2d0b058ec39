"""The pages: files that were built ahead, all in memory. No path leads to anything else."""

from __future__ import annotations

import gzip
import hashlib
import logging
import mimetypes
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from portal.limits import MIB
from portal.web.door import community_of

log = logging.getLogger("portal.web")

_MOST_BYTES = 64 * MIB
_TEXT = (".html", ".js", ".css", ".svg", ".json", ".webmanifest", ".txt", ".map")
_TYPES = {".js": "text/javascript", ".webmanifest": "application/manifest+json", ".woff2": "font/woff2"}


@dataclass(frozen=True)
class Page:
    """`gzipped` is None where it would not be smaller. `lasts`: its name changes with its content."""

    content: bytes
    gzipped: bytes | None
    content_type: str
    tag: str
    lasts: bool


class Pages:
    def __init__(self, folder: Path) -> None:
        self._pages = load(folder)

    async def serve(self, request: web.Request) -> web.StreamResponse:
        page = self._pages.get(request.path)
        if page is None:
            raise web.HTTPNotFound
        community_of(request)
        headers = {
            "Cache-Control": "public, max-age=31536000, immutable" if page.lasts else "no-cache",
            "ETag": page.tag,
            "Vary": "Accept-Encoding",
        }
        if request.headers.get("If-None-Match") == page.tag:
            return web.Response(status=304, headers=headers)
        body = page.content
        if page.gzipped is not None and "gzip" in request.headers.get("Accept-Encoding", ""):
            body = page.gzipped
            headers["Content-Encoding"] = "gzip"
        headers["Content-Type"] = page.content_type
        return web.Response(body=body, headers=headers)


def load(folder: Path) -> dict[str, Page]:
    """The pages by path. Links and what is hidden are left out."""
    found: dict[str, Page] = {}
    size = 0
    for path in sorted(folder.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if hidden or path.is_symlink() or not path.is_file():
            continue
        size += path.stat().st_size
        if size > _MOST_BYTES:
            log.error("the pages are larger than %d bytes: the rest is left out", _MOST_BYTES)
            break
        found["/" + path.relative_to(folder).as_posix()] = _page(path, path.parent != folder)
    if "/index.html" in found:
        found["/"] = found["/index.html"]
    else:
        log.error("there are no pages")
    return found


def _page(path: Path, lasts: bool) -> Page:
    content = path.read_bytes()
    smaller = gzip.compress(content, mtime=0) if path.suffix in _TEXT else content
    kind = _TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    if kind.startswith("text/"):
        kind += "; charset=utf-8"
    tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    return Page(content, smaller if len(smaller) < len(content) else None, kind, tag, lasts)
