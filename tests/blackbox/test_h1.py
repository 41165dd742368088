"""HTTP/1.0 and 1.1 as a client sees it: connections, bodies, interim responses, upgrades."""

import hashlib
import threading
import time

import pytest

from harness import KIB, MIB, ports
from harness import origin as o
from harness.client import request_bytes
from harness.tools import curl, tool
from harness.weir import is_sanitized

# --- connections -------------------------------------------------------------------------------------


@pytest.mark.tsan
def test_one_connection_carries_many_requests(weir, upstream):
    up = upstream(o.echo())
    client = weir(up).connect()
    for n in range(50):
        assert client.request("/%d" % n).status == 200
    assert [r.target for r in up.requests] == ["/%d" % n for n in range(50)]
    assert client.is_open()


@pytest.mark.tsan
def test_pipelined_requests_are_answered_in_order(weir, upstream):
    up = upstream(o.echo())
    client = weir(up).connect()
    client.send(b"".join(request_bytes("/%d" % n) for n in range(20)))
    for n in range(20):
        assert '"target": "/%d"' % n in client.read().text


def test_pipelined_requests_with_bodies_are_kept_apart(weir, upstream):
    up = upstream(o.echo())
    client = weir(up).connect()
    chunked = b"POST /b HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    client.send(request_bytes("/a", "POST", body=b"GET /x HTTP/1.1\r\n\r\n") + chunked + request_bytes("/c"))
    assert [client.read().status for _ in range(3)] == [200, 200, 200]
    assert [(r.method, r.target) for r in up.requests] == [("POST", "/a"), ("POST", "/b"), ("GET", "/c")]


def test_a_request_may_come_byte_by_byte(weir, upstream):
    up = upstream(o.echo())
    client = weir(up).connect()
    for byte in request_bytes("/slow", "POST", body=b"xyz"):
        client.send(bytes([byte]))
    assert '"body_bytes": 3' in client.read().text


def test_connection_close_of_the_client_is_honoured(weir, upstream):
    client = weir(upstream()).connect()
    response = client.request(fields=[("Connection", "close")])
    assert response.status == 200 and response.closes
    assert client.is_closed()


def test_connection_close_of_the_upstream_stays_upstream(weir, upstream):
    up = upstream(o.respond(close=True))
    client = weir(up).connect()
    for _ in range(3):
        response = client.request()
        assert response.status == 200 and not response.closes
    assert len(up.connections) == 3


def test_after_max_requests_the_connection_closes_with_notice(weir, upstream):
    client = weir(upstream(), listener={"limits": {"max_requests": 3}}).connect()
    assert [client.request().closes for _ in range(3)] == [False, False, True]
    assert client.is_closed()


def test_empty_lines_before_a_request_are_ignored(weir, upstream):
    """RFC 9112 section 2.2."""
    client = weir(upstream()).connect()
    client.send(b"\r\n" + request_bytes())
    assert client.read().status == 200


@pytest.mark.parametrize("kind", ["ipv6", "unix"])
def test_listens_on(kind, weir, upstream, tmp_path):
    if kind == "ipv6" and not ports.has_ipv6():
        pytest.skip("no IPv6 here")
    bind = "[::1]:%d" % ports.free_port() if kind == "ipv6" else "unix:%s" % (tmp_path / "weir.sock")
    w = weir(upstream(), listener={"bind": [bind]})
    assert w.get().body == b"hello"


def test_a_listener_may_bind_several_addresses(weir, upstream):
    binds = ["127.0.0.1:%d" % ports.free_port() for _ in range(3)]
    weir(upstream(), listener={"bind": binds})
    for bind in binds:
        assert curl("http://%s/" % bind).stdout == "hello"


# --- HTTP/1.0 ----------------------------------------------------------------------------------------


def test_http_1_0_closes_after_the_response(weir, upstream):
    client = weir(upstream(o.respond(chunked=[b"one", b"two"]))).connect()
    client.send(b"GET / HTTP/1.0\r\nHost: a\r\n\r\n")
    response = client.read()
    assert response.body == b"onetwo" and not response.chunked
    assert client.is_closed()


def test_http_1_0_keep_alive_works_when_the_length_is_known(weir, upstream):
    client = weir(upstream()).connect()
    for _ in range(2):
        client.send(b"GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n")
        response = client.read()
        assert response.body == b"hello" and not response.closes


def test_http_1_0_without_host_is_served(weir, upstream):
    up = upstream(o.echo())
    assert weir(up).exchange(b"GET /old HTTP/1.0\r\n\r\n").status == 200
    assert up.last.version == "HTTP/1.1"


