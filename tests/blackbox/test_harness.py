"""The harness itself: a strict peer has to be strict, or all the other tests promise nothing."""

import socket

import pytest

from harness import origin as o
from harness import wire
from harness.client import Client, request_bytes
from harness.weir import Metrics


@pytest.fixture
def direct(upstream):
    """direct(handler): a client connected straight to an origin."""
    clients = []

    def connect(handler=None, **options):
        up = upstream(handler, **options)
        clients.append(Client((up.host, up.port)))
        return clients[-1], up

    yield connect
    for client in clients:
        client.close()


def parse(data, method="GET"):
    left, right = socket.socketpair()
    with left, right:
        left.sendall(data)
        left.close()
        right.settimeout(5)
        return wire.Response.read(wire.Reader(right), method)


def test_client_and_origin_understand_each_other(direct):
    client, up = direct(o.echo())
    for n in range(3):
        assert '"target": "/%d"' % n in client.request("/%d" % n, "POST", body=b"x" * n).text
    assert len(up.connections) == 1 and up.last.length == 2


def test_the_firehose_sends_what_it_says(direct):
    import hashlib

    for chunked in (False, True):
        client, _ = direct(o.Firehose(300001, chunked=chunked))
        assert hashlib.sha256(client.request().body).hexdigest() == o.Firehose.sha256(300001)


def test_the_firehose_notices_a_stall(direct):
    hose = o.Firehose(64 << 20)
    client, _ = direct(hose)
    client.send(request_bytes())
    assert 0 < hose.wait_until_it_stalls() < 64 << 20


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
        b"HTTP/1.1 200 OK\r\nContent-Length : 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\rb\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;ext\r\nabc\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf",
        b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 99 X\r\n\r\n",
        b"HTTP/2 200\r\n\r\n",
        b"",
    ],
)
def test_a_broken_response_is_noticed(data):
    with pytest.raises(AssertionError):
        parse(data)


def test_interim_responses_are_kept_apart():
    response = parse(b"HTTP/1.1 103 E\r\nA: b\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    assert [i.status for i in response.interim] == [103] and response.body == b"ok"


@pytest.mark.parametrize(
    "page", ["a 1", "a{b=c} 1\n", 'a{b="c" 1\n', "a 1\na 2\n", 'a{x="1"} 1\na{x="1"} 1\n', "a b\n"]
)
def test_a_broken_metrics_page_is_noticed(page):
    with pytest.raises((AssertionError, ValueError)):
        Metrics(page)


def test_metrics_are_summed_by_label():
    metrics = Metrics('# TYPE a counter\na{x="1",y="2"} 1\na{x="1",y="3"} 2\na{x="2",y="3"} 4\n')
    assert metrics.sum("a", x="1") == 3 and metrics.sum("a") == 7
