# SPDX-License-Identifier: Apache-2.0
"""A gate into a host: TCP connections opened there and used out here.

A socket belongs for ever to the network namespace it was made in, whoever holds its descriptor. So
a small process inside the host resolves names with the host's own resolver, connects, and passes
the connected socket out over a unix socket (SCM_RIGHTS, unix(7)). What is sent on it out here
travels the lab's wires, and nothing but the lab can be reached.

`Gate` is the side out here; `main` is the process inside, which uses the standard library alone.
The messages are JSON, one a packet:

    {"id": 1, "host": NAME, "port": N, "within_s": S}
                                         ->   {"id": 1, "address": A} with a descriptor
                                              {"id": 1, "fault": a code, see `_fault`}
                                              {"id": 1, "reason": the system's own words,
                                                       "number": that of the error}
    {"id": 2, "trusted": true}           ->   {"id": 2, "pem": TEXT or null}

TLS, where it is wanted, is spoken out here. Whom to trust is asked inside: the lab's own authority
(apps/protocols/certificates.py) and nobody else.
"""

from __future__ import annotations

import json
import os
import queue
import socket
import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hoplab.sentences import Sentence

CONNECT_S = 20.0
# Where a lab keeps the certificate of its authority, as in apps/protocols/certificates.py.
LAB_CA = "/run/hoplab-ca/ca.pem"
_LARGEST = 65_536


class Refused(Exception):
    """The host could not connect; the sentence says why."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Gate:
    """Asks the process inside for connections; any thread may."""

    def __init__(self, channel: socket.socket) -> None:
        from hoplab.wait import patience  # here: the process inside may not find hoplab

        self._within_s = CONNECT_S * patience()
        self._channel = channel
        self.ended = False  # the lab has gone
        self.on_end: Callable[[], None] = lambda: None
        self._lock = threading.Lock()
        self._number = 0
        self._waiting: dict[int, queue.SimpleQueue[tuple[dict[str, Any], list[int]]]] = {}
        threading.Thread(target=self._listen, daemon=True).start()

    def connect(self, host: str, port: int, secure: bool = False) -> socket.socket:
        """A TCP connection from the host to HOST, a name or an address; SECURE: with TLS on it,
        the server's certificate checked. Raises Refused."""
        answer, fds = self._ask({"host": host, "port": port, "within_s": self._within_s})
        if not fds:
            raise Refused(_refusal(answer, host, port))
        sock = socket.socket(fileno=fds[0])
        return self._secured(sock, host, port) if secure else sock

    def trusted(self) -> str | None:
        """The certificate of the lab's authority as PEM text; None: the lab has none. Raises
        Refused."""
        pem = self._ask({"trusted": True})[0].get("pem")
        return None if pem is None else str(pem)

    def _secured(self, sock: socket.socket, host: str, port: int) -> socket.socket:
        """The TLS handshake (RFC 8446)."""
        import ssl  # here: the process inside needs none of it

        from hoplab.sentences import say

        try:
            pem = self.trusted()
            if pem is None:
                raise Refused(
                    say(
                        "{host} port {port}: the lab has no certificate authority to trust",
                        host=host,
                        port=port,
                    )
                )
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.load_verify_locations(cadata=pem)
            context.set_alpn_protocols(["http/1.1"])
            sock.settimeout(self._within_s)
            return context.wrap_socket(sock, server_hostname=host)
        except ssl.SSLCertVerificationError as error:
            fault = say(
                "its certificate is not to be trusted: {reason}", reason=error.verify_message
            )
        except (OSError, ValueError) as error:
            # OpenSSL's own words, which it writes as names of constants.
            words = (getattr(error, "reason", None) or str(error)).replace("_", " ").lower()
            fault = say("no TLS: {reason}", reason=words)
        except Refused:
            sock.close()
            raise
        sock.close()
        raise Refused(say("{host} port {port}: {reason}", host=host, port=port, reason=fault))

    def _ask(self, wish: dict[str, Any]) -> tuple[dict[str, Any], list[int]]:
        """A message to the process inside, and its answer. Raises Refused."""
        box: queue.SimpleQueue[tuple[dict[str, Any], list[int]]] = queue.SimpleQueue()
        with self._lock:
            self._number += 1
            number = self._number
            self._waiting[number] = box
        try:
            self._channel.send(json.dumps({"id": number, **wish}).encode())
            return box.get(timeout=self._within_s * 2)
        except (OSError, queue.Empty):
            raise Refused(_fault("silent")) from None
        finally:
            self._waiting.pop(number, None)

    def _listen(self) -> None:
        while True:
            try:
                data, fds, _, _ = socket.recv_fds(self._channel, _LARGEST, 1)
            except OSError:
                data, fds = b"", []
            if not data:
                for box in list(self._waiting.values()):
                    box.put(({"fault": "ended"}, []))
                self.ended = True
                self.on_end()
                return
            answer = json.loads(data)
            waiting = self._waiting.get(answer["id"])
            if waiting is not None:
                waiting.put((answer, fds))
            else:
                for fd in fds:
                    os.close(fd)


