"""Clients that are slow, or say nothing: every wait has a deadline that only bytes of the right kind move."""

import socket
import threading
import time

import pytest

from harness import MIB
from harness import origin as o
from harness.client import request_bytes

SLACK = 1.5  # seconds: deadlines are coarse, and sanitizers slow


def timeouts(**values):
    return {"timeouts": values}


def within(seconds, limit):
    assert limit * 0.7 <= seconds <= limit + SLACK, "%.2f s, where %.2f s were configured" % (seconds, limit)


def test_a_head_that_never_ends_is_408(weir, upstream):
    up = upstream()
    w = weir(up, listener=timeouts(header="700ms"))
    client = w.connect()
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\n")
    began = time.monotonic()
    response = client.read()
    within(time.monotonic() - began, 0.7)
    assert response.status == 408 and client.is_closed()
    assert not up.requests
    w.wait_for_reason("header_timeout")


def test_dribbling_does_not_extend_the_header_deadline(weir, upstream):
    w = weir(upstream(), listener=timeouts(header="1s"))
    client = w.connect(timeout=0.1)
    client.send(b"GET / HTTP/1.1\r\n")
    began = time.monotonic()
    try:
        for n in range(100):
            client.send(b"X%d: y\r\n" % n)
            time.sleep(0.1)
            try:
                if client.sock.recv(4096) is not None:
                    break
            except socket.timeout:
                pass
    except ConnectionError:
        pass
    within(time.monotonic() - began, 1)
    w.wait_for_reason("header_timeout")


def test_a_body_that_stops_is_408(weir, upstream):
    up = upstream(o.echo())
    w = weir(up, listener=timeouts(body="600ms"))
    client = w.connect()
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nsome")
    began = time.monotonic()
    assert client.read().status == 408
    within(time.monotonic() - began, 0.6)
    assert client.is_closed()
    w.wait_for_reason("body_timeout")
    assert up.requests[0].conn.closed.wait(5)  # and the upstream is free again


def test_a_body_that_keeps_moving_may_take_longer(weir, upstream):
    w = weir(upstream(o.echo()), listener=timeouts(body="600ms"))
    client = w.connect()
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n")
    for _ in range(10):
        client.send(b"x")
        time.sleep(0.15)
    assert client.read().status == 200


@pytest.mark.tsan
def test_an_idle_connection_is_closed_quietly(weir, upstream):
    w = weir(upstream(), listener=timeouts(idle="600ms"))
    client = w.connect()
    client.request()
    within(client.seconds_until_closed(), 0.6)


def test_a_connection_that_never_speaks_is_closed(weir, upstream):
    w = weir(upstream(), listener=timeouts(idle="600ms", header="600ms"))
    assert w.connect().seconds_until_closed() < 0.6 + SLACK


def test_an_idle_h2_connection_gets_goaway_and_is_closed(weir, upstream):
    w = weir(upstream(), listener=timeouts(idle="600ms"))
    client = w.connect_h2()
    client.request()
    client.wait(lambda: client.goaway is not None, 3, "GOAWAY")
    assert client.goaway.error_code == 0 and client.is_closed()


def test_an_h2_connection_without_preface_is_closed(weir, upstream, ca):
    w = weir(upstream(), tls=True, listener=timeouts(idle="600ms", header="600ms"))
    client = w.connect(tls=ca.client_context(alpn=["h2"]))
    began = time.monotonic()
    try:
        while client.sock.recv(4096):  # SETTINGS, perhaps GOAWAY
            pass
    except ConnectionError:
        pass
    assert time.monotonic() - began < 0.6 + SLACK


def test_h2_pings_do_not_keep_an_idle_connection(weir, upstream):
    w = weir(upstream(), listener=timeouts(idle="800ms"))
    client = w.connect_h2()
    client.request()
    began = time.monotonic()
    while not client.closed and client.goaway is None and time.monotonic() - began < 5:
        client.conn.ping(b"12345678")
        client.flush()
        client.pump(0.1)
    assert time.monotonic() - began < 0.8 + SLACK


def test_an_h2_head_that_never_ends_ends_the_connection(weir, upstream):
    """HEADERS without END_HEADERS, and then silence."""
    w = weir(upstream(), listener=timeouts(header="700ms", idle="700ms"))
    client = w.connect_h2()
    client.request()
    client.sock.sendall(b"\x00\x00\x01\x01\x00\x00\x00\x00\x03\x82")
    began = time.monotonic()
    assert client.is_closed(5)
    assert time.monotonic() - began < 0.7 + SLACK


@pytest.mark.parametrize("data", [b"", b"\x16\x03\x01"])
def test_a_handshake_that_never_ends_is_given_up(weir, upstream, data):
    w = weir(upstream(), tls=True, listener=timeouts(handshake="700ms"))
    with socket.create_connection(w.address(), timeout=10) as sock:
        sock.sendall(data)
        began = time.monotonic()
        try:
            sock.recv(100)
        except ConnectionError:
            pass
        within(time.monotonic() - began, 0.7)
    w.wait_for_reason("handshake_timeout")


def test_a_client_that_does_not_read_is_given_up(weir, upstream):
    up = upstream(o.Firehose(64 * MIB))
    w = weir(up, listener=timeouts(write="800ms"))
    client = w.connect(receive_buffer=4096)
    client.send(request_bytes())
    conn = up.wait_for_requests(1).conn
    assert conn.closed.wait(10)
    w.wait_for_reason("write_timeout")
    # And the kernel does not keep for it what it has not read.
    with pytest.raises(ConnectionResetError):
        client.reader.to_end()


def test_an_h2_client_that_gives_no_window_is_given_up(weir, upstream):
    up = upstream(o.Firehose(64 * MIB))
    w = weir(up, listener=timeouts(write="800ms"))
    client = w.connect_h2(auto_ack=False)
    client.begin()
    conn = up.wait_for_requests(1).conn
    ended = threading.Event()
    threading.Thread(target=lambda: conn.closed.wait(10) and ended.set(), daemon=True).start()
    deadline = time.monotonic() + 10
    while not ended.is_set() and time.monotonic() < deadline and not client.closed:
        client.pump(0.1)
    assert ended.wait(2)


def test_a_slow_but_moving_reader_is_not_given_up(weir, upstream):
    w = weir(upstream(o.Firehose(6 * MIB)), listener=timeouts(write="1s"))
    client = w.connect(receive_buffer=16384)
    client.send(request_bytes())
    left = int(client.read_head().header("content-length"))
    while left:
        left -= len(client.reader.exactly(min(left, 1 * MIB)))
        time.sleep(0.3)


def test_slow_clients_do_not_hinder_others(weir, upstream):
    w = weir(upstream(), listener=timeouts(header="5s"))
    slow = [w.connect() for _ in range(100)]
    for client in slow:
        client.send(b"GET / HTTP/1.1\r\nHo")
    client = w.connect(timeout=2)
    for _ in range(50):
        assert client.request().status == 200
