# SPDX-License-Identifier: Apache-2.0
"""The programs of apps/ in their user's language: what the client says, and where it finds it."""

from __future__ import annotations

import ast
import importlib
import os
import re
import socket
import ssl
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "apps"))

import dns_resolver
import dns_server
import fetch
import lab_ca
import web_server
from protocols import certificates, http1, language, web_site

from hoplab.cli import argparse_words, output
from hoplab.cli.main import main
from hoplab.sentences import say
from hoplab.story.outcome import _quote
from tests.unit.test_apps_all import APPS, SCRIPTS

OK = b"HTTP/1.1 200 OK\r\nContent-Length: "
# What may stand in Latin letters in a Chinese sentence: names, commands, options, fields.
LATIN = re.compile(
    r"fetch|https?(://[\w.:/]+)?|HTTP(/1\.1)?|URL|DNS|TLS|TCP|GET|Found|OK|Web|dig [\w.]+|"
    r"nosuch\.invalid|localhost|--[a-z-]+|FILE|/etc/resolv\.conf|ms"
)

Speak = Callable[..., None]


@pytest.fixture
def speak(monkeypatch: pytest.MonkeyPatch) -> Iterator[Speak]:
    """Sets the environment's languages to these and no others."""

    def choose(**variables: str) -> None:
        for name in language.VARIABLES:
            monkeypatch.delenv(name, raising=False)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        language._template.cache_clear()

    yield choose
    language._template.cache_clear()
    argparse_words.translate()  # a program's command line has left its own words there


@pytest.fixture
def answering() -> Iterator[Callable[[bytes], str]]:
    """Servers that give one answer to whatever comes; their URLs."""
    listeners: list[socket.socket] = []

    def serve(listener: socket.socket, answer: bytes) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:  # the test has ended
                return
            with connection:
                connection.settimeout(10)
                connection.recv(65536)
                connection.sendall(answer)

    def start(answer: bytes) -> str:
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)
        threading.Thread(target=serve, args=(listener, answer), daemon=True).start()
        return f"http://127.0.0.1:{listener.getsockname()[1]}/"

    yield start
    for listener in listeners:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def no_such_host(*_: object, **__: object) -> None:
    raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


def chinese(text: str) -> bool:
    """Nothing is left in English, and no mark of half width stands beside Chinese."""
    words = re.findall("[A-Za-z]{2,}", LATIN.sub("", text))
    return words == [] and not re.search("[\u4e00-\u9fff][,.;:!?]|[,;!?] ?[\u4e00-\u9fff]", text)


