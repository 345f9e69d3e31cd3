# SPDX-License-Identifier: Apache-2.0
"""Requests that servers disagree on: malformed, smuggling, huge; and what is right though rare.

`CASES` is name -> bytes. `probe` sends one and gives the verdict: the class of every response, in
order ("2xx 4xx"), or "close" if there was none. `DIFFERENCES` says where ours differs from
nginx, and why; docs/apps-http.md shows that table.
"""

from __future__ import annotations

import re
import socket

H = b"Host: a\r\n"
END = b"Connection: close\r\n\r\n"


def get(*lines: bytes, target: bytes = b"/", version: bytes = b"HTTP/1.1") -> bytes:
    return b"GET %b %b\r\n%b%b" % (target, version, b"".join(line + b"\r\n" for line in lines), END)


def post(*lines: bytes, body: bytes = b"") -> bytes:
    head = b"".join(line + b"\r\n" for line in lines)
    return b"POST / HTTP/1.1\r\n" + H + head + b"\r\n" + body


NEXT = b"GET /next.html HTTP/1.1\r\n" + H + END
CHUNKED = b"Transfer-Encoding: chunked"

CASES: dict[str, bytes] = {
    # right
    "plain": get(b"Host: a"),
    "two requests": b"GET / HTTP/1.1\r\n" + H + b"\r\n" + NEXT,
    "absolute target": get(b"Host: a", target=b"http://a/"),
    "absolute target, other host": get(b"Host: a", target=b"http://b.lab/"),
    "empty line first": b"\r\n" + get(b"Host: a"),
    "LF alone ends lines": b"GET / HTTP/1.1\nHost: a\nConnection: close\n\n",
    "HTTP/1.0 without Host": b"GET / HTTP/1.0\r\n\r\n",
    "HTTP/1.0 keep-alive": b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
    b"GET / HTTP/1.0\r\n\r\n",
    "Host with port": get(b"Host: a:8080"),
    "Host is an IPv6 address": get(b"Host: [fd00::1]:80"),
    "HEAD": b"HEAD / HTTP/1.1\r\n" + H + END,
    "unknown header": get(b"Host: a", b"X-Y_Z!: 1"),
    "empty header value": get(b"Host: a", b"X:"),
    "blanks around the value": get(b"Host: a", b"X: \t 1 \t "),
    "bytes above 127 in a value": get(b"Host: a", b"X: \xe4\xb8\xad"),
    "tab in a value": get(b"Host: a", b"X: a\tb"),
    "query with anything": get(b"Host: a", target=b'/?a=[b]{c}|"<>\\^`'),
    "percent encoded path": get(b"Host: a", target=b"/%6eext.html"),
    "dots in the path": get(b"Host: a", target=b"/x/../next.html"),
    "two slashes": get(b"Host: a", target=b"//next.html"),
    "bytes above 127 in the target": get(b"Host: a", target=b"/?\xe4\xb8\xad"),
    "HTTP/1.2": get(b"Host: a", version=b"HTTP/1.2"),
    "body of a GET": b"GET / HTTP/1.1\r\n" + H + b"Content-Length: 3\r\n\r\nabc" + NEXT,
    "fragment in the target": get(b"Host: a", target=b"/#x"),
    # not there, not allowed
    "nothing there": get(b"Host: a", target=b"/nothing"),
    "POST to a file": post(b"Content-Length: 2", body=b"hi") + NEXT,
    "POST in chunks to a file": post(CHUNKED, b"Connection: close", body=b"2\r\nhi\r\n0\r\n\r\n"),
    "DELETE": b"DELETE / HTTP/1.1\r\n" + H + END,
    "TRACE": b"TRACE / HTTP/1.1\r\n" + H + END,
    "CONNECT": b"CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n" + END,
    "OPTIONS *": b"OPTIONS * HTTP/1.1\r\n" + H + END,
    "OPTIONS": b"OPTIONS / HTTP/1.1\r\n" + H + END,
    "unknown method": b"BREW / HTTP/1.1\r\n" + H + END,
    "range that is not there": get(b"Host: a", b"Range: bytes=999999-"),
    "out of the folder": get(b"Host: a", target=b"/../../etc/passwd"),
    "out of the folder, encoded": get(b"Host: a", target=b"/%2e%2e/%2e%2e/etc/passwd"),
    "out of the folder, slash encoded": get(b"Host: a", target=b"/..%2f..%2fetc/passwd"),
    # the request line
    "no version": b"GET /\r\n\r\n",
    "HTTP/2.0": get(b"Host: a", version=b"HTTP/2.0"),
    "HTTP/3": get(b"Host: a", version=b"HTTP/3"),
    "http/1.1": get(b"Host: a", version=b"http/1.1"),
    "HTTP/1.10": get(b"Host: a", version=b"HTTP/1.10"),
    "HTTP/1.": get(b"Host: a", version=b"HTTP/1."),
    "word after the version": get(b"Host: a", version=b"HTTP/1.1 x"),
    "two blanks": b"GET  / HTTP/1.1\r\n" + H + END,
    "tab instead of a blank": b"GET\t/ HTTP/1.1\r\n" + H + END,
    "blank at the start": b" GET / HTTP/1.1\r\n" + H + END,
    "blank in the target": get(b"Host: a", target=b"/a b"),
    "no method": b"/ HTTP/1.1\r\n" + H + END,
    "method in lower case": b"get / HTTP/1.1\r\n" + H + END,
    "method with a bracket": b"G(T / HTTP/1.1\r\n" + H + END,
    "target without slash": get(b"Host: a", target=b"next.html"),
    "target *": get(b"Host: a", target=b"*"),
    "NUL in the target": get(b"Host: a", target=b"/\0"),
    "encoded NUL in the target": get(b"Host: a", target=b"/%00"),
    "control character in the target": get(b"Host: a", target=b"/\x07"),
    "bad percent sign": get(b"Host: a", target=b"/%zz"),
    "CR in the request line": b"GET / HT\rTP/1.1\r\n" + H + END,
    "a TLS ClientHello": b"\x16\x03\x01\x00\xc4\x01\x00\x00\xc0\x03\x03" + bytes(40) + b"\r\n\r\n",
    "nothing but zeros": bytes(300),
    "nothing but line ends": b"\r\n" * 200,
    "half a request line": b"GET / HT",
    "half a head": b"GET / HTTP/1.1\r\nHost: a\r\n",
    # header lines
    "no Host": get(),
    "empty Host": get(b"Host:"),
    "two Hosts": get(b"Host: a", b"Host: b"),
    "the same Host twice": get(b"Host: a", b"Host: a"),
    "blank in Host": get(b"Host: a b"),
    "slash in Host": get(b"Host: a/b"),
    "user in Host": get(b"Host: u@a"),
    "blank before the colon": get(b"Host: a", b"X : 1"),
    "blank before the colon of Host": get(b"Host : a"),
    "folded line": get(b"Host: a", b"X: 1", b" 2"),
    "blank before the first header": b"GET / HTTP/1.1\r\n X: 1\r\n" + H + END,
    "no colon": get(b"Host: a", b"X"),
    "no name": get(b"Host: a", b": x"),
    "NUL in a value": get(b"Host: a", b"X: a\0b"),
    "NUL in a name": get(b"Host: a", b"X\0: a"),
    "control character in a value": get(b"Host: a", b"X: a\x01b"),
    "CR in a value": get(b"Host: a", b"X: a\rb"),
    "brackets in a name": get(b"Host: a", b"X(1): a"),
    "bytes above 127 in a name": get(b"Host: a", b"\xe4\xb8: a"),
    # how long is the body?
    "Content-Length and chunked": post(CHUNKED, b"Content-Length: 5", body=b"0\r\n\r\n" + NEXT),
    "chunked and Content-Length": post(b"Content-Length: 5", CHUNKED, body=b"0\r\n\r\n" + NEXT),
    "two Content-Lengths": post(b"Content-Length: 1", b"Content-Length: 2", body=b"ab" + NEXT),
    "the same Content-Length twice": post(
        b"Content-Length: 2", b"Content-Length: 2", body=b"ab" + NEXT
    ),
    "Content-Length 2, 2": post(b"Content-Length: 2, 2", body=b"ab" + NEXT),
    "Content-Length +2": post(b"Content-Length: +2", body=b"ab" + NEXT),
    "Content-Length -1": post(b"Content-Length: -1", body=NEXT),
    "Content-Length 0x2": post(b"Content-Length: 0x2", body=b"ab" + NEXT),
    "Content-Length 2 3": post(b"Content-Length: 2 3", body=b"ab" + NEXT),
    "Content-Length empty": post(b"Content-Length:", body=NEXT),
    "Content-Length of 30 digits": post(b"Content-Length: " + b"9" * 30, body=NEXT),
    "Content-Length in Arabic digits": post("Content-Length: ٢".encode(), body=b"ab" + NEXT),
    "Content-Length too large": post(b"Content-Length: 99999999999", body=b"x"),
    "xchunked": post(b"Transfer-Encoding: xchunked", body=b"0\r\n\r\n" + NEXT),
    "chunked in capitals": post(b"Transfer-Encoding: CHUNKED", body=b"0\r\n\r\n" + NEXT),
    "gzip, chunked": post(b"Transfer-Encoding: gzip, chunked", body=b"0\r\n\r\n" + NEXT),
    "chunked, identity": post(b"Transfer-Encoding: chunked, identity", body=b"0\r\n\r\n" + NEXT),
    "identity": post(b"Transfer-Encoding: identity", body=b"0\r\n\r\n" + NEXT),
    "chunked twice": post(CHUNKED, CHUNKED, body=b"0\r\n\r\n" + NEXT),
    "chunked in quotes": post(b'Transfer-Encoding: "chunked"', body=b"0\r\n\r\n" + NEXT),
    "VT before chunked": post(b"Transfer-Encoding: \x0bchunked", body=b"0\r\n\r\n" + NEXT),
    "blank before the colon of Transfer-Encoding": post(
        b"Transfer-Encoding : chunked", b"Content-Length: 5", body=b"0\r\n\r\n" + NEXT
    ),
    "chunked in HTTP/1.0": b"POST / HTTP/1.0\r\n" + H + CHUNKED + b"\r\n\r\n0\r\n\r\n" + NEXT,
    "no chunk size": post(CHUNKED, body=b"\r\n\r\n" + NEXT),
    "chunk size -1": post(CHUNKED, body=b"-1\r\n\r\n" + NEXT),
    "chunk size 0x2": post(CHUNKED, body=b"0x2\r\nab\r\n0\r\n\r\n" + NEXT),
    "chunk size of 17 digits": post(CHUNKED, body=b"1" + b"0" * 16 + b"\r\nab\r\n0\r\n\r\n" + NEXT),
    "chunk size with a blank": post(CHUNKED, body=b"2 \r\nab\r\n0\r\n\r\n" + NEXT),
    "chunk longer than its size": post(CHUNKED, body=b"2\r\nabc\r\n0\r\n\r\n" + NEXT),
    "chunk lines end in LF": post(CHUNKED, body=b"2\nab\n0\n\n" + NEXT),
    "CR alone after a size": post(CHUNKED, body=b"2\rab\r\n0\r\n\r\n" + NEXT),
    "chunk with an extension": post(CHUNKED, body=b"2;a=b\r\nab\r\n0\r\n\r\n" + NEXT),
    "trailer": post(CHUNKED, body=b"0\r\nX: y\r\n\r\n" + NEXT),
    "body that ends too early": post(b"Content-Length: 10", body=b"abc"),
    "chunks that end too early": post(CHUNKED, body=b"5\r\nab"),
    # huge
    "target of 9,000 bytes": get(b"Host: a", target=b"/?" + b"a" * 9000),
    "line of 70,000 bytes without an end": b"GET /" + b"a" * 70_000,
    "header line of 20,000 bytes": get(b"Host: a", b"X: " + b"a" * 20_000),
    "head of 100,000 bytes": get(b"Host: a", *(b"X%d: %b" % (i, b"a" * 990) for i in range(100))),
    "80 header lines": get(b"Host: a", *(b"X%d: a" % i for i in range(80))),
    "900 header lines": get(b"Host: a", *(b"X%d: a" % i for i in range(900))),
    "method of 1,000 letters": b"A" * 1000 + b" / HTTP/1.1\r\n" + H + END,
    "Expect something else": post(b"Expect: tea", b"Content-Length: 2", body=b"hi"),
}

# Case -> why ours says something else than nginx 1.22.
DIFFERENCES: dict[str, str] = {
    "OPTIONS": "RFC 9110 section 9.3.7: the answer names the methods, in Allow",
    "OPTIONS *": "RFC 9110 section 9.3.7: a question to the server as a whole, a kind of ping",
    "unknown method": "RFC 9110 section 9.1: 501 for a method that the server does not know",
    "method in lower case": "methods are case-sensitive (RFC 9110 section 9.1), so: unknown",
    "method of 1,000 letters": "a long token is a token: unknown",
    "no version": "that is HTTP/0.9, which is no more; nginx would answer without a head",
    "HTTP/3": "the grammar wants a digit, a point and a digit (RFC 9112 section 2.3)",
    "HTTP/1.10": "the grammar has one digit after the point",
    "two blanks": "one blank stands between the words; who splits otherwise sees another target",
    "user in Host": "a Host is a name or an address and a port (RFC 9110 section 7.2)",
    "no colon": "nginx leaves such lines out; a proxy before it may not",
    "control character in a value": "RFC 9110 section 5.5 lets a server refuse it",
    "brackets in a name": "a name is a token; nginx leaves such lines out",
    "bytes above 127 in a name": "a name is a token; nginx leaves such lines out",
    "VT before chunked": "refused as a control character, before the coding is looked at",
    "chunk lines end in LF": "section 7.1 of RFC 9112 has CRLF; readers that differ can be fooled",
    "chunk size with a blank": "no blank in the grammar, as above",
    "body that ends too early": "a small body is awaited before the answer, so that the "
    "connection can go on",
    "chunks that end too early": "as above",
    "900 header lines": "more than 100 are refused with 431",
}