def test_an_http_1_0_upstream_that_closes_ends_the_body(weir, upstream):
    up = upstream(o.raw(b"HTTP/1.0 200 OK\r\n\r\nuntil the end"))
    response = weir(up).get()
    assert response.body == b"until the end"


# --- bodies ------------------------------------------------------------------------------------------


def test_head_gets_the_headers_of_get_and_no_body(weir, upstream):
    client = weir(upstream(o.respond(b"x" * 1000))).connect()
    response = client.request(method="HEAD")
    assert response.status == 200 and response.header("content-length") == "1000"
    assert client.request().body == b"x" * 1000


def test_head_of_a_chunked_resource_leaves_the_connection_usable(weir, upstream):
    client = weir(upstream(o.respond(b"x" * 1000, chunked=True))).connect()
    assert client.request(method="HEAD").body == b""
    assert client.request().body == b"x" * 1000


@pytest.mark.parametrize("status", [204, 304])
def test_a_status_without_body_leaves_the_connection_usable(weir, upstream, status):
    up = upstream(o.by_path({"/none": o.respond(b"", status=status)}))
    client = weir(up).connect()
    assert client.request("/none").status == status
    assert client.request("/").body == b"hello"


def test_304_keeps_the_length_it_speaks_of(weir, upstream):
    up = upstream(o.raw(b"HTTP/1.1 304 Not Modified\r\nContent-Length: 1234\r\nETag: \"x\"\r\n\r\n", close=False))
    client = weir(up).connect()
    response = client.request()
    assert response.status == 304 and response.header("etag") == '"x"' and response.body == b""
    assert client.request().status == 304


def test_chunked_requests_reach_the_upstream_whole(weir, upstream):
    up = upstream(o.echo())
    client = weir(up).connect()
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
    for piece in (b"5\r\nhello\r\n", b"A;ext=1\r\n0123456789\r\n", b"0\r\n\r\n"):
        client.send(piece)
        time.sleep(0.02)
    page = client.read().text
    assert '"body_bytes": 15' in page
    assert hashlib.sha256(b"hello0123456789").hexdigest() in page
    assert up.last.chunked and "content-length" not in up.last.fields


def test_chunked_responses_reach_the_client_whole(weir, upstream):
    chunks = [b"a" * n for n in (1, 10, 1000, 70000)]
    response = weir(upstream(o.respond(chunked=chunks))).get()
    assert response.chunked and response.body == b"".join(chunks)


def test_a_chunk_is_passed_on_before_the_next_one_comes(weir, upstream):
    go_on = threading.Event()

    def handler(conn, request):
        conn.send(o.head(200, [("Transfer-Encoding", "chunked")]) + b"5\r\nfirst\r\n")
        assert go_on.wait(10)
        conn.send(b"6\r\nsecond\r\n0\r\n\r\n")

    client = weir(upstream(handler)).connect()
    client.send(request_bytes())
    head = client.read_head()
    assert head.status == 200 and client.reader.chunk() == b"first"
    go_on.set()
    assert client.reader.chunk() == b"second"


def test_trailers_of_a_request_arrive(weir, upstream):
    up = upstream(o.echo())
    client = weir(up).connect()
    client.send(
        b"POST / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"3\r\nabc\r\n0\r\nX-Sum: 42\r\n\r\n"
    )
    assert client.read().status == 200
    assert up.last.trailers.get("x-sum") == "42"


def test_trailers_of_a_response_arrive(weir, upstream):
    up = upstream(o.respond(b"abc", trailers=[("X-Sum", "42")], fields=[("Trailer", "X-Sum")]))
    client = weir(up).connect()
    response = client.request(fields=[("TE", "trailers"), ("Connection", "TE")])
    assert response.body == b"abc" and response.trailers.get("x-sum") == "42"


def test_trailers_that_would_change_the_message_are_not_passed_on(weir, upstream):
    up = upstream(o.respond(b"abc", trailers=[("Content-Length", "9"), ("Set-Cookie", "a=b"), ("X-Ok", "1")]))
    response = weir(up).get()
    assert response.status == 200 and response.body == b"abc"
    assert "content-length" not in response.trailers and "set-cookie" not in response.trailers


