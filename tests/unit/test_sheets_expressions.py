# SPDX-License-Identifier: Apache-2.0
"""Expressions of a sheet's author: what they may compute, and that they can do nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hoplab.sheets import expression_process
from hoplab.sheets.expressions import Value, evaluate

VARIABLES = {
    "node": {"name": "h1"},
    "stdout": "3 received, 0% packet loss",
    "bgp": {"peers": [{"state": "Up"}]},
}
TRUE = [
    "node.name == 'h1' and {'h1': 1}[node]",
    "' 0% packet loss' in stdout",
    "bgp.peers[0].state == 'Up' and bgp['peers']",
    "any(peer.state == 'Up' for peer in bgp.peers)",
    "int(re.search(r'(\\d+) received', stdout).group(1)) >= 3",
    "ipaddress.ip_address('10.0.0.1') in ipaddress.ip_network('10.0.0.0/8')",
]
# Each is made by somebody who wants out. The file and the port are told apart from what is merely
# not there: a path that exists, a module that is loaded.
ATTACKS = [
    "open('/etc/passwd').read()",
    "__import__('os').open('/etc/passwd', 0)",
    "__import__('os').listdir('/')",
    "__import__('os').stat('/')",
    "__import__('os').fork()",
    "__import__('os').execv('/bin/sh', ['sh'])",
    "__import__('os').kill(1, 0)",
    "__import__('os').unlink(@)",
    "__import__('os').mkdir(@)",
    "__import__('os').dup2(1, 9)",
    "__import__('time').sleep(9)",
    "__import__('resource').setrlimit(7, (9, 9))",
    "__import__('_socket').socket()",
    "__import__('ctypes').CDLL(None).socket(2, 1, 0) >= 0",
    "__import__('ctypes').CDLL(None).syscall(41, 2, 1, 0) >= 0",
    "__import__('ctypes').string_at(0)",
    "[c for c in [].__class__.__base__.__subclasses__() if c.__name__ == 'Popen'][0]",
    "10 ** 10 ** 9",
    "'x' * 10 ** 10",
    "re.match('(a+)+$', 'a' * 60 + 'b')",
    "(lambda f: f(f))(lambda f: f(f))",
    "__import__('sys').exit(0)",
    "__import__('os')._exit(0)",
    "__import__('os').write(1, b'{}') and False",
    "{}.missing",
    "import os",
    "",
]


def test_expressions_compute() -> None:
    for expression in TRUE:
        assert evaluate(expression, VARIABLES).true, expression
    assert not evaluate("' 100% packet loss' in stdout", VARIABLES).true
    source = (
        "def valid_has(word):\n    return word in stdout\n"
        "def exec_has(word):\n    return f'echo {word}'\n"
    )
    assert evaluate("exec_has('x')", {}, source).text == "echo x"
    assert evaluate("valid_has('received')", VARIABLES, source).true


def test_nothing_else_can_be_done(tmp_path: Path) -> None:
    left = tmp_path / "left"
    left.write_text("x")

    def attack(expression: str) -> Value:
        return evaluate(expression.replace("@", repr(str(left))))

    with ThreadPoolExecutor(4) as pool:
        values = dict(zip(ATTACKS, pool.map(attack, ATTACKS), strict=True))
    got_out = [expression for expression, value in values.items() if value.true]
    assert got_out == []
    assert left.read_text() == "x"
    assert "not permitted" in values["open('/etc/passwd').read()"].error


def test_a_process_that_cannot_be_shut_evaluates_nothing() -> None:
    """The kernel refuses: here since no machine of that name is known."""
    program = (
        "import runpy, platform, sys; platform.machine = lambda: 'vax'; "
        f"sys.argv = ['x']; runpy.run_path({expression_process.__file__!r}, run_name='__main__')"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program], input=b'{"expression": "1"}',
        capture_output=True, env={**os.environ},
    )  # fmt: skip
    assert b"refused" in done.stdout
    assert b"value" not in done.stdout


@pytest.mark.parametrize("data", ["\x00", "é" * 70_000, "1" * 200_000])
def test_what_commands_print_is_taken_as_it_is(data: str) -> None:
    assert evaluate("len(stdout)", {"stdout": data}).text == str(len(data))
