# SPDX-License-Identifier: Apache-2.0
"""Verdicts on real networks: what real programs' exit statuses and frames say together."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conftest import need

pytestmark = pytest.mark.net

# Says hello on port 8001. A connection to port 8002 is closed when a file appears, and when the
# client has closed it too, another file says so.
SERVER = """
import os, socket, threading, time
def hello():
    listener = socket.create_server(("", 8001))
    while True:
        with listener.accept()[0] as line:
            line.recv(4096)
            line.sendall(b"hello\\n")
threading.Thread(target=hello, daemon=True).start()
line = socket.create_server(("", 8002)).accept()[0]
print("connected", flush=True)
while not os.path.exists("close"):
    time.sleep(0.02)
line.shutdown(socket.SHUT_WR)
line.recv(1)
open("closed", "w").close()
threading.Event().wait()
"""
CLIENT = """
import socket, time
while True:
    try:
        line = socket.create_connection(("10.80.0.80", 8002))
        break
    except ConnectionRefusedError:
        time.sleep(0.05)
line.recv(1)
"""
DATAGRAM = """
import socket
line = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
line.connect(("10.80.0.80", 5555))
line.send(b"x")
line.recv(1)
"""


def verdict(world: Any, *command: str) -> str:
    """The sentence of a command on client."""
    story = world("trace", "--json", "client", "--", *command, code=None).json
    assert story["outcome"]["ok"] is (story["exit_code"] == 0), story["outcome"]
    sentence: str = story["outcome"]["sentence"]
    return sentence


def test_exit_status_and_wire_are_told_together(hoplab: Any) -> None:
    need("traceroute")
    need("curl")
    hoplab("up", "web")
    conclusion = "client found the way to www: r1 -> r2 -> www, 3 hops."
    assert verdict(hoplab, "traceroute", "-n", "-T", "10.80.0.80") == conclusion
    script = "ping -c1 10.80.0.80; curl -sS http://nosuch.itheima.com"
    sentence = verdict(hoplab, "sh", "-c", script)
    assert sentence.startswith("curl ended with 6: ")
    assert "On the wire: 1 echo request to www, 1 answered" in sentence
    sentence = verdict(hoplab, "python3", "-c", DATAGRAM)
    assert "port 5555: www reported port unreachable." in sentence


@pytest.mark.long
def test_what_is_no_http_and_what_was_open_before(hoplab: Any) -> None:
    hoplab("up", "web")
    server = hoplab.popen("exec", "www", "--", "python3", "-c", SERVER)
    client = hoplab.popen("exec", "client", "--", "python3", "-c", CLIENT)
    try:
        assert server.stdout.readline() == "connected\n"
        wait = "touch close; until test -e closed; do sleep 0.05; done"
        assert verdict(hoplab, "sh", "-c", wait) == (
            "A connection from before the capture, between client and www, port 8002, was closed."
        )
        url = "http://10.80.0.80:8001/"
        story = hoplab("visit", url, "--from", "client", "--json", code=1).json
        assert story["exit_code"] == 8 and story["outcome"]["ok"] is False
        answered = 'www answered by 6 bytes that are no HTTP: "hello".'
        assert story["outcome"]["sentence"] == answered
    finally:
        for process in (client, server):
            process.terminate()
            process.communicate(timeout=60)