@pytest.mark.parametrize("rule", [{"remove_untrusted": ["X-Inner"]}, {"remove": ["X-Inner"]}, {"set": {"X-Inner": "ours"}}])
def test_trailers_do_not_get_round_the_header_rules(weir, upstream, rule):
    up = upstream(o.echo())
    client = weir(up, listener={"headers": {"request": rule}}).connect()
    client.send(
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"3\r\nabc\r\n0\r\nx-inner: theirs\r\nX-Sum: 42\r\n\r\n"
    )
    assert client.read().status == 200
    assert list(up.last.trailers) == [("X-Sum", "42")]


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_a_large_response_arrives_unchanged(weir, upstream, chunked):
    total = 20 * MIB
    w = weir(upstream(o.Firehose(total, chunked=chunked)))
    client = w.connect()
    client.send(request_bytes())
    head = client.read_head()
    assert head.status == 200
    digest = hashlib.sha256()
    if chunked:
        while True:
            data = client.reader.chunk()
            if not data:
                break
            digest.update(data)
    else:
        left = total
        while left:
            data = client.reader.exactly(min(left, 65536))
            digest.update(data)
            left -= len(data)
    assert digest.hexdigest() == o.Firehose.sha256(total)


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_a_large_request_arrives_unchanged(weir, upstream, chunked):
    total = 20 * MIB
    client = weir(upstream(o.echo())).connect(timeout=30)
    framing = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % total
    client.send(b"PUT / HTTP/1.1\r\nHost: a\r\n" + framing + b"\r\n\r\n")
    for offset in range(0, total, 256 * KIB):
        data = o.Firehose.piece(offset, 256 * KIB)
        client.send(b"%x\r\n%s\r\n" % (len(data), data) if chunked else data)
    if chunked:
        client.send(b"0\r\n\r\n")
    assert o.Firehose.sha256(total) in client.read().text


# --- back-pressure -----------------------------------------------------------------------------------


def test_a_slow_reader_stops_the_upstream(weir, upstream):
    hose = o.Firehose(64 * MIB)
    w = weir(upstream(hose))
    client = w.connect(receive_buffer=8192)
    client.send(request_bytes())
    swallowed = hose.wait_until_it_stalls()
    assert swallowed < 16 * MIB  # what socket buffers take, and a little
    assert not hose.done.is_set()
    head = client.read_head()
    left = int(head.header("content-length"))
    while left:  # and every byte still arrives
        left -= len(client.reader.exactly(min(left, 1 << 20)))
    assert hose.done.wait(5)


def test_a_slow_upstream_stops_the_sender(weir, upstream):
    go_on = threading.Event()

    def handler(conn, request):
        assert go_on.wait(30)
        o.echo()(conn, request)

    total = 64 * MIB
    client = weir(upstream(handler)).connect(timeout=1)
    client.send(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % total)
    piece, sent = b"x" * 65536, 0
    try:
        while sent < total:
            sent += client.sock.send(piece)
    except OSError:
        pass
    assert sent < 24 * MIB
    go_on.set()
    client.sock.settimeout(20)
    while sent < total:
        sent += client.sock.send(piece[: total - sent])
    assert '"body_bytes": %d' % total in client.read().text


def test_slow_readers_cost_little_memory(weir, upstream):
    w = weir(upstream(o.Firehose(32 * MIB)))
    before = w.resident_bytes()
    clients = [w.connect(receive_buffer=8192) for _ in range(20)]
    for client in clients:
        client.send(request_bytes())
    time.sleep(1)
    assert w.resident_bytes() - before < 24 * MIB


@pytest.mark.parametrize("name", ["Cookie", "Via"])
def test_a_field_in_many_lines_costs_little_memory(weir, upstream, name):
    up = upstream(o.silence)
    w = weir(up, listener={"group": None, "router": "main"}, group={"max_connections": 100}, top={
        "routers": {"main": {"services": {"web": {"group": "backend"}}, "rules": [{"service": "web"}]}}})
    before = w.resident_bytes()
    clients = [w.connect() for _ in range(20)]
    for client in clients:
        client.send(request_bytes("/", fields=[(name, "v" * 450)] * 120))
    up.wait_for_requests(20)
    each = 1000 if is_sanitized() else 500  # sanitizers keep what is freed; joined line by line it was 3,500
    assert w.resident_bytes() - before < 20 * each * KIB


# --- Expect ------------------------------------------------------------------------------------------


def test_expect_100_continue_gets_its_100_before_the_body(weir, upstream):
    up = upstream(o.echo())
    client = weir(up).connect()
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
    assert client.read_head().status == 100
    client.send(b"hello")
    response = client.read()
    assert response.status == 200 and '"body_bytes": 5' in response.text


