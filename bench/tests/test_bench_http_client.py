import socket
import threading

import pytest

from suite.http_client import Connection, HttpError


@pytest.fixture
def answering():
    """Starts a server that reads one request and sends the given bytes in small pieces, then closes."""
    listeners, threads = [], []

    def start(answer: bytes) -> int:
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)

        def serve():
            peer, _ = listener.accept()
            with peer:
                peer.recv(65536)
                for begin in range(0, len(answer), 7):
                    peer.sendall(answer[begin:begin + 7])

        threads.append(threading.Thread(target=serve, daemon=True))
        threads[-1].start()
        return listener.getsockname()[1]

    yield start
    for thread in threads:
        thread.join(10)
    for listener in listeners:
        listener.close()


def test_reads_two_answers_of_one_connection(answering):
    port = answering(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A:  b \r\n\r\nhello"
                     b"HTTP/1.1 204 No Content\r\n\r\n")
    with Connection(port, 10) as connection:
        first = connection.exchange(b"x")
        assert (first.status, first.headers["x-a"], first.body) == (200, "b", b"hello")
        assert connection.receive().status == 204


def test_reads_chunks_and_trailers(answering):
    port = answering(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                     b"5;a=b\r\nhello\r\nA\r\n, 10 bytes\r\n0\r\nT: u\r\n\r\n"
                     b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n")
    with Connection(port, 10) as connection:
        assert connection.exchange(b"x").body == b"hello, 10 bytes"
        assert connection.receive().status == 500


def test_an_answer_cut_short_is_an_error(answering):
    port = answering(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nshort")
    with Connection(port, 10) as connection, pytest.raises(HttpError, match="closed"):
        connection.exchange(b"x")
