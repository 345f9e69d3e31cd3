# SPDX-License-Identifier: Apache-2.0
"""Why a fetch failed: a sentence, a next step, and an exit code.

The cast
    `FetchError`  the sentence; `EXIT_...` are the codes
"""

from __future__ import annotations

from protocols.language import Sentence

# The numbers are curl's, where curl has one.
EXIT_OK = 0
EXIT_HTTP_ERROR = 1
EXIT_USAGE = 2
EXIT_NO_NAME = 6
EXIT_NO_CONNECTION = 7
EXIT_WEIRD = 8
EXIT_PARTIAL = 18
EXIT_WRITE = 23
EXIT_TIMEOUT = 28
EXIT_TLS = 35
EXIT_REDIRECTS = 47
EXIT_EMPTY = 52
EXIT_RECEIVE = 56
EXIT_CERTIFICATE = 60


class FetchError(Exception):
    """Why there is no page, what to try next, and the exit code."""

    def __init__(self, code: int, message: Sentence, hint: Sentence) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint
