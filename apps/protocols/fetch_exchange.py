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
from protocols.language import Sentence, in_words, listed, say

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
        show: Callable[[float, Sentence, Sentence], object] = lambda ms, step, text: None,
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

    def _done(self, step: Sentence, text: Sentence) -> None:
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

    def _resolve(self) -> list[str]:
        host = self.url.host
        for family in (socket.AF_INET, socket.AF_INET6):
            try:
                socket.inet_pton(family, host)
            except OSError:
                continue
            self._mark("resolved")
            self._done(say("resolve"), say("{host} is an address: no DNS question", host=host))
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
            raise FetchError(
                EXIT_TIMEOUT,
                say(
                    "no answer about the name {host} within {s:g} s", host=host, s=self._timeout_s
                ),
                say("Is the name server in /etc/resolv.conf up, and is there a route to it?"),
            )
        if isinstance(result, socket.gaierror):
            raise FetchError(EXIT_NO_NAME, *_name_error(host, result))
        if isinstance(result, BaseException):
            raise FetchError(
                EXIT_NO_NAME,
                say("{host!r} cannot be resolved: {reason}", host=host, reason=str(result)),
                say("Check the name."),
            )
        self._mark("resolved")
        self._names[host] = result
        text = say("{host} is {addresses}", host=host, addresses=listed(result))
        self._done(say("resolve"), text)
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
            text = say(
                "{ip} port {port} to {ip2} port {port2} (TCP)",
                ip=local[0],
                port=local[1],
                ip2=address,
                port2=port,
            )
            self._done(say("connect"), text)
            return sock
        assert failure is not None
        raise failure

    def _connect_error(self, address: str, error: OSError) -> FetchError:
        where = say("{ip} port {port}", ip=address, port=self.url.port)
        # The kernel gives up by itself after two minutes (ETIMEDOUT, also a TimeoutError).
        if isinstance(error, TimeoutError):
            return FetchError(
                EXIT_TIMEOUT,
                say("no connection to {where} within {s:g} s", where=where, s=self._timeout_s),
                say(
                    "Nobody answers, nobody refuses. See how far packets come: ping {ip}",
                    ip=address,
                ),
            )
        explanations = {
            errno.ECONNREFUSED: (
                say("connection refused"),
                say(
                    "The machine is there, but nothing listens on this port: is the server "
                    "started?"
                ),
            ),
            errno.EHOSTUNREACH: (
                say("no route to host"),
                say(
                    "Nobody has this address, or a router has no way to it: ping {ip}; ip neigh",
                    ip=address,
                ),
            ),
            errno.ENETUNREACH: (
                say("network unreachable"),
                say(
                    "This host, or a router on the way, has no route there. See: ip route; "
                    "traceroute -n {ip}",
                    ip=address,
                ),
            ),
        }
        reason, hint = explanations.get(
            error.errno or 0, (in_words(error), say("See: ip addr; ip route"))
        )
        sentence = say("{where}: {reason}", where=where, reason=reason)
        return FetchError(EXIT_NO_CONNECTION, sentence, hint)

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
            raise _not_trusted(name, error.verify_code, error.verify_message) from None
        except (OSError, ValueError) as error:
            if isinstance(error, TimeoutError):
                raise FetchError(
                    EXIT_TIMEOUT,
                    say("no TLS handshake within {s:g} s", s=self._timeout_s),
                    say("Does this port speak TLS?"),
                ) from None
            if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
                reason: str = say("the server closed the connection")
            elif isinstance(error, ssl.SSLError) and error.reason:
                reason = in_words(error.reason.replace("_", " ").lower())
            else:
                reason = in_words(error)
            raise FetchError(
                EXIT_TLS,
                say("no TLS with {name}: {reason}", name=name, reason=reason),
                say("Does this port speak TLS? Try http://."),
            ) from None
        certificate: Any = secured.getpeercert() or {}
        issuer = dict(pair[0] for pair in certificate.get("issuer", ()))
        cipher = secured.cipher()
        signed = plain(issuer.get("commonName", "?"))
        self._mark("secured")
        text = say(
            "{version}, {cipher}, signed by {issuer}",
            version=secured.version(),
            cipher=cipher and cipher[0],
            issuer=signed,
        )
        self._done(say("tls"), text)
        return secured

    def _request(self, sock: socket.socket) -> None:
        data = request_bytes(self.url, self._method)
        try:
            sock.settimeout(self._left())
            sock.sendall(data)
        except OSError as error:
            raise self._broken(error) from None
        self._mark("sent")
        text = say(
            "{method} {target} ({n} bytes)",
            method=self._method,
            target=self.url.target,
            n=len(data),
        )
        self._done(say("request"), text)

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
        kind = reader.header("content-type") or say("no type")
        self.facts.update(
            status=reader.status, reason=reader.reason, type=kind, bytes=reader.received
        )
        text = say(
            "{status} {reason}, {kind}, {n} bytes",
            status=reader.status,
            reason=reader.reason,
            kind=kind,
            n=reader.received,
        )
        if location := reader.header("location"):
            text = say("{response}; it points to {url}", response=text, url=plain(location))
        self._done(say("response"), text)

    def _broken(self, error: OSError) -> FetchError:
        if isinstance(error, TimeoutError):
            return FetchError(
                EXIT_TIMEOUT,
                say("connected, but no complete response within {s:g} s", s=self._timeout_s),
                say("The server is busy or stuck: see its log."),
            )
        reason = in_words(error)
        sentence = say("the connection broke: {reason}", reason=reason)
        if self.url.port == 443 and not self.url.secure:
            hint = say(
                "Port 443 is that of https, which begins with TLS: try https://{host}/",
                host=self.url.host,
            )
        else:
            hint = say("The server or something between reset it; look at the server's log.")
        return FetchError(EXIT_RECEIVE, sentence, hint)

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
        text = (
            say("the server closed first, then we did")
            if first
            else say("we closed, then the server")
        )
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
            text = say("we closed; the server had not closed after {s:g} s", s=CLOSE_WAIT_S)
        except OSError as error:
            reason = in_words(error)
            text = say("closed, but not in peace: {reason}", reason=reason)
        self._done(say("close"), text)


