# SPDX-License-Identifier: Apache-2.0
"""What a web server answers: files of a folder, and functions of yours. No sockets.

The cast
    `Site`    a folder and its routes; `handle(request) -> Response` is the seam
    `Hosts`   several sites behind one address, told apart by the Host header

A page that is made when it is asked for, and a form that is posted:

    import time, web_server
    from protocols import web_site
    site = web_site.Site("apps/site")

    @site.route("/clock")
    def clock(request):
        return time.ctime()

    @site.route("/shout", "POST")
    def shout(request):
        return request.body.upper()

    web_server.main(handle=site)

Rules followed: RFC 9110 (methods, 404 and 405, Last-Modified and ETag, conditions, ranges, gzip).
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Mapping

from protocols.http1 import (
    METHODS,
    NOTHING,
    FilePart,
    OpenFile,
    Request,
    Response,
    as_response,
    conditional,
    http_date,
    page,
    ranged,
)
from protocols.language import Sentence, say

IN_MEMORY = 65_536  # octets; larger files are sent from disk
REMEMBERED = 256  # files of which the head is kept, and of small ones the data: 16 MiB at most

# The mimetypes module reads files of the machine it runs on; a lab should not depend on these.
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".htm": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".txt": "text/plain; charset=utf-8",
    ".md": "text/plain; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".gif": "image/gif",
    ".webp": "image/webp",
    ".ico": "image/x-icon",
    ".pdf": "application/pdf",
    ".woff2": "font/woff2",
}

Function = Callable[[Request], object]


class _File:
    """A file as it was when it was read: `unchanged` tells whether it is still that."""

    __slots__ = ("_key", "data", "etag", "headers", "modified", "name", "size", "whole")

    def __init__(
        self, name: str, real: str, info: os.stat_result, data: bytes | None, packed: bool
    ) -> None:
        self.name = name  # as it was opened: links in it are not resolved
        self.data = data
        self.size = info.st_size
        # A date in the future would hide later changes from clients (RFC 9110, 8.8.2.1).
        self.modified = min(int(info.st_mtime), int(time.time()))
        self.etag = f'"{info.st_mtime_ns:x}-{info.st_size:x}{"-gzip" if packed else ""}"'
        base = real.removesuffix(".gz") if packed else real
        kind = TYPES.get(os.path.splitext(base)[1].lower(), "application/octet-stream")
        self.headers = [
            ("Content-Type", kind),
            ("Last-Modified", http_date(self.modified)),
            ("ETag", self.etag),
            ("Accept-Ranges", "bytes"),
        ]
        if packed:
            self.headers.append(("Content-Encoding", "gzip"))
        if packed or os.path.exists(name + ".gz"):
            # A cache must not give the packed file to a client that cannot unpack it.
            self.headers.append(("Vary", "Accept-Encoding"))
        self._key = (info.st_dev, info.st_ino, info.st_mtime_ns, info.st_size)
        self.whole: Response | None = None

    def unchanged(self, info: os.stat_result | None = None) -> bool:
        """Is what the name leads to, or what INFO is about, still the very same content?"""
        try:
            info = info or os.stat(self.name)
        except OSError:
            return False
        return self._key == (info.st_dev, info.st_ino, info.st_mtime_ns, info.st_size)


class Site:
    """The files below one folder, and functions for some paths. Without a folder: those alone."""

    def __init__(self, folder: str | None = None) -> None:
        self.folder = None if folder is None else os.path.realpath(folder)
        self._routes: dict[str, dict[str, Function]] = {}
        self._memory: dict[tuple[str, bool], _File] = {}
        self._just_sent: dict[tuple[str, bool], Response] = {}

    # ---- routes

    def route(self, path: str, *methods: str) -> Callable[[Function], Function]:
        """A decorator: the function answers PATH (for GET and HEAD, or for METHODS).

        A path that ends in /* stands for all below it. The function gets the request and gives
        text, bytes, pieces one after the other, or a Response.
        """

        def add(function: Function) -> Function:
            of_path = self._routes.setdefault(path, {})
            for method in methods or ("GET",):
                of_path[method.upper()] = function
            return function

        return add

    def _methods(self, path: str) -> Mapping[str, Function] | None:
        """The functions for PATH, the longest match first; None: it is a file's."""
        if not self._routes:
            return None
        functions = self._routes.get(path)
        while functions is None and path:
            path = path.rpartition("/")[0]
            functions = self._routes.get(path + "/*")
        return functions

    def takes_body(self, request: Request) -> bool:
        """Will `handle` read the body? The loop asks before it accepts one."""
        methods = self._methods(request.path)
        return methods is not None and request.method in methods

    def is_quick(self, request: Request) -> bool:
        """Is it a file? Then the loop answers at once; a function gets a thread."""
        return not self._routes or self._methods(request.path) is None

    # ---- answers

    def handle(self, request: Request) -> Response:
        """The response to REQUEST; for HEAD the same as for GET, the loop leaves the body out."""
        method = request.method
        if method not in METHODS:
            return page(501, say("This server knows no method {method}.", method=method))
        functions = self._methods(request.path)
        if functions is not None:
            if method in functions or (method == "HEAD" and "GET" in functions):
                return as_response(functions.get(method, functions.get("GET"))(request))  # type: ignore[misc]
            allowed = {*functions, "OPTIONS", *(("HEAD",) if "GET" in functions else ())}
            return self._not_with(method, ", ".join(sorted(allowed)))
        if self.folder is None and request.path != "*":
            return page(404, _not_here(request.path))
        if method not in ("GET", "HEAD"):
            return self._not_with(method, "GET, HEAD, OPTIONS")
        return self.file(request)

    @staticmethod
    def _not_with(method: str, allowed: str) -> Response:
        if method == "OPTIONS":
            return Response(204, [("Allow", allowed)])
        response = page(405, say("Here you can use: {methods}.", methods=allowed))
        response.headers.append(("Allow", allowed))
        return response

    def file(self, request: Request) -> Response:
        """The file that the request's path names, whole or in part, or why not."""
        if request.plain:
            ready = self._just_sent.get((request.path, request.gzip))
            if ready is not None:
                return ready
        result = self._find(request.path, request.gzip)
        if isinstance(result, Response):
            return result
        if request.plain and result.whole is not None:
            self._just_sent[request.path, request.gzip] = result.whole
            return result.whole
        return self._answer(request, result)

    def new_turn(self) -> None:
        """Time has passed: look at files again. Whoever asks many times in one go calls this in
        between, so that requests that came together cost one look at their file."""
        self._just_sent.clear()

    def _answer(self, request: Request, file: _File) -> Response:
        status = conditional(request, file.etag, file.modified)
        if status == 304:
            return Response(304, file.headers[1:])
        if status == 412:
            return page(412, say("The file is not the one that the condition speaks of."))
        part = ranged(request, file.etag, file.modified, file.size)
        if part is None:
            first, count = 0, file.size
        elif part == NOTHING:
            response = page(416, say("There are {size} octets.", size=file.size))
            response.headers.append(("Content-Range", f"bytes */{file.size}"))
            return response
        else:
            first, count = part[0], part[1] - part[0] + 1
        if file.data is not None:
            body: bytes | FilePart = file.data[first : first + count]
        else:
            opened = self._open(file.name)
            if opened is None:
                return page(404, say("The file has just been taken away."))
            content = OpenFile(opened[0])
            if not file.unchanged(opened[2]):
                return page(404, say("The file has just changed; ask again."))
            body = FilePart(content, first, count)
        if part is None:
            response = Response(200, file.headers, body)
            if file.data is not None:
                file.whole = response
            elif request.plain:
                # Kept for this turn alone: no file stays open for longer than it is sent.
                self._just_sent[request.path, request.gzip] = response
            return response
        span = ("Content-Range", f"bytes {first}-{first + count - 1}/{file.size}")
        return Response(206, [*file.headers, span], body)

    # ---- files

    def _find(self, path: str, gzip: bool) -> _File | Response:
        """The file for PATH, or the response that says why there is none."""
        if self.folder is None or path == "*":
            return page(404, _not_here(path))
        name = self.folder + path + ("index.html" if path.endswith("/") else "")
        result = self._read(path, name)
        if result is None:
            return page(404, _not_here(path))
        if gzip and isinstance(result, _File):
            packed = self._read(path, name + ".gz", packed=True)
            # One that is older than the file was packed from something else.
            if isinstance(packed, _File) and packed.modified >= result.modified:
                return packed
        return result

    def _read(self, path: str, name: str, packed: bool = False) -> _File | Response | None:
        """The file of this name, from memory if it has not changed."""
        remembered = self._memory.get((name, packed))
        if remembered is not None:
            if remembered.unchanged():
                return remembered
            del self._memory[name, packed]
        if "/." in path:
            return None  # hidden files stay hidden
        opened = self._open(name)
        if opened is None:
            return None
        fd, real, info = opened
        try:
            if stat.S_ISDIR(info.st_mode):
                # Without the slash the page's relative links would start one level too high.
                return None if path.endswith("/") else self._moved(path + "/")
            if not stat.S_ISREG(info.st_mode):
                return None
            data = None
            if info.st_size <= IN_MEMORY:
                data = os.read(fd, IN_MEMORY)
                if len(data) != info.st_size:
                    return None  # it is being written right now
        except OSError:
            return None
        finally:
            os.close(fd)
        file = _File(name, real, info, data, packed)
        if len(self._memory) >= REMEMBERED:
            self._memory.clear()
        self._memory[name, packed] = file
        return file

    def _open(self, name: str) -> tuple[int, str, os.stat_result] | None:
        """(descriptor, true path, what it is) of a file below the folder, else None.

        The open descriptor is asked where it leads, so that neither .. nor a symbolic link, nor
        one that is changed at this very moment, can lead out.
        """
        assert self.folder is not None
        try:
            # Without O_NONBLOCK a named pipe would hold the server until somebody writes into it.
            fd = os.open(name, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
        except (OSError, ValueError):
            return None
        try:
            real = os.readlink(f"/proc/self/fd/{fd}")
            if real == self.folder or real.startswith(self.folder.rstrip("/") + "/"):
                return fd, real, os.fstat(fd)
        except OSError:
            pass
        os.close(fd)
        return None

    @staticmethod
    def _moved(path: str) -> Response:
        safe = b"/-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
        raw = path.encode("utf-8", "surrogateescape")
        location = "".join(chr(c) if c in safe else f"%{c:02X}" for c in raw)
        response = page(301, say("This page has moved."))
        response.headers.append(("Location", location))
        return response


def _not_here(path: str) -> Sentence:
    return say("There is no {path} here.", path=path)


class Hosts:
    """Sites by name, told apart by the request's host; an unknown name gets the first site."""

    def __init__(self, first: Site) -> None:
        self.first = first
        self.by_name: dict[str, Site] = {}

    def new_turn(self) -> None:
        """As Site.new_turn."""
        for site in (self.first, *self.by_name.values()):
            site.new_turn()

    def site(self, request: Request) -> Site:
        """The site that REQUEST is for."""
        return self.by_name.get(request.host, self.first)

    def handle(self, request: Request) -> Response:
        """As Site.handle."""
        return self.site(request).handle(request)

    def takes_body(self, request: Request) -> bool:
        """As Site.takes_body."""
        return self.site(request).takes_body(request)

    def is_quick(self, request: Request) -> bool:
        """As Site.is_quick."""
        return self.site(request).is_quick(request)
