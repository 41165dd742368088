"""Plain HTTP on a TLS port is answered with a page that explains the mistake."""

import pytest

from harness.client import Client, request_bytes


def plain(w):
    client = Client(w.address())
    w.clients.append(client)
    return client


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "OPTIONS", "PROPFIND", "get"])
def test_plain_http_on_a_tls_port_is_answered_with_400_and_an_explanation(weir, upstream, method):
    up = upstream()
    w = weir(up, tls=True)
    client = plain(w)
    client.send(request_bytes(method=method, body=b"x=1" if method == "POST" else None))
    response = client.read()
    assert response.status == 400
    assert b"this port speaks TLS" in response.body
    assert client.is_closed()
    w.wait_for_reason("plain_http")
    assert not up.requests


def test_the_answer_to_head_has_no_body(weir, upstream):
    w = weir(upstream(), tls=True)
    client = plain(w)
    client.send(request_bytes(method="HEAD"))
    assert client.read("HEAD").status == 400
    assert client.is_closed()


def test_an_upload_reads_the_answer_before_the_end(weir, upstream):
    w = weir(upstream(), tls=True)
    client = plain(w)
    client.send(request_bytes(method="POST", fields=[("Content-Length", "300000")]))
    for _ in range(30):
        client.send(b"x" * 10000)
    assert client.read().status == 400
    assert client.is_closed()


@pytest.mark.parametrize("data", [b"\x16\x03\x01\xff\xff" + b"A" * 100, b"\0" * 100, b"\x80\x2e\x01"], ids=["record", "nul", "sslv2"])
def test_what_is_no_text_gets_no_text(weir, upstream, data):
    w = weir(upstream(), tls=True)
    client = plain(w)
    client.send(data)
    client.sock.settimeout(2)
    try:
        client.finish_sending()
        answer = client.sock.recv(4096)
    except ConnectionError:
        answer = b""
    assert b"HTTP" not in answer
    assert w.metrics().reason("plain_http") == 0


def test_plain_http_does_not_harm_a_tls_listener(weir, upstream):
    w = weir(upstream(), tls=True)
    for _ in range(10):
        client = plain(w)
        client.send(request_bytes())
        client.read()
    assert w.get().status == 200