def _fault(code: str) -> Sentence:
    """What a code of the process inside, or of the lab's end, says."""
    from hoplab.sentences import term  # here: the process inside may not find hoplab

    sentences = {
        "silent": term("the lab does not answer any more"),
        "ended": term("the lab has ended"),
        "no-address": term("it has no address"),
        "late": term("it took too long"),
    }
    return sentences[code]


def _refusal(answer: dict[str, Any], host: str, port: int) -> Sentence:
    """Why there is no connection."""
    from hoplab.errors import reason_of
    from hoplab.sentences import say

    code = answer.get("fault", "")
    if code in ("", "no-address", "late"):
        refusal = OSError(answer.get("number", 0), str(answer.get("reason", "")))
        reason = _fault(code) if code else reason_of(refusal)
        return say("{host} port {port}: {reason}", host=host, port=port, reason=reason)
    return _fault(code)


# ---- inside the host ---------------------------------------------------------------------------


class NoAddress(Exception):
    """A name that is there and leads nowhere."""


def main() -> int:
    """Serve the unix socket that is our stdin, until it closes."""
    channel = socket.socket(fileno=os.dup(0))
    while True:
        try:
            data = channel.recv(_LARGEST)
        except OSError:
            return 0
        if not data:
            return 0
        threading.Thread(target=_serve, args=(channel, json.loads(data)), daemon=True).start()


def _serve(channel: socket.socket, wish: dict[str, Any]) -> None:
    answer: dict[str, Any] = {"id": wish["id"]}
    fds: list[int] = []
    sock = None
    try:
        if "trusted" in wish:
            answer["pem"] = _lab_authority()
            return
        sock = _connect(str(wish["host"]), int(wish["port"]), float(wish["within_s"]))
        answer["address"] = sock.getpeername()[0]
        fds = [sock.fileno()]
    except NoAddress:
        answer["fault"] = "no-address"
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        number = getattr(error, "errno", None) or 0
        answer |= {"reason": reason, "number": number} if reason else {"fault": "late"}
    finally:
        try:
            socket.send_fds(channel, [json.dumps(answer).encode()], fds)
        except OSError:
            pass  # nobody waits any more
        if sock is not None:
            sock.close()


def _lab_authority() -> str | None:
    try:
        with open(LAB_CA, encoding="ascii") as file:
            return file.read(_LARGEST // 2)
    except (OSError, ValueError):
        return None


def _addresses(host: str, port: int) -> list[Any]:
    """As fetch.py does it: IPv4 alone is asked for, so that one question goes out, and IPv6 only
    when there is nothing else."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.getaddrinfo(host, port, family, socket.SOCK_STREAM)
    except socket.gaierror as error:
        if error.errno != socket.EAI_NODATA:
            raise
        flags = socket.AI_ADDRCONFIG
        try:
            return socket.getaddrinfo(host, port, socket.AF_INET6, socket.SOCK_STREAM, 0, flags)
        except socket.gaierror:
            raise error from None


def _connect(host: str, port: int, within_s: float) -> socket.socket:
    failure: OSError | None = None
    for entry in _addresses(host, port):
        sock = socket.socket(entry[0], socket.SOCK_STREAM)
        try:
            sock.settimeout(within_s)
            sock.connect(entry[4])
            sock.settimeout(None)  # whoever gets the descriptor shares this setting
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return sock
        except OSError as error:
            sock.close()
            failure = error
    if failure is None:
        raise NoAddress
    raise failure


if __name__ == "__main__":
    sys.exit(main())
