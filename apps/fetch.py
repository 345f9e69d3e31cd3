# SPDX-License-Identifier: Apache-2.0
"""Fetch a URL and print each step: resolve, connect, request, response, close.

The cast (names with fetch_ are files in protocols/)
    `fetch_url`       http://host:port/path taken apart, and found in a page
    `fetch_response`  the request as it goes out, the response as it comes in
    `fetch_exchange`  one of each, its steps with their times; the only part with sockets
    `fetch_session`   several: redirects, connections used again, a page with all it shows
    `fetch_errors`    a sentence, a next step, and the exit code
    `language`        what is printed, in the user's language

Run it on a host of the lab:

    python3 apps/fetch.py http://www.itheima.com/
    python3 apps/fetch.py http://www.itheima.com/ --all
    python3 apps/fetch.py http://www.itheima.com/ --output page.html
    python3 apps/fetch.py http://10.80.0.80/nothing-here --json

The name is resolved by the host's own resolver, with IPv4 alone asked for, so that one question
goes out. The connection is offered for more (keep-alive) and then closed by the client first.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence

# With -I or -P Python does not look beside the program for modules; this one's are there.
sys.path.append(os.path.dirname(os.path.realpath(__file__)))
try:
    from protocols import service
    from protocols.command_line import Parser
    from protocols.fetch_errors import EXIT_HTTP_ERROR, EXIT_OK, EXIT_WRITE, FetchError
    from protocols.fetch_exchange import LAB_CA, Fetch
    from protocols.fetch_response import plain
    from protocols.fetch_session import CONNECTIONS, Session, fetch_all
    from protocols.fetch_url import Url, parse_url
    from protocols.language import Sentence, in_words, padded, say, spoken, width
except ImportError as missing:
    import shlex  # imported here, since only this sentence needs it

    folder, program = os.path.split(os.path.abspath(__file__))
    print(
        f"{program} needs the folder protocols beside it ({missing}).\n"
        f'  Next: cp -r "$(dirname "$(hoplab path fetch)")"/protocols {shlex.quote(folder)}',
        file=sys.stderr,
    )
    raise SystemExit(2) from None

MOST_READ = 4 << 20  # octets of a page or a style sheet that are looked through
PHASES = (
    ("resolved", ".", "name"), ("connected", "+", "connect"), ("secured", "*", "TLS"),
    ("sent", "-", "wait"), ("first", "-", "wait"), ("done", "#", "receive"),
)  # fmt: skip


def waterfall(fetches: Sequence[Fetch], columns: int = 40) -> list[str]:
    """A line for each fetch: its connection, status, size, and when it did what."""
    end = max((max(fetch.at.values()) for fetch in fetches), default=0.0) or 1e-9
    start = min((fetch.at["begin"] for fetch in fetches), default=0.0)
    scale = columns / max(end - start, 1e-9)
    heads = spoken(say("  on  code    bytes"))
    lines = [f"{heads}  |{f'{(end - start) * 1000:.1f} ms':->{columns}}|"]
    for fetch in fetches:
        bar = [" "] * columns
        last = fetch.at["begin"]
        for moment, sign, _ in PHASES:
            if moment not in fetch.at:
                continue
            first, past = (int((t - start) * scale) for t in (last, fetch.at[moment]))
            for column in range(min(first, columns - 1), min(max(past, first + 1), columns)):
                bar[column] = sign
            last = fetch.at[moment]
        number = str(fetch.link.number) if fetch.link else "-"
        code = str(fetch.reader.status or "-") if fetch.error is None else spoken(say("fail"))
        code = " " * (4 - width(code)) + code
        name = fetch.url.target if fetch.url.host == fetches[0].url.host else str(fetch.url)
        row = f"{number:>4}  {code} {fetch.reader.received:>8,}  |{''.join(bar)}|"
        lines.append(f"{row} {plain(name)}")
    legend = say("  . name   + connect   * TLS   - wait   # receive      on: which connection")
    lines.append(spoken(legend))
    return lines


class Output:
    """Where the body goes: a file, stdout ("-"), or nowhere (None).

    Opened when the first bytes come, so that a fetch that fails leaves an older file alone.
    """

    def __init__(self, where: str | None) -> None:
        self._where = where
        self._fd: int | None = 1 if where == "-" else None

    def write(self, data: bytes) -> None:
        """Write DATA; empty DATA makes the file all the same. Raises FetchError."""
        if self._where is None:
            return
        try:
            if self._fd is None:
                flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
                self._fd = os.open(self._where, flags, 0o666)
            while data:
                data = data[os.write(self._fd, data) :]
        except OSError as error:
            raise FetchError(
                EXIT_WRITE,
                say("cannot write {path}: {reason}", path=self._where, reason=in_words(error)),
                say("Choose another --output, or make room."),
            ) from None


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = Parser(
        "fetch.py",
        say("Fetch a URL and print each step with its time."),
        """  python3 apps/fetch.py http://www.itheima.com/
  python3 apps/fetch.py http://www.itheima.com/ --all
  python3 apps/fetch.py http://www.itheima.com/network.png --output network.png
  python3 apps/fetch.py https://www.itheima.com/ --cacert ca.pem
  python3 apps/fetch.py http://10.80.0.80/ --head
  python3 apps/fetch.py http://closed.itheima.com/ --json""",
        say(
            "exit codes: 0 fetched; 1 status 400 or above; 2 bad options or URL; 6 name not "
            "found; 7 refused, no\n"
            "route or network unreachable; 8 no HTTP; 18 body cut short; 23 cannot write; 28 "
            "timeout; 35 no TLS;\n"
            "47 too many redirects; 52 empty reply; 56 connection broke; 60 certificate not "
            "trusted (curl's\n"
            "numbers, except for 1 and 2)"
        ),
    )
    parser.add_argument("url", metavar="URL", help=say("such as http://www.itheima.com/"))
    parser.add_argument("--head", action="store_true", help=say("ask for the head alone"))
    parser.add_argument("--json", action="store_true", help=say("print one JSON object instead"))
    parser.add_argument(
        "--output",
        metavar="FILE",
        help=say("write the body to FILE (-: stdout, the steps to stderr)"),
    )
    parser.add_argument(
        "--all",
        action="store_true",
        help=say(
            "fetch what the page shows too (pictures, style sheets, scripts), as a browser does"
        ),
    )
    parser.add_argument(
        "--connections",
        metavar="N",
        type=service.number(1, 100),
        default=CONNECTIONS,
        help=say("with --all: so many at a time (default %(default)s)"),
    )
    parser.add_argument(
        "--max-redirects",
        metavar="N",
        type=service.number(0, 100),
        default=10,
        help=say("follow so many (default %(default)s; 0: none)"),
    )
    parser.add_argument(
        "--cacert",
        metavar="FILE",
        help=say(
            "whom to trust for https (default: {file} if it is there, else the system's)",
            file=LAB_CA,
        ),
    )
    parser.add_argument(
        "--timeout",
        metavar="S",
        type=service.seconds,
        default=10.0,
        help=say("for all (default %(default)s)"),
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Fetch, print, and return the exit code."""
    args = build_parser().parse_args(argv)
    steps_to = sys.stderr if args.output == "-" else sys.stdout

    def show(ms: float, step: Sentence, text: Sentence) -> None:
        if not args.json:
            name, words = padded(spoken(step), 9), plain(spoken(text))
            print(f"{ms:9.1f} ms  {name} {words}", file=steps_to, flush=True)

    output = Output(args.output)
    bodies: dict[int, bytearray] = {}
    names: dict[str, list[str]] = {}
    started = time.perf_counter()

    def make(url: Url, first: bool = False) -> Fetch:
        method = "HEAD" if args.head else "GET"
        # The lines of many at once would mix, so the first alone prints its steps; the waterfall
        # tells of the others.
        show_step = show if first else lambda ms, step, text: None
        fetch = Fetch(url, method, args.timeout, None, show_step, args.cacert, started, names)
        body = bodies.setdefault(id(fetch), bytearray())

        def sink(data: bytes) -> None:
            if first and fetch.redirect is None:
                output.write(data)
            if args.all and len(body) < MOST_READ:
                body.extend(data)

        fetch.reader.sink = sink
        return fetch

    session = Session(make, args.connections, args.max_redirects)
    error: FetchError | None = None
    try:
        url = parse_url(args.url)
        if args.all:
            fetch = fetch_all(session, url, bodies, first=True)
        else:
            fetch = session.get(url, first=True)
        session.end()
        output.write(b"")
        code = EXIT_OK if all(f.reader.status < 400 for f in session.fetches) else EXIT_HTTP_ERROR
        code = next((f.error.code for f in session.fetches if f.error), code)
    except FetchError as failure:
        error, code = failure, failure.code
    except KeyboardInterrupt:
        code = 130
    total_ms = (time.perf_counter() - started) * 1000
    if args.json:
        print_json(args.url, session.fetches, error, code, total_ms, args.all)
    elif error is None and code != 130:
        if args.all:
            print(*waterfall(session.fetches), sep="\n", file=steps_to)
        print(f"{total_ms:9.1f} ms  {spoken(say('in all'))}", file=steps_to, flush=True)
    for fetch in session.fetches if args.all else []:
        if fetch.error is not None and fetch.error is not error:
            complaint = say("{url}: {error}.", url=str(fetch.url), error=fetch.error.message)
            print(f"fetch: {plain(spoken(complaint))}", file=sys.stderr)
    if error is not None:
        print(f"fetch: {plain(spoken(say('{error}.', error=error.message)))}", file=sys.stderr)
        print(f"  {plain(spoken(say('Next: {hint}', hint=error.hint)))}", file=sys.stderr)
    return code


def print_json(
    url: str,
    fetches: Sequence[Fetch],
    error: FetchError | None,
    code: int,
    total_ms: float,
    every: bool,
) -> None:
    """The whole story as one object; what stands at its top is about the last redirect's answer."""
    import json  # imported here, since the plain output does without

    report: dict[str, object] = {"url": url, "exit_code": code, "ms": round(total_ms, 3)}
    if fetches:
        page = next((f for f in fetches if f.redirect is None), fetches[-1])
        report.update(page.facts)
        report["headers"] = dict(page.reader.headers)
        report["steps"] = [step for fetch in fetches for step in fetch.steps]
    if every or len(fetches) > 1:
        report["fetches"] = [
            {
                "url": str(fetch.url),
                "status": fetch.reader.status,
                "bytes": fetch.reader.received,
                "connection": fetch.link.number if fetch.link else None,
                "at_ms": {name: round(at * 1000, 3) for name, at in fetch.at.items()},
                **({"error": str(fetch.error)} if fetch.error else {}),
            }
            for fetch in fetches
        ]
    if error is not None:
        report["error"] = {"message": str(error), "hint": error.hint}
    print(json.dumps(report, indent=2, ensure_ascii=False))


if __name__ == "__main__":
    exit_code = main()
    sys.stdout.flush()
    # After a timeout a thread may still wait in getaddrinfo: the process ends without it.
    os._exit(exit_code)
