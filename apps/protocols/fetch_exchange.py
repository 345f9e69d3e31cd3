# SPDX-License-Identifier: Apache-2.0
"""One request and its answer: resolve, connect, secure, request, response, close.

The cast
    `Fetch`  the exchange, its steps with their times; the only part with sockets
    `Link`   a connection, which several exchanges may use
"""

from __future__ import annotations

import errno
import os
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

from protocols.fetch_errors import (
    EXIT_CERTIFICATE,
    EXIT_NO_CONNECTION,
    EXIT_NO_NAME,
    EXIT_RECEIVE,
    EXIT_TIMEOUT,
    EXIT_TLS,
    FetchError,
)
from protocols.fetch_response import ResponseReader, plain, request_bytes
from protocols.fetch_url import Url

CLOSE_WAIT_S = 1.0
REDIRECTS = (301, 302, 303, 307, 308)
# Where a lab keeps the certificate of its own authority (certificates.py).
LAB_CA = "/run/hoplab-ca/ca.pem"


class Link:
    """An open connection to a server; `number` counts them, from 1."""

    def __init__(self, sock: socket.socket, number: int) -> None:
        self.sock = sock
        self.number = number
        self.used = 0


class Fetch:
    """One exchange. `run` goes through the steps; `steps` and `facts` tell afterwards what was.

    `at` holds moments in seconds since `epoch` (of time.perf_counter): begin, resolved, connected,
    secured, sent, first (byte of the answer), done. Steps that were not needed are not in it.
    """

    def __init__(
        self,
        url: Url,
        method: str = "GET",
        timeout_s: float = 10.0,
        sink: Callable[[bytes], object] | None = None,
        show: Callable[[float, str, str], object] = lambda ms, step, text: None,
        cacert: str | None = None,
        epoch: float | None = None,
        names: dict[str, list[str]] | None = None,
    ) -> None:
        self.url = url
        self.reader = ResponseReader(method, sink)
        self.steps: list[dict[str, object]] = []
        self.facts: dict[str, object] = {}
        self.at: dict[str, float] = {}
        self.link: Link | None = None
        self.reused = False
        self.error: FetchError | None = None
        self._method = method
        self._timeout_s = timeout_s
        self._show = show
        self._cacert = cacert
        self._names = {} if names is None else names  # those that have been resolved already
        self._start = time.perf_counter()
        self._epoch = self._start if epoch is None else epoch
        self._since = self._start
        self._mark("begin")

    def run(self) -> None:
        """All steps, on a connection of its own; raises FetchError at the first that fails."""
        try:
            self.exchange(None, 1)
        finally:
            if self.link is not None:
                with self.link.sock:
                    if self.reader.state == "done":
                        self.close()

    def exchange(self, link: Link | None, number: int) -> None:
        """All steps but the close. LINK is a connection that is open already; a new one is the
        NUMBERth. Raises FetchError."""
        if link is None:
            link = Link(self._connect(self._resolve()), number)
            self.link = link
            if self.url.secure:
                link.sock = self._secure(link.sock)
        else:
            self.reused = True
            self.facts["reused"] = link.number
        self.link = link
        link.used += 1
        self._request(link.sock)
        self._response(link.sock)

    def close(self) -> None:
        """The last step."""
        assert self.link is not None
        self._since = time.perf_counter()
        self._close(self.link.sock)

    @property
    def redirect(self) -> str | None:
        """Where the answer points to, if it is a redirect."""
        return self.reader.header("location") or None if self.reader.status in REDIRECTS else None

    def _mark(self, moment: str) -> None:
        self.at[moment] = time.perf_counter() - self._epoch

    def _done(self, step: str, text: str) -> None:
        now = time.perf_counter()
        ms = (now - self._since) * 1000
        at_ms = (self._since - self._start) * 1000
        self._since = now
        self.steps.append(
            {"step": step, "at_ms": round(at_ms, 3), "ms": round(ms, 3), "text": text}
        )
        self._show(ms, step, text)

    def _left(self) -> float:
        left = self._start + self._timeout_s - time.perf_counter()
        if left <= 0:
            raise TimeoutError
        return left

    def _timed_out(self, event: str, hint: str) -> FetchError:
        return FetchError(EXIT_TIMEOUT, f"{event} within {self._timeout_s:g} s", hint)

    def _resolve(self) -> list[str]:
        host = self.url.host
        for family in (socket.AF_INET, socket.AF_INET6):
            try:
                socket.inet_pton(family, host)
            except OSError:
                continue
            self._mark("resolved")
            self._done("resolve", f"{host} is an address: no DNS question")
            return [host]
        if host in self._names:
            return self._names[host]
        result: list[str] | BaseException | None = None

        def ask() -> None:
            nonlocal result
            try:
                # AF_INET makes it one question, for A. Without it AAAA would be asked as well.
                try:
                    entries = socket.getaddrinfo(host, None, socket.AF_INET, socket.SOCK_STREAM)
                except socket.gaierror as error:
                    if error.errno != socket.EAI_NODATA:
                        raise
                    # The name has no A record. AI_ADDRCONFIG asks only where this host has IPv6.
                    family, flags = socket.AF_INET6, socket.AI_ADDRCONFIG
                    try:
                        entries = socket.getaddrinfo(
                            host, None, family, socket.SOCK_STREAM, 0, flags
                        )
                    except socket.gaierror:
                        raise error from None
                result = list(dict.fromkeys(str(entry[4][0]) for entry in entries))
            except BaseException as error:
                result = error

        # getaddrinfo has no timeout of its own and cannot be interrupted; a thread can be left.
        worker = threading.Thread(target=ask, daemon=True)
        worker.start()
        worker.join(self._timeout_s)
        if result is None:
            raise self._timed_out(
                f"no answer about the name {host}",
                "Is the name server in /etc/resolv.conf up, and is there a route to it?",
            )
        if isinstance(result, socket.gaierror):
            raise FetchError(EXIT_NO_NAME, *_name_error(host, result))
        if isinstance(result, BaseException):
            raise FetchError(
                EXIT_NO_NAME, f"{host!r} cannot be resolved: {result}", "Check the name."
            )
        self._mark("resolved")
        self._names[host] = result
        self._done("resolve", f"{host} is {', '.join(result)}")
        return result

    def _connect(self, addresses: list[str]) -> socket.socket:
        port = self.url.port
        failure: FetchError | None = None
        for address in addresses:
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            sock = socket.socket(family, socket.SOCK_STREAM)
            try:
                sock.settimeout(self._left())
                sock.connect((address, port))
            except OSError as error:
                sock.close()
                failure = self._connect_error(address, error)
                if failure.code == EXIT_TIMEOUT:
                    break
                continue
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            local = sock.getsockname()
            self.facts.update(address=address, port=port, local=[local[0], local[1]])
            self._mark("connected")
            self._done("connect", f"{local[0]} port {local[1]} to {address} port {port} (TCP)")
            return sock
        assert failure is not None
        raise failure

    def _connect_error(self, address: str, error: OSError) -> FetchError:
        where = f"{address} port {self.url.port}"
        # The kernel gives up by itself after two minutes (ETIMEDOUT, also a TimeoutError).
        if isinstance(error, TimeoutError):
            hint = f"Nobody answers, nobody refuses. See how far packets come: ping {address}"
            return self._timed_out(f"no connection to {where}", hint)
        explanations = {
            errno.ECONNREFUSED: (
                "connection refused",
                "The machine is there, but nothing listens on this port: is the server started?",
            ),
            errno.EHOSTUNREACH: (
                "no route to host",
                f"Nobody has this address, or a router has no way to it: ping {address}; ip neigh",
            ),
            errno.ENETUNREACH: (
                "network unreachable",
                "This host, or a router on the way, has no route there. See: ip route; "
                f"traceroute -n {address}",
            ),
        }
        text, hint = explanations.get(
            error.errno or 0, (error.strerror or str(error), "See: ip addr; ip route")
        )
        return FetchError(EXIT_NO_CONNECTION, f"{where}: {text}", hint)

    def _secure(self, sock: socket.socket) -> socket.socket:
        """The TLS handshake (RFC 8446): who are you, and which key do we use?"""
        import ssl  # imported here, since most of a lab's web is plain text

        name = self.url.host
        try:
            ca = self._cacert or (LAB_CA if os.path.exists(LAB_CA) else None)
            context = ssl.create_default_context(cafile=ca)
            context.set_alpn_protocols(["http/1.1"])
            sock.settimeout(self._left())
            secured = context.wrap_socket(sock, server_hostname=name)
        except ssl.SSLCertVerificationError as error:
            hint = {
                9: "It is not valid yet. Is the clock right? See: date",
                10: "It has expired. Is the clock right? See: date",
                62: "Ask for the site by a name that its certificate has.",
                64: "Ask for the site by a name that its certificate has.",
            }.get(error.verify_code, "Give the authority that signed it: fetch --cacert FILE.")
            why = error.verify_message.rstrip(".")
            raise FetchError(
                EXIT_CERTIFICATE, f"the certificate of {name} is not to be trusted: {why}", hint
            ) from None
        except (OSError, ValueError) as error:
            if isinstance(error, TimeoutError):
                raise self._timed_out("no TLS handshake", "Does this port speak TLS?") from None
            why = (getattr(error, "reason", None) or str(error)).replace("_", " ").lower()
            raise FetchError(
                EXIT_TLS, f"no TLS with {name}: {why}", "Does this port speak TLS? Try http://."
            ) from None
        certificate: Any = secured.getpeercert() or {}
        issuer = dict(pair[0] for pair in certificate.get("issuer", ()))
        cipher = secured.cipher()
        signed = plain(issuer.get("commonName", "?"))
        self._mark("secured")
        self._done("tls", f"{secured.version()}, {cipher and cipher[0]}, signed by {signed}")
        return secured

    def _request(self, sock: socket.socket) -> None:
        data = request_bytes(self.url, self._method)
        try:
            sock.settimeout(self._left())
            sock.sendall(data)
        except OSError as error:
            raise self._broken(error) from None
        self._mark("sent")
        self._done("request", f"{self._method} {self.url.target} ({len(data)} bytes)")

    def _response(self, sock: socket.socket) -> None:
        reader = self.reader
        try:
            while reader.state != "done":
                sock.settimeout(self._left())
                data = sock.recv(65536)
                if data:
                    if "first" not in self.at:
                        self._mark("first")
                    reader.feed(data)
                else:
                    reader.end()
        except OSError as error:
            raise self._broken(error) from None
        self._mark("done")
        kind = reader.header("content-type", "no type")
        self.facts.update(
            status=reader.status, reason=reader.reason, type=kind, bytes=reader.received
        )
        text = f"{reader.status} {reader.reason}, {kind}, {reader.received} bytes"
        if location := reader.header("location"):
            text += f"; it points to {plain(location)}"
        self._done("response", text)

    def _broken(self, error: OSError) -> FetchError:
        if isinstance(error, TimeoutError):
            return self._timed_out(
                "connected, but no complete response", "The server is busy or stuck: see its log."
            )
        if self.url.port == 443 and not self.url.secure:
            hint = f"Port 443 is that of https, which begins with TLS: try https://{self.url.host}/"
            return FetchError(EXIT_RECEIVE, f"the connection broke: {error.strerror}", hint)
        return FetchError(
            EXIT_RECEIVE,
            f"the connection broke: {error.strerror or error}",
            "The server or something between reset it; look at the server's log.",
        )

    def _close(self, sock: socket.socket) -> None:
        """Our FIN first, then wait for the server's: the four-way close (RFC 9293 section 3.6)."""
        if self.url.secure:
            sock = _unwrapped(sock)
        try:
            # With a timeout the socket would wait for something to read, whatever the flags say.
            sock.setblocking(False)
            first = sock.recv(1, socket.MSG_PEEK) == b""
        except OSError:
            first = False
        text = "the server closed first, then we did" if first else "we closed, then the server"
        try:
            sock.shutdown(socket.SHUT_WR)
            deadline = time.perf_counter() + CLOSE_WAIT_S
            while (left := deadline - time.perf_counter()) > 0:
                sock.settimeout(left)
                if not sock.recv(65536):
                    break
            else:
                raise TimeoutError
        except TimeoutError:
            text = f"we closed; the server had not closed after {CLOSE_WAIT_S:g} s"
        except OSError as error:
            text = f"closed, but not in peace: {error.strerror or error}"
        self._done("close", text)


def _unwrapped(sock: socket.socket) -> socket.socket:
    """Say goodbye in TLS (close_notify); the plain socket is what is left."""
    try:
        sock.settimeout(CLOSE_WAIT_S)
        plain_: socket.socket = sock.unwrap()  # type: ignore[attr-defined]
        return plain_
    except (OSError, ValueError):
        return sock


def _name_error(host: str, error: socket.gaierror) -> tuple[str, str]:
    """The sentence and the next step for a name that was not found."""
    no_data = getattr(socket, "EAI_NODATA", -5)
    if error.errno == socket.EAI_AGAIN:
        return (
            f"no name server could tell about {host}",
            "Is the name server in /etc/resolv.conf up, and is there a route to it?",
        )
    if error.errno == no_data:
        return f"{host} has no IPv4 address", f"See what it has: dig {host} AAAA"
    return f"there is no name {host}", f"Check the spelling; ask step by step: dig {host}"
