# SPDX-License-Identifier: Apache-2.0
"""The lab's servers, and the names under which the user's browser finds them.

What lives here: the rules by which a server of the lab has a name outside, and back; the same for
links in pages. What must not: sockets, and requests on their way.

1. `http://NAME.TOKEN.localhost:PORT/` is the lab's `http://NAME/`. Another port of the server is a
   label: `NAME.p8080.TOKEN.localhost`; `NAME.s443.TOKEN.localhost` is the lab's `https://NAME/`.
2. A name without the token is nobody's: `inside` gives None for it.
3. For programs that can be told a proxy the lab's names stay what they are (`as_proxy`,
   `proxied`).
4. One server may have the loopback address itself, for programs that know nothing of proxies:
   `http://hoplab:TOKEN@127.0.0.1:PORT/` is the site, with the token as a password (RFC 7617).
"""

from __future__ import annotations

import base64
import hmac
import re
import secrets
from collections.abc import Callable
from typing import Any, NamedTuple

from hoplab.browser.http_peer import value


class Origin(NamedTuple):
    """A server of the lab."""

    host: str
    port: int = 80
    secure: bool = False

    @property
    def authority(self) -> str:
        """Host and port as in a Host header."""
        usual = 443 if self.secure else 80
        return self.host if self.port == usual else f"{self.host}:{self.port}"

    def __str__(self) -> str:
        return f"http{'s' if self.secure else ''}://{self.authority}"


Outside = Callable[[Origin], str]


class Names:
    """The names of one proxy. port: where it listens on the loopback address."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.token = secrets.token_hex(8)
        self._credentials = "Basic " + base64.b64encode(f"hoplab:{self.token}".encode()).decode()
        self.site: Origin | None = None  # the one that rule 4 is about

    def outside(self, origin: Origin) -> str:
        """Host and port under which the browser finds the lab's ORIGIN."""
        host, port, secure = origin
        plain = port == 80 and not secure and not _LABEL.search(host)
        label = "" if plain else f".{'s' if secure else 'p'}{port}"
        return f"{host}{label}.{self.token}.localhost:{self.port}"

    def url(self, url: str) -> str:
        """The lab's URL as the browser should open it. Raises ValueError."""
        match = re.fullmatch(
            r"(https?)://([A-Za-z0-9._-]+)(?::([0-9]{1,5}))?(?:#.*|([/?].*))?", url, re.IGNORECASE
        )
        if match is None:
            raise ValueError(url)
        origin = origin_of(match[1], match[2], match[3])
        path = match[4] or "/"
        return f"http://{self.outside(origin)}{path if path.startswith('/') else '/' + path}"

    @property
    def as_proxy(self) -> str:
        """What http_proxy is to be set to."""
        return f"http://hoplab:{self.token}@127.0.0.1:{self.port}"

    def inside(self, host: str) -> Origin | None:
        """The lab's server that the Host header's name stands for; None without the token."""
        match = re.fullmatch(r"([a-z0-9._-]+)\.([0-9a-f]+)\.localhost", host)
        if match is None or not hmac.compare_digest(match[2], self.token):
            return None
        label = _LABEL.search(match[1])
        if label is None:
            return Origin(match[1])
        return Origin(match[1][: label.start()], int(label[2]), label[1] == "s")

    @property
    def as_site(self) -> str:
        """Where rule 4's server is."""
        return f"http://hoplab:{self.token}@127.0.0.1:{self.port}"

    def is_for_site(self, request: Any) -> bool:
        """Whether a request is meant for rule 4's server, with the token or without."""
        return self.site is not None and host_of(request) in ("127.0.0.1", "localhost")

    def admits_to_site(self, request: Any) -> bool:
        """Whether such a request brings the token."""
        credentials = value(request, "authorization")
        return hmac.compare_digest(credentials.encode(), self._credentials.encode())

    def admits(self, request: Any) -> bool:
        """Whether a request to a proxy brings the user and the password of `as_proxy`."""
        credentials = value(request, "proxy-authorization")
        return hmac.compare_digest(credentials.encode(), self._credentials.encode())

    def named_inside(self, url: str) -> str:
        """A URL of ours as the lab calls it; any other as it is."""
        match = re.fullmatch(r"http://([^/:]+):[0-9]+(.*)", url)
        origin = self.inside(match[1].lower()) if match else None
        return f"{origin}{match[2]}" if match and origin else url


def host_of(request: Any) -> str:
    """The name in the Host header, without the port."""
    text = value(request, "host").lower()
    return re.sub(r":[0-9]*\Z", "", text).rstrip(".")


def proxied(request: Any) -> Origin | None:
    """Where a request goes that names its server itself."""
    text = request.target.decode("ascii")
    if request.method != b"CONNECT":
        if not text.lower().startswith("http://"):
            return None
        text = re.split("[/?#]", text[7:], maxsplit=1)[0]
    match = re.fullmatch(r"([A-Za-z0-9._-]+)(?::([0-9]{1,5}))?", text)
    return origin_of("http", match[1], match[2]) if match else None


# The last label of a name outside: another port, plain (p) or with TLS (s).
_LABEL = re.compile(r"\.([ps])([0-9]{1,5})\Z")
_LINK = re.compile(
    rb"""(\A|\b(?:href|src|action|poster|srcset)\s*=\s*["']?|\burl\s*[(=]\s*["']?"""
    rb"""|@import\s+["'])(?:(https?):)?//([A-Za-z0-9.-]+)(?::([0-9]{1,5}))?(?=[/"'?#\s>)]|\Z)""",
    re.IGNORECASE,
)


def with_links(text: bytes, outside: Outside, secure: bool = False) -> bytes:
    """TEXT with every link to a server by name or address turned to the proxy. SECURE: it came
    over https, which is then what //NAME/ means.

    Pages in a lab cannot mean the world outside: it is not there.
    """
    here = "https" if secure else "http"

    def turned(match: re.Match[bytes]) -> bytes:
        scheme, name, port = (part.decode("ascii") for part in match.groups(b"")[1:])
        origin = origin_of(scheme or here, name, port)
        return match[1] + b"http://" + outside(origin).encode("ascii")

    return _LINK.sub(turned, text)


def origin_of(scheme: str, host: str, port: str | None) -> Origin:
    """Of a URL's parts; without a port it is the scheme's."""
    secure = scheme.lower() == "https"
    return Origin(host.lower(), int(port or (443 if secure else 80)), secure)
