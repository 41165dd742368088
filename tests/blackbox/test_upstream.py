"""Upstreams that work, fail, are slow, or disappear."""

import threading
import time

import pytest

from harness import origin as o
from harness import ports
from harness.client import request_bytes

# --- pools -------------------------------------------------------------------------------------------


@pytest.mark.tsan
def test_upstream_connections_are_reused(weir, upstream):
    up = upstream()
    client = weir(up).connect()
    for _ in range(20):
        assert client.request().status == 200
    assert len(up.connections) == 1


def test_after_max_requests_a_connection_is_left(weir, upstream):
    up = upstream()
    client = weir(up, group={"max_requests": 5}).connect()
    for _ in range(20):
        assert client.request().status == 200
    assert len(up.connections) == 4


def test_an_idle_connection_is_closed_in_time(weir, upstream):
    up = upstream()
    w = weir(up, group={"timeouts": {"pool_idle": "500ms"}})
    w.get()
    began = time.monotonic()
    assert up.connections[0].closed.wait(5)
    assert 0.3 < time.monotonic() - began < 3


def test_not_more_idle_connections_are_kept_than_allowed(weir, upstream):
    up = upstream(o.respond(delay=0.3))
    w = weir(up, group={"max_idle": 2}, top={"workers": 1})
    clients = [w.connect() for _ in range(8)]
    for client in clients:
        client.send(request_bytes())
    for client in clients:
        assert client.read().status == 200
    up.wait_for(lambda u: sum(not c.closed.is_set() for c in u.connections) <= 2, what="surplus to be closed")


def test_a_pool_keeps_what_was_in_use_a_moment_ago(weir, upstream):
    """150 requests at a time need 150 connections, and the next 150 none more."""
    up = upstream(o.respond(delay=0.5))
    w = weir(up, top={"workers": 1}, group={"timeouts": {"pool_idle": "3s"}})
    clients = [w.connect() for _ in range(150)]
    for _ in range(3):
        for client in clients:
            client.send(request_bytes())
        for client in clients:
            assert client.read().status == 200
    assert len(up.connections) == 150
    up.wait_for(lambda u: all(c.closed.is_set() for c in u.connections), what="the pool to shrink")


def test_an_upstream_that_says_close_is_not_reused(weir, upstream):
    def handler(conn, request):  # says it, but leaves the closing to weir
        conn.send(o.head(200, [("Content-Length", "2"), ("Connection", "close")]) + b"ok")

    up = upstream(handler)
    client = weir(up).connect()
    for _ in range(3):
        assert client.request().body == b"ok"
    assert len(up.connections) == 3
    assert up.connections[0].closed.wait(5)


def test_surplus_bytes_after_a_response_end_the_connection(weir, upstream):
    """Unrequested bytes of a backend must never become the response to another client's request."""
    surplus = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nEVIL"
    up = upstream(o.raw(o.head(200, [("Content-Length", "2")]) + b"ok" + surplus, close=False))
    w = weir(up)
    for _ in range(5):
        response = w.get()
        assert (response.status, response.body) in [(200, b"ok"), (502, response.body)]
        assert b"EVIL" not in response.body
        time.sleep(0.05)
    assert len(up.connections) == 5


# --- dead idle connections ---------------------------------------------------------------------------


def dying(close):
    """Serves each connection's first request and ends the connection when a second one comes."""

    def handler(conn, request):
        if conn.request_count > 1:
            close(conn)
        else:
            o.echo()(conn, request)

    return handler


@pytest.mark.tsan
@pytest.mark.parametrize("close", [o.Connection.close, o.Connection.reset], ids=["fin", "rst"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "DELETE"])
def test_a_request_that_meets_a_dead_idle_connection_is_retried_once(weir, upstream, close, method):
    up = upstream(dying(close))
    w = weir(up, top={"workers": 1})
    client = w.connect()
    assert client.request().status == 200
    response = client.request("/again", method=method)
    assert response.status == 200
    assert [r.target for r in up.requests] == ["/", "/again", "/again"]
    assert w.access_log(2)[1]["retries"] == 1
    assert w.metrics().sum("weir_upstream_retries_total") == 1


