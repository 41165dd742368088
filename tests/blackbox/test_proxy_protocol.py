"""The PROXY protocol of clients: whose header is accepted, and what happens to other connections."""

import socket
import struct
import time

import pytest

from harness import origin as o
from harness.client import request_bytes

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
V1 = b"PROXY TCP4 203.0.113.7 198.51.100.1 5000 443\r\n"


def v2(command=1, family=0x11, body=None, length=None):
    if body is None:
        body = socket.inet_aton("203.0.113.7") + socket.inet_aton("198.51.100.1") + struct.pack(">HH", 5000, 443)
    return SIGNATURE + bytes([0x20 | command, family]) + struct.pack(">H", len(body) if length is None else length) + body


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def v2_with_checksum(good):
    addrs = socket.inet_aton("203.0.113.7") + socket.inet_aton("198.51.100.1") + struct.pack(">HH", 5000, 443)
    zero = v2(body=addrs + b"\x03\x00\x04" + b"\0" * 4)
    return zero[:-4] + struct.pack(">I", crc32c(zero) ^ (0 if good else 1))


V6 = v2(family=0x21, body=socket.inet_pton(socket.AF_INET6, "2001:db8::7") + socket.inet_pton(socket.AF_INET6, "2001:db8::1") + struct.pack(">HH", 5000, 443))

GOOD = {
    "v1": (V1, "203.0.113.7"),
    "v1 tcp6": (b"PROXY TCP6 2001:db8::7 2001:db8::1 5000 443\r\n", "2001:db8::7"),
    "v1 unknown": (b"PROXY UNKNOWN\r\n", "127.0.0.1"),
    "v1 unknown with more": (b"PROXY UNKNOWN ff:: ff:: 1 2\r\n", "127.0.0.1"),
    "v2": (v2(), "203.0.113.7"),
    "v2 ip6": (V6, "2001:db8::7"),
    "v2 local": (v2(command=0, family=0, body=b""), "127.0.0.1"),
    "v2 with tlv": (v2(body=v2()[16:] + b"\x02\x00\x03abc"), "203.0.113.7"),
    "v2 with checksum": (v2_with_checksum(True), "203.0.113.7"),
}

BAD = {
    "none": request_bytes(),
    "v1 lf": V1.replace(b"\r\n", b"\n"),
    "v1 too long": b"PROXY UNKNOWN " + b"x" * 200 + b"\r\n",
    "v1 bad kind": V1.replace(b"TCP4", b"UDP4"),
    "v1 wrong family": V1.replace(b"TCP4", b"TCP6"),
    "v1 bad port": V1.replace(b"5000", b"65536"),
    "v1 leading zero": V1.replace(b"5000", b"05000"),
    "v1 two spaces": V1.replace(b"TCP4 ", b"TCP4  "),
    "v1 too few": b"PROXY TCP4 203.0.113.7 198.51.100.1 5000\r\n",
    "v1 name": V1.replace(b"203.0.113.7", b"localhost"),
    "v1 lower case": V1.lower(),
    "v2 bad version": v2().replace(b"QUIT\n\x21", b"QUIT\n\x11"),
    "v2 bad command": v2(command=2),
    "v2 too short": v2(body=b"\0" * 5),
    "v2 far too long": v2(length=60000),
    "v2 tlv beyond the end": v2(body=v2()[16:] + b"\x02\x00\x09abc"),
    "v2 bad checksum": v2_with_checksum(False),
}


def conf(**extra):
    return {"proxy_protocol": {"from": ["127.0.0.0/8"], **extra}, "timeouts": {"header": "1s"}}


@pytest.mark.parametrize("name", GOOD)
def test_the_client_is_the_address_of_the_header(weir, upstream, name):
    header, client = GOOD[name]
    up = upstream(o.echo())
    w = weir(up, listener=conf())
    assert w.exchange(header + request_bytes()).status == 200
    assert up.last.header("x-client-ip") == client


def test_the_header_may_come_in_pieces_and_before_tls(weir, upstream, ca):
    up = upstream(o.echo())
    w = weir(up, tls=True, listener=conf())
    sock = socket.create_connection(w.address(), timeout=5)
    for byte in v2():
        sock.sendall(bytes([byte]))
        time.sleep(0.005)
    with ca.client_context(alpn=["http/1.1"]).wrap_socket(sock, server_hostname="wiki.example") as tls:
        tls.sendall(request_bytes())
        assert b" 200 " in tls.recv(4096)
    assert up.last.header("x-client-ip") == "203.0.113.7"


@pytest.mark.parametrize("name", BAD)
def test_anything_else_closes_the_connection(weir, upstream, name):
    up = upstream(o.echo())
    w = weir(up, listener=conf())
    client = w.connect()
    client.send(BAD[name] + request_bytes())
    assert client.is_closed()
    w.wait_for_reason("proxy_header_bad")
    assert not up.requests
    assert w.exchange(V1 + request_bytes()).status == 200


@pytest.mark.parametrize("data", [b"", b"PROX", SIGNATURE])
def test_a_header_that_does_not_come_in_time_closes_the_connection(weir, upstream, data):
    w = weir(upstream(), listener=conf())
    client = w.connect()
    client.send(data)
    assert 0.7 <= client.seconds_until_closed() <= 2.5
    w.wait_for_reason("proxy_header_timeout")


def test_a_header_from_elsewhere_closes_the_connection(weir, upstream):
    up = upstream()
    w = weir(up, listener={"proxy_protocol": {"from": ["192.0.2.0/24"]}})
    client = w.connect()
    try:
        client.send(V1 + request_bytes())
    except OSError:
        pass
    assert client.is_closed()
    w.wait_for_reason("proxy_header_foreign")
    assert not up.requests


def test_where_it_is_not_required_others_come_as_they_are(weir, upstream):
    up = upstream(o.echo())
    w = weir(up, listener=conf(required=False))
    assert w.get().status == 200
    assert up.last.header("x-client-ip") == "127.0.0.1"
    assert w.exchange(V1 + request_bytes()).status == 200
    assert up.last.header("x-client-ip") == "203.0.113.7"


def test_not_required_from_elsewhere_is_a_bad_request(weir, upstream):
    up = upstream(o.echo())
    w = weir(up, listener={"proxy_protocol": {"from": ["192.0.2.0/24"], "required": False}})
    assert w.get().status == 200
    client = w.connect()
    client.send(V1 + request_bytes())
    assert client.read().status in (400, 505) and client.is_closed()


def test_the_client_of_the_header_has_the_caps(weir, upstream):
    w = weir(upstream(), listener={**conf(), "per_client": {"max_connections": 2, "new_per_second": 0}})
    kept = []
    for n in (0, 1):
        client = w.connect()
        client.send(V1)
        assert client.request().status == 200
        kept.append(client)
    client = w.connect()
    client.send(V1 + request_bytes())
    assert client.is_closed()
    w.wait_for_reason("client_connections")
    assert w.exchange(V1.replace(b".7", b".8") + request_bytes()).status == 200