def test_expect_100_continue_with_the_body_sent_at_once_works(weir, upstream):
    client = weir(upstream(o.echo())).connect()
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\nhello")
    response = client.read()
    assert response.status == 200 and '"body_bytes": 5' in response.text
    assert client.request().status == 200


def test_an_upstream_that_refuses_an_expectation_is_not_sent_the_body(weir, upstream):
    up = upstream(lambda conn, request: conn.send(o.head(413, [("Content-Length", "0"), ("Connection", "close")])))
    up.continues = False
    client = weir(up).connect()
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
    response = client.read()
    assert response.status == 413 and not response.interim
    assert response.closes and client.is_closed()  # RFC 9110 section 10.1.1: it says what it does


@pytest.mark.parametrize("asked", [True, False], ids=["asked", "not-asked"])
def test_an_upstream_that_did_not_ask_for_a_body_is_not_used_again(weir, upstream, asked):
    """The upstream could parse the body, which was sent in any case, as its next request."""
    up = upstream()
    up.continues = asked
    client = weir(up, top={"workers": 1}).connect()
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\nhello")
    assert client.read().status == 200
    assert client.request().status == 200
    assert len(up.connections) == (1 if asked else 2)


def test_curl_uploads_with_expect(weir, upstream, tmp_path):
    body = tmp_path / "body"
    body.write_bytes(b"z" * 3 * MIB)
    w = weir(upstream(o.echo()))
    page = curl("-H", "Expect: 100-continue", "-T", body, "http://127.0.0.1:%d/up" % w.port()).stdout
    assert '"body_bytes": %d' % (3 * MIB) in page


