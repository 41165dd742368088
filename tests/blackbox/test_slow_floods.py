"""Many slow clients, and those just fast enough to look busy: deadlines that cannot be talked into more time."""

import socket
import time

import pytest

from harness import KIB, MIB, crowd
from harness import origin as o
from harness.client import request_bytes
from harness.weir import is_sanitized

CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
SLOW = {"limits": {"min_body_rate": 100}, "timeouts": {"body": "2s", "body_grace": "1s"}}


def test_the_header_deadline_keeps_its_time(weir, upstream):
    """A byte every 100 ms: 408 at the limit, within a tenth of it (and what this machine is late)."""
    w = weir(upstream(), listener={"timeouts": {"header": "3s"}})
    client = w.connect(timeout=0.1)
    began = time.monotonic()
    answer = b""
    for byte in b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 100:
        try:
            client.send(bytes([byte]))
            answer = client.sock.recv(4096)
            break
        except socket.timeout:
            pass
        except ConnectionError:
            break
    took = time.monotonic() - began
    assert b" 408 " in answer
    assert 2.7 <= took <= 3.3 + 0.2


def drip(client, step, seconds):
    """Sends `step` every 100 ms until weir has had enough; how long that took."""
    began = time.monotonic()
    client.sock.settimeout(0.1)
    while time.monotonic() - began < seconds:
        try:
            client.send(step)
            if client.sock.recv(1, socket.MSG_PEEK) is not None:
                break
        except socket.timeout:
            pass
        except ConnectionError:
            break
    client.sock.settimeout(5)
    return time.monotonic() - began


def test_a_body_below_the_rate_is_408(weir, upstream):
    """Three bytes each 100 ms never run into the gap timeout; they are 30 bytes a second all the same."""
    up = upstream(o.echo())
    w = weir(up, listener=SLOW)
    client = w.connect()
    client.send(CHUNKED)
    took = drip(client, b"3\r\nabc\r\n", 8)
    assert 0.9 <= took <= 3.5
    assert client.read().status == 408 and client.is_closed()
    w.wait_for_reason("body_too_slow")
    assert up.requests[0].conn.closed.wait(5)


def test_an_h2_body_below_the_rate_ends_the_stream(weir, upstream):
    up = upstream(o.echo())
    w = weir(up, listener=SLOW)
    client = w.connect_h2()
    stream_id = client.begin("/", "POST", end=False)
    stream = client.streams[stream_id]
    began = time.monotonic()
    while not stream.done and time.monotonic() - began < 8:
        try:
            client.conn.send_data(stream_id, b"abc")
            client.flush()
        except Exception:
            break
        client.pump(0.1)
    assert 0.9 <= time.monotonic() - began <= 3.5
    w.wait_for_reason("body_too_slow")
    assert client.request("/next").status == 200  # the connection is none the worse


def test_a_body_above_the_rate_may_take_its_time(weir, upstream):
    w = weir(upstream(o.echo()), listener=SLOW)
    client = w.connect()
    client.send(CHUNKED)
    for _ in range(30):
        client.send(b"14\r\n" + b"x" * 20 + b"\r\n")
        time.sleep(0.1)
    client.send(b"0\r\n\r\n")
    assert client.read().status == 200


def test_a_slow_upstream_is_not_the_clients_fault(weir, upstream):
    """While we do not read the body for want of room, its clock stands still."""
    w = weir(upstream(o.respond(delay=2.5)), listener={**SLOW, "limits": {"min_body_rate": 1000000}})
    assert w.get("/", method="POST", body=b"x" * 1000).status == 200


def unsent_bytes(port):
    """What the kernel holds for each connection of that local port, in bytes."""
    with open("/proc/net/tcp") as table:
        lines = [line.split() for line in list(table)[1:]]
    return [int(words[4].split(":")[0], 16) for words in lines if words[1].endswith(":%04X" % port)]


@pytest.fixture
def spring():
    origin = crowd.Spring(16 * MIB)
    yield origin
    origin.stop()


def test_a_thousand_slow_readers_cost_little_and_no_neighbour(weir, spring):
    w = weir(spring, listener={"timeouts": {"write": "2s"}}, group={"max_connections": 2000, "max_pending": 2000})
    before = w.resident_bytes()
    good = w.connect(timeout=5)
    socks = []
    for _ in range(1000):
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.settimeout(10)
        sock.connect(w.address())
        sock.sendall(request_bytes("/large"))
        sock.setblocking(False)
        socks.append(sock)
        if len(socks) % 50 == 0:
            assert good.request("/small").status == 200
    peak, held, deadline = 0, 0, time.monotonic() + 30
    while w.metrics().reason("write_timeout") < len(socks):
        assert time.monotonic() < deadline
        assert good.request("/small").status == 200  # a well-behaved client notices nothing
        peak = max(peak, w.resident_bytes())
        held = max(held, *unsent_bytes(w.port()))
        for sock in socks:
            try:
                sock.recv(1)
            except OSError:
                pass
        time.sleep(0.5)
    each = 512 if is_sanitized() else 256  # sanitizers keep up to 256 MiB of what is freed
    assert peak - before < 1000 * each * KIB
    assert held < MIB  # beside that: the kernel does not take the rest on our behalf
    for sock in socks:
        sock.close()
    assert good.request("/small").status == 200
    if is_sanitized():
        return  # sanitizers keep what is freed
    deadline = time.monotonic() + 10
    while w.resident_bytes() - before > 64 * MIB:  # the memory is returned to the system
        assert time.monotonic() < deadline, "%d KiB" % ((w.resident_bytes() - before) / KIB)
        time.sleep(0.1)


@pytest.mark.parametrize("limit, least, most", [("64KiB", 0, 320), ("1MiB", 448, 2048)])
def test_what_the_kernel_takes_unsent_can_be_set(weir, spring, limit, least, most):
    """The kernel holds little of an unread response, and between half and all of the limit once the client has read."""
    w = weir(spring, listener={"limits": {"max_unsent_bytes": limit}})
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.connect(w.address())
    sock.sendall(request_bytes("/large"))

    def held_after(seconds, enough):
        deadline = time.monotonic() + seconds
        while max(unsent_bytes(w.port())) < enough and time.monotonic() < deadline:
            time.sleep(0.1)
        time.sleep(0.5)
        return max(unsent_bytes(w.port())) / KIB

    assert held_after(0.5, 0) <= 320
    left = 6 * MIB
    while left > 0:
        left -= len(sock.recv(left))
    held = held_after(10, least * KIB)
    sock.close()
    assert least <= held <= most


def test_a_thousand_slow_heads_are_closed_in_time(weir, upstream):
    w = weir(upstream(), listener={"timeouts": {"header": "3s", "idle": "3s"}})
    before = w.resident_bytes()
    clients = [w.connect() for _ in range(1000)]
    for client in clients:
        client.send(b"GET / HTTP/1.1\r\nX: ")
    good = w.connect(timeout=2)
    peak = 0
    deadline = time.monotonic() + 20
    while w.metrics().reason("header_timeout") < 1000:
        assert time.monotonic() < deadline
        assert good.request().status == 200  # a well-behaved client notices nothing
        peak = max(peak, w.resident_bytes())
        time.sleep(0.1)
    assert peak - before < 64 * MIB