def _unwrapped(sock: socket.socket) -> socket.socket:
    """Say goodbye in TLS (close_notify); the plain socket is what is left."""
    try:
        sock.settimeout(CLOSE_WAIT_S)
        plain_: socket.socket = sock.unwrap()  # type: ignore[attr-defined]
        return plain_
    except (OSError, ValueError):
        return sock


def _not_trusted(name: str, code: int, message: str) -> FetchError:
    """The error for a certificate that OpenSSL refuses, with its code for that."""
    right_name = say("Ask for the site by a name that its certificate has.")
    reason, hint = {
        9: (
            say("certificate is not yet valid"),
            say("It is not valid yet. Is the clock right? See: date"),
        ),
        10: (
            say("certificate has expired"),
            say("It has expired. Is the clock right? See: date"),
        ),
        62: (
            say("Hostname mismatch, certificate is not valid for '{name}'", name=name),
            right_name,
        ),
        64: (
            say("IP address mismatch, certificate is not valid for '{name}'", name=name),
            right_name,
        ),
    }.get(
        code,
        (
            in_words(message.rstrip(".")),
            say("Give the authority that signed it: fetch --cacert FILE."),
        ),
    )
    sentence = say(
        "the certificate of {name} is not to be trusted: {reason}", name=name, reason=reason
    )
    return FetchError(EXIT_CERTIFICATE, sentence, hint)


def _name_error(host: str, error: socket.gaierror) -> tuple[Sentence, Sentence]:
    """The sentence and the next step for a name that was not found."""
    no_data = getattr(socket, "EAI_NODATA", -5)
    if error.errno == socket.EAI_AGAIN:
        return (
            say("no name server could tell about {host}", host=host),
            say("Is the name server in /etc/resolv.conf up, and is there a route to it?"),
        )
    if error.errno == no_data:
        return (
            say("{host} has no IPv4 address", host=host),
            say("See what it has: dig {host} AAAA", host=host),
        )
    return (
        say("there is no name {host}", host=host),
        say("Check the spelling; ask step by step: dig {host}", host=host),
    )