# What comes so far, and then nothing more for longer than the server waits.
SLOW: dict[str, bytes] = {
    "nothing": b"",
    "half a request line": b"GET / HT",
    "half a head": b"GET / HTTP/1.1\r\nHost: a\r\nX: ",
    "after an answer": b"GET / HTTP/1.1\r\n" + H + b"\r\n",
    "after an answer, half a head": b"GET / HTTP/1.1\r\n" + H + b"\r\nGET",
    "half a body for a file": post(b"Content-Length: 10", body=b"abc"),
    "half a chunk for a file": post(CHUNKED, body=b"5\r\nab"),
}
SLOW_DIFFERENCES: dict[str, str] = {
    "half a request line": "RFC 9110 section 15.5.9: 408 says why the connection ends",
    "half a head": "as above",
    "after an answer, half a head": "as above",
}


def probe(
    address: tuple[str, int], request: bytes, timeout_s: float = 20, patient: bool = False
) -> str:
    """The verdict of the server at ADDRESS. The client says that it sends no more, unless it is
    `patient`, and reads until the server closes."""
    answer = b""
    with socket.create_connection(address, timeout=timeout_s) as sock:
        try:
            sock.sendall(request)
            if not patient:
                sock.shutdown(socket.SHUT_WR)
        except (BrokenPipeError, ConnectionResetError, OSError):
            pass  # refused before it had read all
        try:
            while more := sock.recv(65536):
                answer += more
        except ConnectionResetError:
            pass
    statuses = re.findall(rb"HTTP/1\.[01] ([2-5])[0-9]{2} [A-Z]", answer)
    return " ".join(f"{status.decode()}xx" for status in statuses) or "close"