def test_a_fetch_that_fails_says_why_in_chinese(
    speak: Speak,
    answering: Callable[[bytes], str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    speak(LANG="zh_CN.UTF-8")
    def secure(answer: bytes) -> str:
        return answering(answer).replace("http:", "https:")

    again = b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n"
    tries = {
        ("http://127.0.0.1:1/",): (7, "127.0.0.1 端口 1：连接被拒绝。"),  # noqa: RUF001
        (answering(OK + b"9\r\n\r\nhalf"),): (18, "发出 4 字节后就关闭了连接"),
        (answering(again), "--max-redirects", "3"): (47, "重定向超过 3 次"),
        (answering(b"220 a b ready\r\n"),): (8, "服务器发来不以 HTTP/1.1 开头的数据。"),
        (answering(b""),): (52, "没有给出完整的响应就关闭了连接。"),
        (secure(b"220 a b ready\r\n"),): (35, "建立 TLS：版本号不对。"),  # noqa: RUF001
        (secure(b""),): (35, "建立 TLS：服务器关闭了连接。"),  # noqa: RUF001
        ("ftp://a/",): (2, "不支持 ftp://"),
    }
    for argv, (code, sentence) in tries.items():
        assert fetch.main(argv) == code
        printed = capsys.readouterr()
        assert sentence in printed.err and "\n  下一步：" in printed.err  # noqa: RUF001
        quoted = printed.err.replace(argv[0].rstrip("/"), "").replace("ftp://", "")
        assert chinese(printed.out) and chinese(quoted), printed
    monkeypatch.setattr(socket, "getaddrinfo", no_such_host)
    assert fetch.main(["http://nosuch.invalid/"]) == 6
    assert capsys.readouterr().err.startswith("fetch: 没有 nosuch.invalid 这个域名。\n  下一步：")  # noqa: RUF001


def test_a_timeout_and_a_bad_certificate(
    speak: Speak, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    speak(HOPLAB_LANG="zh", LANG="en_GB.UTF-8")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        assert fetch.main([url, "--timeout", "0.2"]) == 28
    assert "已连上，但 0.2 秒内没有收到完整的响应。" in capsys.readouterr().err  # noqa: RUF001
    pem, key = certificates.certificate(str(tmp_path / "theirs"), ["www.lab"])
    ours = certificates.authority(str(tmp_path / "ours"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem, key)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def shake_hands() -> None:
            for _ in range(2):
                connection, _ = listener.accept()
                try:
                    context.wrap_socket(connection, server_side=True).close()
                except OSError:
                    connection.close()

        thread = threading.Thread(target=shake_hands, daemon=True)
        thread.start()
        url = f"https://127.0.0.1:{listener.getsockname()[1]}/"
        for authority, sentence in {
            ours: "127.0.0.1 的证书不可信：本机没有其签发者的证书。",  # noqa: RUF001
            str(tmp_path / "theirs" / "ca.pem"): "IP 地址不符，证书不适用于 127.0.0.1。",  # noqa: RUF001
        }.items():
            assert fetch.main([url, "--cacert", authority]) == 60
            assert sentence in capsys.readouterr().err
        thread.join(10)


def test_a_fetch_that_goes_well_and_its_waterfall(
    speak: Speak, answering: Callable[[bytes], str], capsys: pytest.CaptureFixture[str]
) -> None:
    page = b'<img src="http://127.0.0.1:1/picture">'
    answer = b"HTTP/1.0 200 OK\r\nContent-Type: text/html\r\n\r\n" + page
    url = answering(answer)
    pictures = {}
    for code in ("en", "zh"):
        speak(HOPLAB_LANG=code)
        assert fetch.main([url, "--all"]) == 7
        pictures[code] = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r" +[\d.]+ ms  解析      127.0.0.1 本身就是地址：无需 DNS 查询", pictures["zh"][0])  # noqa: E501, RUF001
    assert pictures["zh"][-1].endswith(" ms  合计")
    for english, translated in zip(pictures["en"], pictures["zh"], strict=True):
        # The columns begin where they do in English, although Chinese letters are twice as wide.
        if "|" in english:
            wide = language.width(translated.partition("|")[0])
            assert wide == len(english.partition("|")[0]), (english, translated)
    assert "失败" in "\n".join(pictures["zh"])


def test_a_third_language_is_a_catalogue_and_no_code(
    speak: Speak,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    catalog = Catalog(locale="de")
    catalog.add("connection refused", "Verbindung abgelehnt")
    (tmp_path / "de" / "LC_MESSAGES").mkdir(parents=True)
    with open(tmp_path / "de" / "LC_MESSAGES" / "apps.mo", "wb") as file:
        write_mo(file, catalog)
    monkeypatch.setattr(language, "folder", str(tmp_path))
    speak(LC_ALL="de_AT.UTF-8@euro", LANG="zh_CN.UTF-8")
    assert fetch.main(["http://127.0.0.1:1/"]) == 7
    assert "127.0.0.1 port 1: Verbindung abgelehnt." in capsys.readouterr().err


def test_a_terminal_without_the_letters_gets_english(
    speak: Speak, monkeypatch: pytest.MonkeyPatch
) -> None:
    speak(LANG="zh_CN")
    sentence = language.say("connection refused")
    assert language.spoken(sentence) == "连接被拒绝"
    with open(os.devnull, "w", encoding="latin-1") as terminal:
        monkeypatch.setattr(sys, "stdout", terminal)
        assert language.spoken(sentence) == "connection refused"


def test_the_process_number_stands_last_in_every_language(speak: Speak) -> None:
    """Who starts a server in the background reads it there (`Server` in topologies/nodes.py)."""
    sentence = language.say(
        "{name}: listening on {address} port {port} (pid {pid})",
        name="web_server", address="10.0.0.80", port=80, pid=4711,
    )  # fmt: skip
    for code in ("en", "zh"):
        speak(HOPLAB_LANG=code)
        match = re.search(r"(\d+)\D*$", language.spoken(sentence))
        assert match is not None and match[1] == "4711"


def test_every_error_of_the_programs_is_a_template() -> None:
    """Each argument that is read is made by `say`, or is a name for something that is."""
    read = {
        "FetchError": (1, 2), "_weird": (0,), "_done": (0, 1), "spoken": (0,),
        "ServiceError": (0, 1), "CaError": (0, 1), "BadText": (0,), "BadLine": (1,),
        "Fault": (0,), "bad_value": (0,),
    }  # fmt: skip
    for path in (*APPS.glob("*.py"), *(APPS / "protocols").glob("*.py")):
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(call, ast.Call):
                continue
            name = getattr(call.func, "id", getattr(call.func, "attr", ""))
            for argument in (call.args[place] for place in read.get(name, ()) if call.args[place:]):
                assert not isinstance(argument, ast.JoinedStr | ast.Constant | ast.BinOp), (
                    f"{path.name}:{argument.lineno}"
                )


@pytest.mark.parametrize("program", SCRIPTS)
def test_help_is_in_the_users_language(
    speak: Speak, program: str, capsys: pytest.CaptureFixture[str]
) -> None:
    speak(HOPLAB_LANG="zh")
    main_of = importlib.import_module(program.removesuffix(".py")).main
    with pytest.raises(SystemExit):
        main_of(["--help"])
    text, _, examples = capsys.readouterr().out.partition("\n例子：\n")  # noqa: RUF001
    behind_usage = text.split("\n\n", 1)[1].split("\n")
    sentences = [re.sub(r"^  -.*?(  |$)", "", line) for line in behind_usage]
    codes = examples.partition("\n\n")[2]
    for line in [*sentences, *codes.split("\n")]:
        # Names of options, of protocols and values may follow each other; words may not.
        assert not re.search(r"\b[a-z]{2,} [a-z]{2,}", line), line
        assert not re.search("[\u4e00-\u9fff][,.;:!?]", line), line
        assert language.width(line) <= 100, line
    assert codes.startswith("退出码：0")  # noqa: RUF001


def test_servers_that_cannot_start_say_so_in_the_users_language(
    speak: Speak, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    speak(HOPLAB_LANG="zh")
    zone = tmp_path / "bad.zone"
    zone.write_text("$TTL 1h\na. IN A 10.0.0\n")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        for program, words, sentence in (
            (web_server, ["--site", "/nowhere"], "web_server: 没有文件夹 /nowhere\n"),
            (web_server, ["--listen", "127.0.0.1", "--port", port], "：地址已被占用\n"),  # noqa: RUF001
            (dns_server, ["--zone", str(zone)],
             f"dns_server: 不是区域文件：{zone} 第 2 行：'10.0.0' 不是 IPv4 地址\n"),  # noqa: RUF001
            (dns_resolver, [], "dns_resolver: 没有可以作为起点的根服务器\n"),
            (lab_ca, ["--folder", str(tmp_path / "ca"), "?"], "lab_ca: '?' 不是服务器的名字\n"),
        ):  # fmt: skip
            assert program.main(words)
            printed = capsys.readouterr().err
            assert sentence in printed and "\n  下一步：" in printed  # noqa: RUF001
    with pytest.raises(SystemExit):
        web_server.main(["--port", "x"])
    printed = capsys.readouterr().err
    wanted = "web_server.py：错误：参数 --port：'x' 不是端口：请给出 0 到 65535 之间的数\n"  # noqa: RUF001
    assert printed.startswith("用法：") and printed.endswith(wanted)  # noqa: RUF001


@pytest.mark.parametrize(
    ("program_output", "quote"),
    [
        ("   2.0 ms  解析      a\nfetch: 失败。\n  下一步：请重试。\n", "fetch: 失败。下一步：请重试。"),  # noqa: E501, RUF001
        ("fetch: it failed.\n  Next: try again.\n", "fetch: it failed. Next: try again."),
        ("ping: one\n  2 packets\n", "ping: one | 2 packets"),
    ],
)
def test_a_next_step_stands_behind_its_error_in_a_story(program_output: str, quote: str) -> None:
    assert _quote(program_output) == quote


def test_a_command_runs_in_the_language_that_is_asked_for(
    speak: Speak, monkeypatch: pytest.MonkeyPatch
) -> None:
    languages = []

    def remember(_: object) -> int:
        languages.append((os.environ.get("HOPLAB_LANG"), output.tr(say("no lab is up"))))
        return 0

    monkeypatch.setattr("hoplab.cli.verbs_lab.ls", remember)
    speak(LANG="zh_CN.UTF-8")
    assert main(["ls"]) == main(["--lang", "en", "ls"]) == 0
    speak(LANG="en_GB.UTF-8")
    assert main(["ls", "--lang", "zh"]) == main(["ls"]) == 0
    assert languages == [
        (None, "没有正在运行的实验网络"),
        ("en", "no lab is up"),
        ("zh", "没有正在运行的实验网络"),
        (None, "no lab is up"),
    ]


REFUSALS = {
    b"GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n": "这里没有 /nothing。",
    b"DELETE / HTTP/1.1\r\nHost: a\r\n\r\n": "这里可以使用：GET, HEAD, OPTIONS。",  # noqa: RUF001
    b"BREW / HTTP/1.1\r\nHost: a\r\n\r\n": "此服务器不支持方法 BREW。",
    b"GET / HTTP/1.1\r\n\r\n": "HTTP/1.1 请求缺少 Host 首部。",
    b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n": "有两个 host 首部。",
}


def refusal(raw: bytes) -> http1.Response:
    """What a site answers to a request that it does not grant."""
    reader = http1.RequestReader()
    try:
        reader.feed(raw)
        request = reader.next()
        assert request is not None
        return web_site.Site(str(APPS / "site")).handle(request)
    except http1.BadRequest as bad:
        return http1.page(bad.status, language.say("{error}.", error=bad.why))


@pytest.mark.parametrize("raw", REFUSALS)
def test_a_server_says_in_its_users_language_why_it_refuses(raw: bytes, speak: Speak) -> None:
    speak(LANG="zh_CN.UTF-8")
    page = bytes(refusal(raw).body).decode()  # type: ignore[arg-type]
    assert f"<p>{REFUSALS[raw]}</p>" in page
    assert '<html lang="zh">' in page and ">回到首页</a>" in page
    for locale in ("C", "de_DE.UTF-8"):  # of which there is no catalogue
        speak(LANG=locale)
        page = bytes(refusal(raw).body).decode()  # type: ignore[arg-type]
        assert '<html lang="en">' in page and page.isascii()


def test_what_a_server_answers_is_a_template() -> None:
    answers = {"page": 1, "BadRequest": 1, "_refuse": 1}  # which argument a reader gets to see
    bare = []
    for path in [*APPS.glob("*.py"), *APPS.glob("protocols/*.py")]:
        for call in ast.walk(ast.parse(path.read_text())):
            name = getattr(call, "func", None)
            place = answers.get(getattr(name, "id", getattr(name, "attr", "")))
            if not isinstance(call, ast.Call) or place is None or len(call.args) <= place:
                continue
            if isinstance(call.args[place], ast.Constant | ast.JoinedStr):
                bare.append(f"{path.name}:{call.lineno}")
    assert bare == []