def test_a_post_is_not_sent_twice(weir, upstream):
    up = upstream(dying(o.Connection.close))
    client = weir(up, top={"workers": 1}).connect()
    assert client.request().status == 200
    assert client.request("/post", "POST", body=b"abc").status == 502
    assert [r.target for r in up.requests] == ["/", "/post"]
    assert client.request("/after").status == 200


def test_a_connection_closed_while_idle_is_noticed_before_it_is_used(weir, upstream):
    up = upstream(o.echo())
    client = weir(up, top={"workers": 1}).connect()
    assert client.request().status == 200
    up.close_connections()
    time.sleep(0.2)
    assert client.request("/post", "POST", body=b"abc").status == 200
    assert [r.target for r in up.requests] == ["/", "/post"]


def test_a_retry_happens_once_only(weir, upstream):
    up = upstream(o.hang_up)
    assert weir(up).get().status == 502
    assert len(up.requests) <= 2


def test_nothing_is_retried_once_a_response_has_begun(weir, upstream):
    up = upstream(o.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"))
    client = weir(up).connect()
    client.send(request_bytes())
    with pytest.raises(AssertionError, match="missing"):
        client.read()
    assert len(up.requests) == 1


def test_retries_can_be_switched_off(weir, upstream):
    up = upstream(dying(o.Connection.close))
    client = weir(up, group={"retries": 0}, top={"workers": 1}).connect()
    assert client.request().status == 200
    assert client.request().status == 502


# --- failures ----------------------------------------------------------------------------------------


def check_failure(weir, up, status, reason, group=None, **options):
    """One request fails that way. A trusted client gets the reason, the connection stays open, and the failure is counted."""
    w = weir(up, trusted=True, group=group, **options)
    client = w.connect()
    response = client.request()
    assert response.status == status
    assert response.header("x-weir-reason") == reason
    assert response.header("content-type", "").startswith("text/plain")
    assert "backend" in response.text and len(response.body) < 500
    assert not response.closes
    w.wait_for_reason(reason)
    entry = w.access_log(1)[0]
    assert (entry["status"], entry["reason"], entry["group"]) == (status, reason, "backend")
    assert client.request().status == status  # the client's connection is still good
    return w


def test_a_refused_connection_is_502(weir, upstream):
    check_failure(weir, upstream(listening=False), 502, "upstream_connect")


def test_an_upstream_that_hangs_up_is_502(weir, upstream):
    check_failure(weir, upstream(o.hang_up), 502, "upstream_closed")


def test_an_upstream_that_resets_is_502(weir, upstream):
    check_failure(weir, upstream(o.reset), 502, "upstream_reset")


def test_an_upstream_that_never_answers_is_504(weir, upstream):
    up = upstream(o.silence)
    began = time.monotonic()
    check_failure(weir, up, 504, "upstream_timeout", group={"timeouts": {"response": "400ms"}})
    assert time.monotonic() - began < 5
    assert up.connections[0].closed.wait(5)


def test_an_upstream_that_cannot_be_reached_in_time_is_504(weir):
    # A full backlog: the kernel drops the SYN.
    import socket

    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        address = full.getsockname()
        fillers = []
        for _ in range(8):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(address)
            fillers.append(filler)
        time.sleep(0.1)
        group = {"timeouts": {"connect": "300ms"}, "retries": 0}
        check_failure(weir, "127.0.0.1:%d" % address[1], 504, "upstream_connect_timeout", group=group)
        for filler in fillers:
            filler.close()


def test_a_response_that_stalls_is_cut_and_counted(weir, upstream):
    def handler(conn, request):
        conn.send(o.head(200, [("Content-Length", "100")]) + b"half")
        conn.wait_for_end(20)

    w = weir(upstream(handler), group={"timeouts": {"idle": "400ms"}})
    client = w.connect()
    client.send(request_bytes())
    with pytest.raises(AssertionError, match="missing"):
        client.read()
    w.wait_for_reason("upstream_idle_timeout")


def test_the_total_timeout_ends_what_only_dribbles(weir, upstream):
    def handler(conn, request):
        conn.send(o.head(200, [("Content-Length", "1000")]))
        for _ in range(100):
            conn.send(b"x")
            time.sleep(0.05)

    w = weir(upstream(handler), group={"timeouts": {"total": "600ms"}})
    client = w.connect()
    client.send(request_bytes())
    began = time.monotonic()
    with pytest.raises(AssertionError, match="missing"):
        client.read()
    assert time.monotonic() - began < 3
    w.wait_for_reason("total_timeout")


OK = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    "data",
    [
        b"rubbish\r\n\r\n",
        b"\0\0\0\0\0\0\0\0\r\n\r\n",
        b"HTTP/1.1\r\n\r\n",
        b"HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        OK + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        OK + b"Content-Length: x\r\n\r\n",
        OK + b"Content-Length: -1\r\n\r\n",
        OK + b"Transfer-Encoding: gzip\r\n\r\n",
        OK + b"X : a\r\nContent-Length: 0\r\n\r\n",
        OK + b"X: a\rb\r\nContent-Length: 0\r\n\r\n",
        OK + b"X: a\0b\r\nContent-Length: 0\r\n\r\n",
        OK + b": a\r\nContent-Length: 0\r\n\r\n",
        OK + b"X" * 70000 + b": a\r\n\r\n",
        OK + b"".join(b"X%d: %s\r\n" % (n, b"a" * 1000) for n in range(100)) + b"\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 200,
    ],
    ids=range(19),
)
def test_a_rubbish_response_is_502_and_the_connection_is_dropped(weir, upstream, data):
    up = upstream(o.raw(data, close=False))
    w = weir(up, trusted=True)
    client = w.connect()
    response = client.request()
    assert response.status == 502
    assert response.header("x-weir-reason") in ("upstream_protocol", "upstream_headers_too_large")
    assert up.connections[0].closed.wait(5) or up.connections[0].wait_for_end()
    up.handler = o.respond()
    assert client.request().body == b"hello"
    assert len(up.connections) == 2