def test_interim_responses_of_the_upstream_do_not_confuse_the_client(weir, upstream):
    up = upstream(o.raw(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", close=False))
    client = weir(up).connect()
    for _ in range(2):
        response = client.request()
        assert response.status == 200 and response.body == b"ok"


def test_head_gets_no_body_when_it_is_refused(weir, upstream):
    """RFC 9110 section 9.3.2."""
    client = weir(upstream()).connect()
    client.send(b"HEAD / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n")
    response = client.read_head()
    assert response.status == 400 and int(response.header("content-length")) > 0
    assert client.reader.buffer + client.sock.recv(100) == b""


# --- Upgrade -----------------------------------------------------------------------------------------

UPGRADE = [
    ("Connection", "Upgrade"),
    ("Upgrade", "websocket"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ("Sec-WebSocket-Version", "13"),
]


def switch_and_echo(conn, request):
    """Accepts an upgrade and sends everything back in capitals."""
    assert request.header("upgrade") == "websocket"
    conn.send(o.head(101, [("Connection", "Upgrade"), ("Upgrade", "websocket")], "Switching Protocols"))
    while True:
        data = conn.sock.recv(65536)
        if not data:
            break
        conn.send(data.upper())
    conn.close()


@pytest.mark.tsan
def test_a_websocket_tunnel_carries_bytes_both_ways(weir, upstream):
    client = weir(upstream(switch_and_echo)).connect()
    client.send(request_bytes("/ws", fields=UPGRADE))
    response = client.read()
    assert response.status == 101 and response.header("upgrade").lower() == "websocket"
    for word in (b"hello", b"again", b"x" * 300000):
        client.send(word)
        assert client.reader.exactly(len(word)) == word.upper()
    client.close()


def test_an_upgrade_that_is_never_answered_is_the_upstreams_fault(weir, upstream):
    w = weir(upstream(o.silence), listener={"timeouts": {"body": "300ms"}}, group={"timeouts": {"response": "1s"}})
    client = w.connect()
    client.send(request_bytes("/ws", fields=UPGRADE))
    assert client.read().status == 504
    w.wait_for_reason("upstream_timeout")


def test_a_tunnel_ends_on_both_sides_when_the_upstream_ends_it(weir, upstream):
    def handler(conn, request):
        conn.send(o.head(101, [("Connection", "Upgrade"), ("Upgrade", "websocket")]) + b"bye")
        conn.close()

    client = weir(upstream(handler)).connect()
    client.send(request_bytes("/ws", fields=UPGRADE))
    assert client.read().status == 101
    assert client.reader.exactly(3) == b"bye"
    assert client.is_closed()


def test_a_tunnel_ends_on_both_sides_when_the_client_ends_it(weir, upstream):
    ended = threading.Event()

    def handler(conn, request):
        conn.send(o.head(101, [("Connection", "Upgrade"), ("Upgrade", "websocket")]))
        if conn.wait_for_end():
            ended.set()

    client = weir(upstream(handler)).connect()
    client.send(request_bytes("/ws", fields=UPGRADE))
    assert client.read().status == 101
    client.close()
    assert ended.wait(5)


def test_an_upgrade_that_the_upstream_refuses_is_an_ordinary_response(weir, upstream):
    up = upstream(o.respond(b"no", status=403))
    client = weir(up).connect()
    assert client.request("/ws", fields=UPGRADE).status == 403


@pytest.mark.parametrize("asks", [UPGRADE, []], ids=["asked", "not asked"])
@pytest.mark.parametrize("websocket", [True, False], ids=["websocket on", "websocket off"])
@pytest.mark.parametrize("offer", [["websocket"], ["TLS/1.3, HTTP/1.1"], ["h2c", "websocket"]])
def test_a_426_keeps_its_upgrade_field(weir, upstream, asks, websocket, offer):
    """RFC 9110 section 15.5.22."""
    fields = [("Connection", "Upgrade"), ("Sec-WebSocket-Version", "13")] + [("Upgrade", value) for value in offer]
    w = weir(upstream(o.respond(b"no", status=426, fields=fields)), listener={"websocket": websocket})
    client = w.connect()
    for _ in range(2):
        response = client.request("/ws", fields=asks)
        assert response.status == 426 and response.header("sec-websocket-version") == "13"
        assert response.headers("upgrade") == [", ".join(offer)]
        assert response.headers("connection") == ["Upgrade"]
    old = w.exchange(b"GET /ws HTTP/1.0\r\nHost: a\r\n\r\n")
    assert old.status == 426 and old.headers("upgrade") == [", ".join(offer)]
    with w.connect_h2() as h2:
        response = h2.request("/ws")
        assert response.status == 426 and "upgrade" not in response.fields


def test_a_websocket_library_talks_through_weir(weir, tmp_path):
    asyncio = pytest.importorskip("asyncio")
    websockets = pytest.importorskip("websockets")
    port = ports.free_port()
    w = weir("127.0.0.1:%d" % port)

    async def serve(socket, path=None):
        async for message in socket:
            await socket.send(message[::-1])

    async def talk():
        async with websockets.serve(serve, "127.0.0.1", port):
            async with websockets.connect("ws://127.0.0.1:%d/chat" % w.port()) as socket:
                await socket.send("stressed")
                assert await asyncio.wait_for(socket.recv(), 10) == "desserts"
                await socket.send("y" * 100000 + "x")
                assert await asyncio.wait_for(socket.recv(), 10) == "x" + "y" * 100000

    asyncio.new_event_loop().run_until_complete(asyncio.wait_for(talk(), 30))


# --- redirects, load ---------------------------------------------------------------------------------


def test_redirect_to_https_names_the_same_page(weir, upstream):
    w = weir(upstream(), listener={"group": None, "redirect_to_https": True})
    response = w.get("/wiki/Main?a=b", host="de.wikipedia.org")
    assert response.status in (301, 308)
    assert response.header("location") == "https://de.wikipedia.org/wiki/Main?a=b"
    assert w.exchange(b"GET / HTTP/1.0\r\n\r\n").status == 400  # there is no such URL without a host


HTTPS = [
    ("X-Forwarded-Proto", "https"),
    ("X-Forwarded-Proto", "HTTPS, http"),
    ("Forwarded", 'for=203.0.113.7;proto=https, for="[::1]";proto=http'),
]


@pytest.mark.parametrize("field", HTTPS)
def test_what_a_trusted_proxy_received_by_https_is_not_redirected(weir, upstream, field):
    up = upstream()
    w = weir(up, trusted=True, listener={"redirect_to_https": True})
    assert w.get(fields=[field]).status == 200
    assert w.get().status == 308
    assert w.get(fields=[("X-Forwarded-Proto", "http, https")]).status == 308
    alone = weir(up, trusted=True, listener={"group": None, "redirect_to_https": True})
    assert alone.get(fields=[field]).status == 404  # nowhere to go, and no loop


@pytest.mark.parametrize("field", HTTPS)
def test_a_client_that_only_says_https_is_redirected(weir, upstream, field):
    w = weir(upstream(), listener={"redirect_to_https": True})
    assert w.get(fields=[field]).status == 308


@pytest.mark.tsan
def test_wrk_sees_no_errors(weir, upstream):
    w = weir(upstream())
    out = tool("wrk", "-t1", "-c16", "-d2", "http://127.0.0.1:%d/" % w.port()).stdout
    assert "Non-2xx" not in out and "Socket errors" not in out
