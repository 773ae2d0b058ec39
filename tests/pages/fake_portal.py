"""A FAKE of the portal's API, for the stories of the pages alone: it answers as the portal does, and decides nothing.

No passwords are kept, nothing is checked, nothing is stored. Without a `media` server whoever joins a call gets as far
as an open WebSocket, which never says anything. What the real portal and the real gate do is shown by their own tests,
and by the browsers of the e2e tests.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import json
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aiohttp import WSMsgType, web

from pages.media_server import MediaServer

ALL = ["Audio", "Video", "Chat", "DesktopSharing", "FileSharing"]
COOKIE = "session"
"""The real one is `__Host-session`, which a browser takes over https only."""
# As the portal sends it, but for the scheme of the socket.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; img-src 'self' data: blob:; "
    "media-src 'self' blob: mediastream:; worker-src 'self' blob:; manifest-src 'self'; "
    "connect-src 'self' ws://{host}; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)


@dataclass
class User:
    name: str
    shown: str
    functions: list[str] = field(default_factory=lambda: list(ALL))
    presence: str = "online"

    def told(self) -> dict[str, Any]:
        return {"user": self.name, "displayName": self.shown}


class FakePortal:
    """`say` puts a message into a user's sockets; the rest is the API."""

    def __init__(self, pages: Path, users: list[User], community: str = "Acme S.p.A.") -> None:
        self.pages, self.community = pages, community
        self.users = {user.name: user for user in users}
        self.file_bytes = 30_000_000
        self.draining = False
        self.is_full = False
        self.sockets: dict[str, set[web.WebSocketResponse]] = {}
        self.listening: dict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self.calls: dict[str, dict[str, Any]] = {}
        self.missed: dict[str, list[dict[str, Any]]] = {}
        self.messages: list[dict[str, Any]] = []
        self.files: dict[str, tuple[dict[str, Any], bytes]] = {}
        self.asked: list[str] = []
        self.takes_files = asyncio.Event()
        """Cleared: what is uploaded stays on its way."""
        self.takes_files.set()
        self.media: MediaServer | None = None
        self.down = False
        """The network is gone: whatever is asked gets no answer."""
        self._ids = itertools.count(1)
        self.url = ""

    async def start(self) -> web.AppRunner:
        app = web.Application(middlewares=[self._guard], client_max_size=64_000_000)
        app.add_routes(
            [
                web.post("/api/login", self._login),
                web.post("/api/logout", self._logout),
                web.post("/api/logout-everywhere", self._logout),
                web.get("/api/me", self._me),
                web.get("/api/directory", self._directory),
                web.get("/api/socket", self._socket),
                web.get("/api/missed", self._missed),
                web.get("/api/conversations", self._conversations),
                web.post("/api/calls", self._start_call),
                web.get("/api/calls/{call}", self._show_call),
                web.post("/api/calls/{call}/{what:accept|refuse|leave}", self._change_call),
                web.post("/api/calls/{call}/invite", self._invite),
                web.get("/api/calls/{call}/messages", self._history),
                web.post("/api/calls/{call}/messages", self._write),
                web.get("/calls/{call}/{rest:.*}", self._media),
                web.get("/api/conversations/{user}/messages", self._history),
                web.post("/api/conversations/{user}/messages", self._write),
                web.get("/api/conversations/{user}/files", self._list_files),
                web.post("/api/conversations/{user}/files", self._upload),
                web.get("/api/files/{file}", self._download),
                web.get("/", self._page),
                web.static("/assets", self.pages / "assets"),
            ]
        )
        runner = web.AppRunner(app, shutdown_timeout=1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        return runner

    # ---- what a test says

    async def say(self, user: str, **message: Any) -> None:
        for socket in list(self.sockets.get(user, ())):
            await socket.send_json(message)

    async def joined(self, user: str) -> None:
        """Until a page of the user listens: what is said before would be heard by nobody."""
        await self.listening[user].wait()

    async def drop(self) -> None:
        """All sockets are lost."""
        for sockets in list(self.sockets.values()):
            for socket in list(sockets):
                await socket.close(code=1001)

    async def set_functions(self, user: str, *functions: str) -> None:
        self.users[user].functions = list(functions)
        await self.say(user, type="functions", functions=list(functions))

    # ---- the API

    @web.middleware
    async def _guard(self, request: web.Request, handler: Any) -> web.StreamResponse:
        self.asked.append(f"{request.method} {request.path}")
        if self.down:
            assert request.transport
            request.transport.abort()
            raise web.HTTPServiceUnavailable
        if request.path.startswith("/api/") and request.path != "/api/login" and self._who(request) is None:
            return web.json_response({"error": "signed-out"}, status=401)
        try:
            answer: web.StreamResponse = await handler(request)
        except web.HTTPException as why:
            return web.json_response({"error": "not-found"}, status=why.status)
        if not answer.prepared:
            answer.headers["Content-Security-Policy"] = POLICY.format(host=request.host)
            answer.headers["X-Content-Type-Options"] = "nosniff"
        return answer

    def _who(self, request: web.Request) -> User | None:
        return self.users.get(request.cookies.get(COOKIE, ""))

    def _me_of(self, request: web.Request) -> User:
        user = self._who(request)
        assert user
        return user

    async def _page(self, _: web.Request) -> web.StreamResponse:
        return web.FileResponse(self.pages / "index.html")

    async def _login(self, request: web.Request) -> web.StreamResponse:
        given = await request.json()
        if given["password"] == "too often":
            return web.json_response({"error": "too-many"}, status=429, headers={"Retry-After": "7"})
        if given["user"] not in self.users or given["password"] != "secret":
            return web.json_response({"error": "wrong-credentials"}, status=401)
        answer = web.Response(status=204)
        answer.set_cookie(COOKIE, given["user"], httponly=True, samesite="Lax")
        return answer

    async def _logout(self, _: web.Request) -> web.StreamResponse:
        answer = web.Response(status=204)
        answer.del_cookie(COOKIE)
        return answer

    async def _me(self, request: web.Request) -> web.StreamResponse:
        user = self._me_of(request)
        return web.json_response(
            user.told()
            | {
                "community": {"name": "acme", "displayName": self.community},
                "functions": user.functions,
                "limits": {"fileBytes": self.file_bytes, "room": 8},
                "draining": self.draining,
            }
        )

    async def _directory(self, request: web.Request) -> web.StreamResponse:
        wanted, after = request.query.get("q", "").casefold(), int(request.query.get("after", 0))
        me = self._me_of(request)
        found = [
            user.told() | {"presence": user.presence}
            for user in sorted(self.users.values(), key=lambda user: user.shown)
            if user is not me and wanted in f"{user.shown} {user.name}".casefold()
        ]
        more = str(after + 50) if len(found) > after + 50 else None
        return web.json_response({"users": found[after : after + 50], "next": more})

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        user = self._me_of(request)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        mine = self.sockets.setdefault(user.name, set())
        mine.add(socket)
        self.listening[user.name].set()
        await socket.send_json({"type": "functions", "functions": user.functions})
        await socket.send_json({"type": "draining", "draining": self.draining})
        for call in self.calls.values():
            state = next((one["state"] for one in call["members"] if one["user"] == user.name), None)
            if state in ("ringing", "in") and not call["ended"]:
                await socket.send_json({"type": "call", "call": call})
        async for message in socket:
            if message.type == WSMsgType.TEXT:
                watched = json.loads(message.data)["users"]
                told = {name: self.users[name].presence for name in watched if name in self.users}
                await socket.send_json({"type": "presence", "users": told})
        mine.discard(socket)
        return socket

    async def _missed(self, request: web.Request) -> web.StreamResponse:
        return web.json_response({"missed": self.missed.get(self._me_of(request).name, [])})

    # ---- calls

    async def _start_call(self, request: web.Request) -> web.StreamResponse:
        given, me = await request.json(), self._me_of(request)
        if self.draining:
            return web.json_response({"error": "draining"}, status=503)
        if self.is_full:
            return web.json_response({"error": "community-full"}, status=503)
        if any(self.users[name].presence == "busy" for name in given["users"]):
            return web.json_response({"error": "busy"}, status=409)
        call = {
            "id": f"{next(self._ids):032x}",
            "media": given["media"],
            "members": [me.told() | {"state": "in"}],
            "ended": False,
        }
        self.calls[call["id"]] = call
        for name in given["users"]:
            await self._ring(call, me, name)
        return web.json_response(call, status=201)

    async def _ring(self, call: dict[str, Any], me: User, name: str) -> None:
        call["members"] = [one for one in call["members"] if one["user"] != name]
        call["members"].append(self.users[name].told() | {"state": "ringing"})
        ring = {"id": call["id"], "from": me.told(), "media": call["media"]}
        await self.say(name, type="ring", call=ring)
        await self._tell(call)

    async def _tell(self, call: dict[str, Any]) -> None:
        for member in call["members"]:
            await self.say(member["user"], type="call", call=call)

    async def _show_call(self, request: web.Request) -> web.StreamResponse:
        call = self.calls.get(request.match_info["call"])
        if not call or call["ended"]:
            return web.json_response({"error": "not-found"}, status=404)
        return web.json_response(call)

    async def _change_call(self, request: web.Request) -> web.StreamResponse:
        what, me = request.match_info["what"], self._me_of(request)
        call = self.calls.get(request.match_info["call"])
        if not call or call["ended"]:
            return web.json_response({"error": "not-found"}, status=404)
        await self.move(call, me.name, {"accept": "in", "refuse": "refused", "leave": "left"}[what])
        return web.json_response(call)

    async def move(self, call: dict[str, Any], name: str, state: str) -> None:
        """A member is somewhere else now, and the call may be over by that."""
        for member in call["members"]:
            if member["user"] == name:
                member["state"] = state
        live = [one for one in call["members"] if one["state"] in ("in", "ringing")]
        if len(live) < 2:
            call["ended"] = True
            for member in call["members"]:
                if member["state"] == "ringing":
                    member["state"] = "left"
                    caller = call["members"][0]
                    entry = {"id": call["id"], "from": caller, "media": call["media"], "at": now()}
                    self.missed.setdefault(member["user"], []).insert(0, entry)
                    await self.say(member["user"], type="ring-ended", call=call["id"], why="cancelled")
        await self._tell(call)

    async def _invite(self, request: web.Request) -> web.StreamResponse:
        call = self.calls[request.match_info["call"]]
        await self._ring(call, self._me_of(request), (await request.json())["user"])
        return web.json_response(call)

    async def _media(self, request: web.Request) -> web.StreamResponse:
        if (
            "validate" in request.path
        ):  # what was wrong with a line that did not come about: its network, as the gate says
            return web.Response(status=200)
        if self.media:
            me = self._me_of(request)
            return await self.media.carry(request, me.name, me.shown)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for _ in socket:
            pass
        return socket

    # ---- chat and files

    def _place(self, request: web.Request) -> tuple[str, str]:
        me, other = self._me_of(request).name, request.match_info.get("user")
        return (" ".join(sorted((me, other))), other) if other else (f"calls/{request.match_info['call']}", "")

    def _shown(self, entry: dict[str, Any], reader: str) -> dict[str, Any]:
        """A conversation of two is named by the other one."""
        pair = entry["conversation"].split(" ")
        named = next((name for name in pair if name != reader), reader) if len(pair) > 1 else pair[0]
        return entry | {"conversation": named}

    async def _history(self, request: web.Request) -> web.StreamResponse:
        me, (conversation, other) = self._me_of(request).name, self._place(request)
        if other and "Chat" not in self.users[other].functions:
            return web.json_response({"error": "not-allowed"}, status=403)
        found = [one for one in self.messages if one["conversation"] == conversation]
        before = request.query.get("before")
        if before:
            found = found[: next(index for index, one in enumerate(found) if one["id"] == before)]
        page = found[-50:]
        shown = [self._shown(one, me) for one in page]
        return web.json_response({"messages": shown, "before": page[0]["id"] if len(found) > 50 else None})

    def write(self, sender: str, conversation: str, text: str, at: str | None = None) -> dict[str, Any]:
        message = {"id": f"{next(self._ids):032x}", "from": sender, "text": text, "at": at or now()}
        message["conversation"] = conversation
        self.messages.append(message)
        return message

    async def _write(self, request: web.Request) -> web.StreamResponse:
        me, (conversation, other) = self._me_of(request).name, self._place(request)
        message = self.write(me, conversation, (await request.json())["text"])
        members = self.calls[request.match_info["call"]]["members"] if not other else []
        for reader in {me, other, *(one["user"] for one in members if one["state"] == "in")} - {""}:
            who = self.users[me if reader == other or not other else other].told()
            await self.say(reader, type="message", message=self._shown(message, reader), who=who)
        return web.json_response(self._shown(message, me), status=201)

    async def _conversations(self, request: web.Request) -> web.StreamResponse:
        me = self._me_of(request).name
        last = {self._shown(one, me)["conversation"]: one for one in self.messages if me in one["conversation"].split()}
        found = [self.users[name].told() | {"at": one["at"], "from": one["from"]} for name, one in last.items()]
        return web.json_response({"conversations": found[::-1]})

    async def _list_files(self, request: web.Request) -> web.StreamResponse:
        me, (conversation, _) = self._me_of(request).name, self._place(request)
        found = [self._shown(file, me) for file, _ in self.files.values() if file["conversation"] == conversation]
        return web.json_response({"files": found})

    async def _upload(self, request: web.Request) -> web.StreamResponse:
        me, (conversation, other) = self._me_of(request).name, self._place(request)
        content = bytearray()
        async for piece in request.content.iter_chunked(65536):
            content += piece
            await self.takes_files.wait()
            await asyncio.sleep(0)
        digest = hashlib.sha256(content).hexdigest()
        file: dict[str, Any] = {"id": f"{next(self._ids):032x}", "conversation": conversation, "from": me, "at": now()}
        file |= {"name": request.query["name"], "size": len(content)}
        self.files[file["id"]] = file, bytes(content)
        for reader in (me, other):
            who = self.users[me if reader == other else other].told()
            await self.say(reader, type="file", file=self._shown(file, reader), who=who)
        told = {"id": file["id"], "name": file["name"], "size": file["size"], "sha256": digest}
        return web.json_response(told, status=201)

    async def _download(self, request: web.Request) -> web.StreamResponse:
        file, content = self.files[request.match_info["file"]]
        named = f'attachment; filename="{file["name"]}"'
        headers = {"Content-Type": "application/octet-stream", "Content-Disposition": named}
        return web.Response(body=content, headers=headers)


def now() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")
