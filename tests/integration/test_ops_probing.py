"""Whatever a provider's address answers, a probe is a word: never an exception, never late."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest

from operations import probing
from operations.probing import LARGEST_BODY, Question, Trouble, ask_all

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
Talk = Callable[[socket.socket, threading.Event], None]


def say(answer: bytes) -> Talk:
    def talk(client: socket.socket, _: threading.Event) -> None:
        client.recv(65536)
        client.sendall(answer)

    return talk


def keep_silent(client: socket.socket, done: threading.Event) -> None:
    client.recv(65536)
    done.wait()


def drip(client: socket.socket, done: threading.Event) -> None:
    """Send a header a byte at a time, each before the time for one read is up."""
    client.recv(65536)
    client.sendall(HEAD)
    while not done.wait(0.05):
        client.sendall(b"X")


@contextmanager
def serve(talk: Talk) -> Iterator[str]:
    done = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            try:
                client, _ = server.accept()
                with client:
                    talk(client, done)
            except OSError:
                pass

        thread = threading.Thread(target=answer)
        thread.start()
        try:
            yield f"127.0.0.1:{server.getsockname()[1]}"
        finally:
            done.set()
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


@pytest.mark.parametrize(
    ("answer", "trouble", "status"),
    [
        (HEAD + b'\r\n{"id": 1}', None, 200),
        (HEAD + b"Content-Length: 20\r\n\r\n{}", Trouble.BROKEN_OFF, None),
        (b"", Trouble.BROKEN_OFF, None),
        (b"what?\r\n\r\n", Trouble.BROKEN_OFF, None),
        (HEAD + b"Content-Encoding: gzip\r\n\r\n{}", Trouble.BROKEN_OFF, None),
        (b"HTTP/1.1 502 Bad Gateway\r\n\r\n <html><h1>502</h1></html>", Trouble.WEB_PAGE, 502),
        (HEAD + b"\r\nnot json", Trouble.NOT_JSON, 200),
        (HEAD + b"\r\n", Trouble.NOT_JSON, 200),
        (HEAD + b"\r\n" + b"[" * 100_000, Trouble.NOT_JSON, 200),
        (HEAD + b"\r\n" + b"1" * (LARGEST_BODY + 1), Trouble.TOO_LARGE, 200),
        (
            b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n\r\n",
            Trouble.REDIRECTED,
            302,
        ),
    ],
)
def test_an_answer_is_read_or_named(answer: bytes, trouble: Trouble | None, status: int) -> None:
    with serve(say(answer)) as address:
        [reply] = ask_all([Question(f"http://{address}/")], 20)
    assert (reply.trouble, reply.status) == (trouble, status)
    assert reply.body == ({"id": 1} if trouble is None else None)


@pytest.mark.parametrize("talk", [keep_silent, drip])
def test_silence_and_dripping_end_in_time(talk: Talk) -> None:
    with serve(talk) as address, serve(say(HEAD + b"\r\n{}")) as other:
        late, good = ask_all([Question(f"http://{address}/"), Question(f"http://{other}/")], 0.5)
    assert late.trouble is Trouble.TIMED_OUT
    # Who is asked beside it has its answer.
    assert (good.trouble, good.body) == (None, {})


def test_a_name_server_that_keeps_silent_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    done = threading.Event()
    look_up = socket.getaddrinfo

    def wait(host: object, *more: object, **named: object) -> object:
        if host == "slow.invalid":
            done.wait()
            raise socket.gaierror
        return look_up(host, *more, **named)  # type: ignore[arg-type]  # passed on

    monkeypatch.setattr(socket, "getaddrinfo", wait)
    [reply] = ask_all([Question("http://slow.invalid/")], 0.2)
    done.set()
    assert reply.trouble is Trouble.TIMED_OUT


def test_what_never_stood_is_told_from_what_broke() -> None:
    with ExitStack() as stack:
        deaf = stack.enter_context(socket.socket())
        deaf.bind(("127.0.0.1", 0))
        plain = stack.enter_context(serve(say(HEAD + b"\r\n{}")))
        questions = [
            Question(f"http://127.0.0.1:{deaf.getsockname()[1]}/"),
            Question("http://nowhere.invalid/"),
            Question(f"https://{plain}/"),
        ]
        troubles = [reply.trouble for reply in ask_all(questions, 20)]
    assert troubles == [Trouble.NOT_REACHED, Trouble.NAME_UNKNOWN, Trouble.TLS_FAILED]


@pytest.mark.parametrize(
    "question",
    [
        Question("http://a..b/"),
        Question("http://[::1/"),
        Question("http://127.0.0.1:99999/"),
        Question("http://127.0.0.1:1/", bearer="with\nbreak"),
        Question("http://127.0.0.1:1/", bearer="ключ"),
        Question("http://127.0.0.1:1/", basic=("user", "ключ")),
    ],
)
def test_what_http_cannot_carry_is_not_asked(question: Question) -> None:
    [reply] = ask_all([question], 20)
    assert reply.trouble is Trouble.NOT_ASKED


def test_neither_netrc_nor_a_proxy_changes_what_is_asked(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path_factory.mktemp("home") / "netrc"
    netrc.write_text("default login stranger password theirs\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    heard: list[bytes] = []

    def listen(client: socket.socket, _: threading.Event) -> None:
        heard.append(client.recv(65536))
        client.sendall(HEAD + b"\r\n{}")

    with serve(listen) as address:
        [reply] = ask_all([Question(f"http://{address}/x", {"fields": "a"}, bearer="ours")], 20)
    assert reply.body == {}
    assert heard[0].startswith(b"GET /x?fields=a HTTP/1.1")
    assert b"Authorization: Bearer ours\r\n" in heard[0]


def test_no_credential_is_in_a_questions_repr() -> None:
    assert "ours" not in repr(Question("http://x/", bearer="ours", basic=("user", "ours")))
    assert probing.TIMEOUT_S == 5
