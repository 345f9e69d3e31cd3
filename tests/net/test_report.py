# SPDX-License-Identifier: Apache-2.0
"""From a running lab to a report, in the reader's language, as root and as an ordinary user."""

from __future__ import annotations

import pytest

from tests.conftest import World

pytestmark = pytest.mark.net


def test_a_visit_is_told_kept_and_reported(anybody: World) -> None:
    visit = ("visit", "--save", "run", "--down")
    result = anybody(*visit, env={**anybody.environment(), "LC_ALL": "zh_CN.UTF-8"})
    assert "client 访问 http://www.itheima.com/" in result.out
    assert "三次握手" in result.out and "hoplab report run" in result.out
    reported = anybody("report", "run", "--lang", "en")
    assert reported.out == "run/report.html\n"
    page = (anybody.home / "run" / "report.html").read_text()
    assert "client fetches http://www.itheima.com/" in page
    plain = anybody("report", "run", "--md", "--lang", "zh", "-o", "-").out
    assert plain.startswith("# client 访问")
