# SPDX-License-Identifier: Apache-2.0
"""Several exchanges: redirects followed, connections used again, a page with all it shows.

The cast
    `Session`    keeps the connections, and the exchanges in the order in which they began
    `fetch_all`  a page, what it shows, and what its style sheets bring in
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

from protocols.fetch_errors import EXIT_REDIRECTS, EXIT_TIMEOUT, FetchError
from protocols.fetch_exchange import Fetch, Link
from protocols.fetch_url import Url, joined, shown_by, shown_by_css
from protocols.language import say

CONNECTIONS = 6  # to one server at a time, as browsers do
MOST_RESOURCES = 200


class Session:
    """Several fetches: redirects, and a page with all that it shows."""

    def __init__(
        self,
        make: Callable[..., Fetch],
        connections: int = CONNECTIONS,
        most_redirects: int = 10,
    ) -> None:
        self.fetches: list[Fetch] = []  # in the order in which they began
        self._make = make
        self._connections = connections
        self._most_redirects = most_redirects
        self._idle: dict[tuple[str, int, bool], list[Link]] = {}
        self._opened = 0  # connections so far
        self._lock = threading.Lock()

    def get(self, url: Url, **options: Any) -> Fetch:
        """Fetch URL, and where it points to, until there is an answer. Raises FetchError."""
        for _ in range(self._most_redirects + 1):
            fetch = self._once(url, **options)
            if fetch.redirect is None or self._most_redirects == 0:
                return fetch
            url = joined(url, fetch.redirect)
        raise FetchError(
            EXIT_REDIRECTS,
            say(
                "more than {most} redirects, the last to {url}",
                most=self._most_redirects,
                url=str(url),
            ),
            say("Do two pages point to each other? --max-redirects 0 shows each answer by itself."),
        )

    def _once(self, url: Url, **options: Any) -> Fetch:
        """One exchange, on an idle connection if there is one."""
        origin = (url.host, url.port, url.secure)
        with self._lock:
            fetch = self._make(url, **options)
            self.fetches.append(fetch)
            idle = self._idle.get(origin)
            link = idle.pop() if idle else None
            self._opened += link is None
            number = self._opened
        try:
            fetch.exchange(link, number)
        except FetchError as error:
            if fetch.link is not None:
                fetch.link.sock.close()
            if link is not None and "first" not in fetch.at and error.code != EXIT_TIMEOUT:
                # The server closed while the connection was idle: that is its right, and a
                # GET may simply be sent again (RFC 9112 section 9.3.1).
                with self._lock:
                    self.fetches.remove(fetch)
                    self._idle[origin] = []
                return self._once(url, **options)
            fetch.error = error
            raise
        assert fetch.link is not None
        if fetch.reader.keeps:
            with self._lock:
                self._idle.setdefault(origin, []).append(fetch.link)
        else:
            with fetch.link.sock:
                fetch.close()
        return fetch

    def all_of(self, urls: Sequence[Url]) -> None:
        """Fetch these, several at a time; what fails says so in its `error`."""
        waiting = list(urls)

        def work() -> None:
            while True:
                with self._lock:
                    if not waiting:
                        return
                    url = waiting.pop(0)
                try:
                    self.get(url)
                except FetchError:
                    pass

        workers = [
            threading.Thread(target=work, daemon=True)
            for _ in range(min(self._connections, len(waiting)))
        ]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()

    def end(self) -> None:
        """Close what is open."""
        for idle in self._idle.values():
            for link in idle:
                fetch = next(f for f in self.fetches if f.link is link)
                with link.sock:
                    fetch.close()
        self._idle.clear()


def fetch_all(session: Session, url: Url, bodies: dict[int, bytearray], **options: Any) -> Fetch:
    """The page at URL, and then what it shows, and what its style sheets bring in. `bodies` holds
    what came, by the id of the fetch. Raises FetchError if the page itself cannot be had."""
    page = session.get(url, **options)
    requested = {fetch.url for fetch in session.fetches}
    examined = 0
    while examined < len(session.fetches) < MOST_RESOURCES:
        finished = session.fetches[examined:]
        examined = len(session.fetches)
        urls: list[Url] = []
        for fetch in finished:
            kind = fetch.reader.header("content-type").partition(";")[0].lower()
            text = bytes(bodies.get(id(fetch), b"")).decode("utf-8", "replace")
            if fetch.error is None and kind == "text/html" and fetch is page:
                urls += shown_by(text, fetch.url)
            elif fetch.error is None and kind == "text/css":
                urls += shown_by_css(text, fetch.url)
        urls = [url for url in dict.fromkeys(urls) if url not in requested]
        requested.update(urls)
        session.all_of(urls[: MOST_RESOURCES - len(session.fetches)])
    return page