def test_what_ends_with_the_connection_never_looks_whole_when_it_is_cut(weir, upstream):
    """HTTP/1.0 has no chunks, so only a reset shows a client that the response is incomplete."""
    def handler(conn, request):
        conn.send(OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        go_on.wait(10)
        conn.close()

    go_on = threading.Event()
    w = weir(upstream(handler))
    client = w.connect()
    client.send(b"GET / HTTP/1.0\r\nHost: a\r\n\r\n")
    assert client.read_head().status == 200 and client.reader.exactly(3) == b"abc"
    go_on.set()
    with pytest.raises(ConnectionResetError):
        client.sock.recv(1)
    w.wait_for_reason("upstream_closed")


@pytest.mark.parametrize(
    "chunks", [b"5\r\nhel", b"g\r\n", b"5\r\nhelloXX\r\n", b"5\nhello\r\n0\r\n\r\n", b"ffffffffffffffffff\r\n"]
)
def test_a_broken_chunked_response_never_looks_whole(weir, upstream, chunks):
    up = upstream(o.raw(OK + b"Transfer-Encoding: chunked\r\n\r\n" + b"3\r\nabc\r\n" + chunks))
    client = weir(up).connect()
    client.send(request_bytes())
    try:
        response = client.read()
        assert response.status == 502
    except AssertionError as error:
        assert "closed" in str(error)


def test_a_response_before_the_end_of_the_request_is_passed_on(weir, upstream):
    def handler(conn, request):
        conn.send(o.head(403, [("Content-Length", "2"), ("Connection", "close")]) + b"no")
        time.sleep(0.2)
        conn.close()

    client = weir(upstream(handler)).connect()
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n" + b"x" * 10000)
    response = client.read()
    assert response.status == 403 and response.body == b"no"
    assert response.closes and client.is_closed()


def test_a_client_that_leaves_frees_the_upstream(weir, upstream):
    up = upstream(o.silence)
    w = weir(up)
    client = w.connect()
    client.send(request_bytes())
    conn = up.wait_for_requests(1).conn
    client.reset()
    assert conn.closed.wait(5)
    assert w.access_log(1)[0]["reason"] in ("client_closed", "client_reset")


# --- TLS towards upstreams ---------------------------------------------------------------------------


def test_an_unknown_authority_is_502(weir, upstream, other_ca, ca):
    up = upstream(tls=other_ca.server_context(other_ca.leaf("wiki.example")))
    check_failure(weir, up, 502, "upstream_tls_verify")
    assert not up.requests


def test_a_wrong_name_is_502(weir, upstream, ca):
    up = upstream(tls=ca.server_context(ca.leaf("other.example")))
    check_failure(weir, up, 502, "upstream_tls_verify")


def test_an_expired_certificate_is_502(weir, upstream, ca):
    up = upstream(tls=ca.server_context(ca.leaf("wiki.example", days=-10)))
    check_failure(weir, up, 502, "upstream_tls_verify")


def test_verification_can_be_switched_off(weir, upstream, other_ca):
    up = upstream(tls=other_ca.server_context(other_ca.leaf("wiki.example")))
    assert weir(up, group={"tls": {"verify": False, "ca": None, "server_name": None}}).get().body == b"hello"


def test_plain_bytes_where_tls_was_expected_are_502(weir, upstream, ca):
    class Plain:
        @staticmethod
        def on_connection(conn):
            conn.send(OK + b"Content-Length: 4\r\n\r\nEVIL")
            conn.wait_for_end()
            conn.close()

    w = weir(upstream(Plain()), trusted=True, group={"tls": {"ca": ca.file, "server_name": "wiki.example"}})
    response = w.get()
    assert response.status == 502 and response.header("x-weir-reason") == "upstream_tls"


def test_the_name_of_the_endpoint_is_verified_by_default(weir, upstream, ca):
    up = upstream(tls=ca.server_context(ca.leaf("localhost")))
    endpoint = "localhost:%d" % up.port
    w = weir(endpoint, group={"tls": {"ca": ca.file}})
    assert w.get().body == b"hello"


# --- endpoints ---------------------------------------------------------------------------------------


def test_names_are_resolved(weir, upstream):
    up = upstream()
    assert weir("localhost:%d" % up.port).get().body == b"hello"


def test_a_name_that_does_not_resolve_is_503(weir):
    w = weir("nowhere.invalid:80", trusted=True)
    response = w.get()
    assert response.status == 503 and response.header("x-weir-reason") == "upstream_no_endpoint"


def test_unix_sockets_are_endpoints(weir, upstream):
    up = upstream(unix=True)
    client = weir(up).connect()
    for _ in range(3):
        assert client.request().body == b"hello"
    assert len(up.connections) == 1


def test_ipv6_addresses_are_endpoints(weir, upstream):
    if not ports.has_ipv6():
        pytest.skip("no IPv6 here")
    assert weir(upstream(host="::1")).get().body == b"hello"


@pytest.mark.parametrize("balance", ["round_robin", "least_request"])
def test_all_endpoints_are_used(weir, upstream, balance):
    ups = [upstream() for _ in range(3)]
    w = weir(ups, group={"balance": balance}, top={"workers": 1})
    client = w.connect()
    for _ in range(60):
        assert client.request().status == 200
    counts = [len(up.requests) for up in ups]
    if balance == "round_robin":
        assert min(counts) >= 18
    else:
        assert min(counts) > 3


def test_a_dead_endpoint_among_several_costs_no_request(weir, upstream):
    ups = [upstream(), upstream(listening=False), upstream()]
    client = weir(ups, group={"balance": "round_robin"}).connect()
    for _ in range(20):
        assert client.request().status == 200


def test_least_request_avoids_the_busy_endpoint(weir, upstream):
    slow, quick = upstream(o.respond(delay=3)), upstream()
    w = weir([slow, quick], group={"balance": "least_request"}, top={"workers": 1})
    busy = [w.connect() for _ in range(6)]
    for client in busy:
        client.send(request_bytes())
    time.sleep(0.3)
    held = len(slow.requests)
    client = w.connect(timeout=2)
    for _ in range(20):
        assert client.request().status == 200
    assert len(slow.requests) == held


def test_beyond_max_connections_and_pending_requests_get_503(weir, upstream):
    up = upstream(o.silence)
    w = weir(up, group={"max_connections": 2, "max_pending": 1}, trusted=True, top={"workers": 1})
    clients = []
    for _ in range(3):
        clients.append(w.connect())
        clients[-1].send(request_bytes())
        time.sleep(0.05)
    response = w.get()
    assert response.status == 503 and response.header("x-weir-reason") == "upstream_overflow"
    assert len(up.connections) == 2


def test_a_waiting_request_gets_the_connection_that_becomes_free(weir, upstream):
    up = upstream(o.respond(delay=0.2))
    w = weir(up, group={"max_connections": 1}, top={"workers": 1})
    clients = [w.connect() for _ in range(4)]
    for client in clients:
        client.send(request_bytes())
    assert [client.read().status for client in clients] == [200] * 4
    assert len(up.connections) == 1


@pytest.mark.tsan
def test_many_clients_at_once_are_all_served(weir, upstream):
    up = upstream(o.echo())
    w = weir(up)
    failures = []

    def run(number):
        try:
            with w.connect() as client:
                for n in range(25):
                    page = client.request("/%d/%d" % (number, n)).text
                    assert '"target": "/%d/%d"' % (number, n) in page
        except Exception as error:  # noqa: B902 - reported below
            failures.append(error)

    threads = [threading.Thread(target=run, args=(n,)) for n in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not failures


# --- interim responses -------------------------------------------------------------------------------


def interim(status, phrase="Interim"):
    return o.head(status, [("x-n", "1")], phrase)


@pytest.mark.parametrize("tls, h2", [(False, False), (True, True)], ids=["h1", "h2"])
@pytest.mark.parametrize("status", [100, 102, 103])
def test_interim_responses_are_passed_on_whatever_their_number(weir, upstream, tls, h2, status):
    def handler(conn, request):
        for _ in range(40):
            conn.send(interim(status))
            time.sleep(0.005)
        o.respond()(conn, request)

    w = weir(upstream(handler), tls=tls)
    if h2:
        client = w.connect_h2()
        stream = client.finish(client.begin("/"))
        assert stream.status == 200 and stream.interim == [status] * 40
    else:
        response = w.connect().request("/")
        assert response.status == 200 and [i.status for i in response.interim] == [status] * 40


def test_interim_responses_have_a_rate(weir, upstream):
    def handler(conn, request):
        for _ in range(8):
            conn.send(interim(102))
        o.respond()(conn, request)

    up = upstream(handler)
    w = weir(up, trusted=True, group={"max_interim_rate": 5})
    response = w.connect().request("/")
    assert (response.status, response.header("x-weir-reason")) == (502, "upstream_protocol")
    assert w.metrics().sum("weir_upstream_interim_floods_total") == 1
    assert weir(up, group={"max_interim_rate": 0}).connect().request("/").status == 200


def test_interim_responses_do_not_pile_up_for_a_client_that_does_not_read(weir, upstream):
    def handler(conn, request):
        for _ in range(4000):
            conn.send(interim(103) + b"")
        o.respond(b"x" * 100)(conn, request)

    w = weir(upstream(handler), group={"max_interim_rate": 0})
    client = w.connect(receive_buffer=4096)
    client.send(request_bytes())
    time.sleep(0.5)
    response = client.read()
    assert response.status == 200 and 0 < len(response.interim) <= 4000


def test_an_http_1_0_client_gets_no_interim_responses(weir, upstream):
    up = upstream(o.raw(interim(102) + OK + b"Content-Length: 2\r\n\r\nok", close=False))
    client = weir(up).connect()
    client.send(b"GET / HTTP/1.0\r\nHost: a\r\n\r\n")
    response = client.read()
    assert response.status == 200 and not response.interim
