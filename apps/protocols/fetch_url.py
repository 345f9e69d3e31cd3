# SPDX-License-Identifier: Apache-2.0
"""URLs: taken apart, joined, and found in a page (RFC 3986, as far as http and https go).

The cast
    `Url`       host, port, target; `parse_url` makes one of a text
    `joined`    a link as it is meant on the page that has it
    `shown_by`  what a browser fetches to show a page; `shown_by_css` for style sheets
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from protocols.fetch_errors import EXIT_USAGE, FetchError
from protocols.language import say


class Url(NamedTuple):
    """An http or https URL taken apart."""

    host: str  # as it is resolved: a name, or an address without brackets
    port: int
    target: str  # path and query, as it stands in the request line
    secure: bool = False  # https

    @property
    def authority(self) -> str:
        """Host and port as they stand in the Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.secure else 80) else f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"http{'s' if self.secure else ''}://{self.authority}{self.target}"


def parse_url(text: str) -> Url:
    """Take TEXT apart, or raise FetchError with exit code 2."""
    scheme, separator, rest = text.partition("://")
    if not separator:
        raise FetchError(
            EXIT_USAGE, say("{text!r} is no URL", text=text), say("Write http://{text}", text=text)
        )
    secure = scheme.lower() == "https"
    if not secure and scheme.lower() != "http":
        raise FetchError(
            EXIT_USAGE,
            say("{scheme}:// is not spoken here, only http and https", scheme=scheme),
            say("Write http:// instead."),
        )
    match = re.match(r"([^/?#]*)([^#]*)", rest)
    assert match is not None
    authority, path = match[1], match[2]
    hint = say("Write http://NAME/PATH or http://NAME:PORT/PATH.")
    if "@" in authority:
        raise FetchError(EXIT_USAGE, say("a user name in the URL is not supported"), hint)
    parts = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\[\]:\s]+))(?::([0-9]{0,5}))?", authority)
    if parts is None:
        raise FetchError(EXIT_USAGE, say("{text!r} is no host", text=authority), hint)
    port = int(parts[3] or (443 if secure else 80))
    if not 0 < port < 65536:
        raise FetchError(EXIT_USAGE, say("{port} is no port", port=port), hint)
    host = parts[1] or parts[2]
    if not host.isascii():
        try:
            host = host.encode("idna").decode("ascii")
        except UnicodeError:
            sentence = say("{text!r} is no host name", text=host)
            raise FetchError(EXIT_USAGE, sentence, hint) from None
    if not path.startswith("/"):
        path = "/" + path
    # Whatever may not stand in a request line is escaped, so that it cannot break out of it.
    raw = path.encode("utf-8", "surrogateescape")
    target = "".join(chr(c) if 0x20 < c < 0x7F else f"%{c:02X}" for c in raw)
    return Url(host, port, target, secure)


def joined(base: Url, link: str) -> Url:
    """LINK as it is meant on the page BASE. Raises FetchError."""
    from urllib.parse import urljoin  # here and below, since a plain fetch needs none

    return parse_url(urljoin(str(base), link))


def shown_by(page: str, base: Url) -> list[Url]:
    """What a browser fetches to show this HTML: style sheets, scripts, pictures, its icon."""
    from html.parser import HTMLParser

    links: list[str] = []

    class Finder(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            values = {name: value or "" for name, value in attrs}
            rel = values.get("rel", "").lower().split()
            if tag == "link" and {"stylesheet", "icon"} & set(rel):
                links.append(values.get("href", ""))
            elif tag in ("img", "script", "source", "video", "audio", "iframe", "embed"):
                links.append(values.get("src", ""))

    Finder().feed(page)
    return _fetchable(links, base)


def shown_by_css(text: str, base: Url) -> list[Url]:
    """What a style sheet brings in: url(...) and @import."""
    matches = re.findall(r"""url\(\s*["']?([^"')]+)["']?\s*\)|@import\s+["']([^"']+)["']""", text)
    return _fetchable([first or second for first, second in matches], base)


def _fetchable(links: Sequence[str], base: Url) -> list[Url]:
    urls = []
    for link in links:
        if link and not link.lower().startswith(("data:", "#", "javascript:", "about:")):
            try:
                urls.append(joined(base, link.strip()))
            except (FetchError, ValueError):
                continue
    return list(dict.fromkeys(urls))
