"""The whole API of the portal on one screen."""

from __future__ import annotations

from aiohttp import web

from portal.limits import BODY_BYTES
from portal.portal import Portal
from portal.web import answers, calls, chat, files, login, people, socket
from portal.web.door import AioHandler, always_answered, prepare, signed_in
from portal.web.pages import Pages


def _get(path: str, handler: AioHandler) -> web.RouteDef:
    """Not for HEAD as well: what streams would stream there, too."""
    return web.get(path, handler, allow_head=False)


def application(portal: Portal, pages: Pages) -> web.Application:
    app = web.Application(middlewares=[always_answered], client_max_size=BODY_BYTES)
    prepare(app, portal)
    app.on_response_prepare.append(answers.guard)
    app.add_routes(
        [
            web.post("/api/login", login.login),
            web.post("/api/logout", signed_in(login.logout)),
            web.post("/api/logout-everywhere", signed_in(login.logout_everywhere)),
            _get("/api/me", signed_in(people.me)),
            _get("/api/directory", signed_in(people.directory)),
            _get("/api/missed", signed_in(people.missed)),
            _get("/api/conversations", signed_in(people.conversations)),
            _get("/api/socket", signed_in(socket.listen, lasting=True)),
            web.post("/api/calls", signed_in(calls.start, says=True)),
            _get("/api/calls/{call}", signed_in(calls.show)),
            web.post("/api/calls/{call}/accept", signed_in(calls.accept)),
            web.post("/api/calls/{call}/refuse", signed_in(calls.refuse)),
            web.post("/api/calls/{call}/leave", signed_in(calls.leave)),
            web.post("/api/calls/{call}/invite", signed_in(calls.invite, says=True)),
            _get("/api/calls/{call}/messages", signed_in(chat.call_history)),
            web.post("/api/calls/{call}/messages", signed_in(chat.call_write, says=True)),
            _get("/api/conversations/{user}/messages", signed_in(chat.history)),
            web.post("/api/conversations/{user}/messages", signed_in(chat.write, says=True)),
            _get("/api/conversations/{user}/files", signed_in(files.listing)),
            web.post("/api/conversations/{user}/files", signed_in(files.upload, lasting=True)),
            _get("/api/files/{file}", signed_in(files.download, lasting=True)),
            web.get("/{path:.*}", pages.serve),
        ]
    )
    return app
