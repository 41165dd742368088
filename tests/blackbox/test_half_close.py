"""Clients that close their side of the connection and still read."""

import socket
import time

import pytest

from harness import origin as o
from harness.client import request_bytes


def late(seconds=0.6):
    return o.respond(delay=seconds)


@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize("body", [None, b"abc"])
def test_a_whole_request_is_answered(weir, upstream, version, body):
    up = upstream(late())
    w = weir(up)
    client = w.connect()
    client.send(request_bytes("/", "GET" if body is None else "POST", body=body, version=version))
    client.finish_sending()
    response = client.read()
    assert response.status == 200 and response.body == b"hello" and client.is_closed()
    assert w.access_log(1)[0]["status"] == 200


def test_a_large_answer_comes_whole(weir, upstream):
    client = weir(upstream(late_large())).connect()
    client.send(request_bytes())
    client.finish_sending()
    assert len(client.read().body) == 3000000


def late_large():
    return o.respond(b"x" * 3000000, delay=0.3)


def test_pipelined_requests_are_all_answered(weir, upstream):
    client = weir(upstream(late(0.2))).connect()
    client.send(b"".join(request_bytes("/%d" % n) for n in range(4)))
    client.finish_sending()
    for _ in range(4):
        assert client.read().status == 200
    assert client.is_closed()


def test_close_notify_ends_a_side_too(weir, upstream):
    import ssl

    w = weir(upstream(late()), tls=True)
    raw = socket.create_connection(w.address(), timeout=10)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = w.ca.client_context(alpn=["http/1.1"]).wrap_bio(incoming, outgoing, server_hostname="wiki.example")

    def step(call):
        while True:
            try:
                return call()
            except ssl.SSLWantReadError:
                raw.sendall(outgoing.read())
                data = raw.recv(65536)
                assert data
                incoming.write(data)
            finally:
                if outgoing.pending:
                    raw.sendall(outgoing.read())

    step(tls.do_handshake)
    step(lambda: tls.write(request_bytes()))
    try:
        tls.unwrap()  # sends close_notify, and wants the peer's
    except ssl.SSLWantReadError:
        pass
    raw.sendall(outgoing.read())
    raw.shutdown(socket.SHUT_WR)
    got = b""
    while data := raw.recv(65536):
        got += data
    # After its own close_notify OpenSSL reads no more, so the size of the records has to do.
    assert len(got) > 150
    assert w.access_log(1)[0]["status"] == 200


@pytest.mark.parametrize("part", [b"GET / HTTP/1.1\r\nHo", request_bytes("/", "POST", fields=[("Content-Length", "5")]) + b"ab"])
def test_a_request_that_is_not_whole_is_given_up(weir, upstream, part):
    up = upstream(o.respond())
    client = weir(up).connect()
    client.send(part)
    client.finish_sending()
    assert client.is_closed(3)


def test_a_client_that_resets_frees_the_upstream(weir, upstream):
    up = upstream(o.silence)
    w = weir(up)
    client = w.connect()
    client.send(request_bytes())
    conn = up.wait_for_requests(1).conn
    client.finish_sending()
    time.sleep(0.3)
    assert not conn.closed.is_set()
    client.reset()
    assert conn.closed.wait(5)
    assert w.access_log(1)[0]["status"] == 499


def test_abort_takes_the_end_of_a_side_for_the_end(weir, upstream):
    up = upstream(o.silence)
    w = weir(up, listener={"half_close": "abort"})
    client = w.connect()
    client.send(request_bytes())
    conn = up.wait_for_requests(1).conn
    client.finish_sending()
    assert conn.closed.wait(5) and client.is_closed()
    entry = w.access_log(1)[0]
    assert (entry["status"], entry["reason"]) == (499, "client_closed")


def test_on_a_unix_socket_a_closed_client_is_told_from_one_that_waits(weir, upstream, tmp_path):
    up = upstream(o.silence)
    w = weir(up, listener={"bind": ["unix:" + str(tmp_path / "in.sock")]})
    client = w.connect()
    client.send(request_bytes())
    conn = up.wait_for_requests(1).conn
    client.close()
    assert conn.closed.wait(5)
