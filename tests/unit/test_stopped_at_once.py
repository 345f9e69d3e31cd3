# SPDX-License-Identifier: Apache-2.0
"""An act of the page that is stopped before its process has begun to work ends as by Ctrl-C."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

from hoplab.live.acts import _hold_interrupts


def _stopped() -> None:
    _hold_interrupts()
    os.kill(os.getpid(), signal.SIGINT)


def test_no_traceback_and_the_exit_code_of_ctrl_c() -> None:
    process = subprocess.run(
        [sys.executable, "-m", "hoplab.cli.main", "ls"], preexec_fn=_stopped, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert process.returncode == 130 and "Traceback" not in process.stderr
