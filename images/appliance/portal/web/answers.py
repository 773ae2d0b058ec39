"""HOW WE ANSWER: JSON, one word for each refusal, and the headers that keep a page in its place."""

from __future__ import annotations

from typing import Any

from aiohttp import web

PORTAL_HOST = web.RequestKey("portal_host", str)
STATUS = {
    "bad-request": 400,
    "signed-out": 401,
    "wrong-credentials": 401,
    "not-allowed": 403,
    "not-found": 404,
    "busy": 409,
    "full": 409,
    "ended": 409,
    "too-large": 413,
    "too-many": 429,
    "failed": 500,
    "draining": 503,
    "waiting": 503,
    "closed": 503,
    "no-bandwidth": 503,
    "community-full": 503,
    "no-space": 507,
}
_PAGE = (
    "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; img-src 'self' data: blob:; "
    "media-src 'self' blob: mediastream:; worker-src 'self' blob:; manifest-src 'self'; "
    "connect-src 'self' {socket}; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
_DATA = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
_FILE = f"sandbox; {_DATA}"
_ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(self), display-capture=(self), speaker-selection=(self), "
    "autoplay=(self), fullscreen=(self), geolocation=(), payment=(), usb=(), serial=(), hid=(), midi=()",
    "Server": "portal",
}


def refusal(word: str, retry: float = 0) -> web.Response:
    answer = web.json_response({"error": word}, status=STATUS[word])
    if retry or STATUS[word] in (429, 503):
        answer.headers["Retry-After"] = str(max(1, round(retry)) if retry else 10)
    return answer


def answer(body: dict[str, Any], status: int = 200) -> web.Response:
    return web.json_response(body, status=status)


def done() -> web.Response:
    return web.Response(status=204)


async def guard(request: web.Request, response: web.StreamResponse) -> None:
    """For `on_response_prepare`: every answer has these, errors, files and sockets too."""
    response.headers.update(_ALWAYS)
    if request.path.startswith("/api/files/"):
        policy = _FILE
    elif request.path.startswith("/api/"):
        policy = _DATA
    else:
        host = request.get(PORTAL_HOST)
        policy = _PAGE.format(socket=f"wss://{host}" if host else "").replace("  ", " ").replace(" ;", ";")
    response.headers["Content-Security-Policy"] = policy
    if request.path.startswith("/api/"):
        response.headers["Cache-Control"] = "no-store"
