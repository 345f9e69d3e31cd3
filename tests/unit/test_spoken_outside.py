# SPDX-License-Identifier: Apache-2.0
"""What people read of hoplab outside its own command line, in their language: Wireshark's list and
profile, the pages of the browser's proxy, what doctor found, what a broken frame lacks."""

from __future__ import annotations

import re
import socket
import threading
from pathlib import Path

import pytest

from hoplab.browser import host_sockets
from hoplab.browser.proxy import Proxy
from hoplab.decode import packet, tls
from hoplab.doctor import known_faults
from hoplab.report.language import language
from hoplab.sentences import Sentence, say, sentence_of
from hoplab.wireshark import extcap, profile

ZH = language("zh")
HAN = re.compile("[\u4e00-\u9fff]")


def test_wireshark_lists_labs_in_the_users_language(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hoplab.client.labs.live", lambda: [])
    monkeypatch.setenv("HOPLAB_LANG", "zh")
    assert HAN.search(extcap.interfaces()[-1])
    lines = extcap.configuration(extcap.SSH)
    assert len(lines) == 3 and all(HAN.search(line) for line in lines)
    # What extcap's sentences are made of is in none of the values.
    assert all(line.count("{") == line.count("}") == 7 for line in lines)
    monkeypatch.setenv("HOPLAB_LANG", "en")
    assert "{display=Machine}" in extcap.configuration(extcap.SSH)[0]


def test_the_profile_has_its_columns_in_the_users_language() -> None:
    english, chinese = profile.files(), profile.files(ZH)
    assert '"Story", "%Cus:frame.comment:0:R"' in english["preferences"]
    for name in ("preferences", "colorfilters", "dfilter_buttons"):
        assert HAN.search(chinese[name]) and not HAN.search(english[name])
        # The filters themselves are the same.
        fields = re.compile(r"%\w+:[^\"]*|@[^@]*@\[|frame\.\w+ [!=]= [^\",]+")
        assert fields.findall(chinese[name]) == fields.findall(english[name])


def test_the_proxys_own_pages_are_in_the_users_language() -> None:
    proxy = Proxy(lambda *where: socket.socket(), port=0, tr=ZH, language="zh")
    threading.Thread(target=proxy.serve, daemon=True).start()
    try:
        with socket.create_connection(("127.0.0.1", proxy.names.port), timeout=10) as sock:
            sock.sendall(b"GET / HTTP/1.1\r\nHost: elsewhere.localhost\r\n\r\n")
            page = b""
            while part := sock.recv(65536):
                page += part
    finally:
        proxy.close()
    text = page.decode()
    assert text.startswith("HTTP/1.1 421") and '<html lang="zh">' in text
    assert HAN.search(text) and "Open the address" not in text


@pytest.mark.parametrize(
    "answer", [{"fault": "late"}, {"fault": "ended"}, {"reason": "Connection refused"}]
)
def test_why_a_host_could_not_connect_is_a_sentence(answer: dict[str, str]) -> None:
    reason = host_sockets._refusal(answer, "www", 80)
    assert HAN.search(ZH(reason)) and str(answer.get("reason", "")) in ZH(reason)


def test_doctors_notes_are_sentences(tmp_path: Path) -> None:
    for name in ("s1-eth1", "h1-eth0", "h2-eth0", "h3-eth0", "h4-eth0"):
        (tmp_path / "sys/class/net" / name).mkdir(parents=True)
    ((name, note),) = known_faults.notes(known_faults.Machine(tmp_path, "", tmp_path))
    assert "5 interfaces" in note.finding and "h4-eth0 …" in note.finding
    assert all(HAN.search(ZH(text)) for text in (name, note.finding))


def test_what_a_broken_frame_lacks_and_an_alert_are_sentences() -> None:
    broken = packet.decode(bytes(13)).problem
    assert isinstance(broken, Sentence) and HAN.search(ZH(broken))
    alert = tls.alert_text(bytes([2, 48]))
    assert alert == "unknown CA" and HAN.search(ZH(alert))
    assert tls.alert_text(bytes([2, 200])) == "number 200"


def test_an_exception_keeps_its_sentence() -> None:
    sentence = say("{file} is empty", file="x")
    assert sentence_of(ValueError(sentence)) is sentence
    assert sentence_of(ValueError("a", "b")) == "('a', 'b')"
