"""Which requests are sent again, and which are not."""

import hashlib
import json
import signal
import time

import pytest

import h2.errors

from harness import h2origin, wire
from harness import origin as o
from harness.client import request_bytes

REFUSED = h2.errors.ErrorCodes.REFUSED_STREAM


# --- pooled connections that have closed ------------------------------------------------------------


def race(weir, client, request, act):
    """Lets weir find `request` and what `act` does to the upstream's side in one turn, in this order (the event
    that came last is looked at first)."""
    weir.signal(signal.SIGSTOP)
    time.sleep(0.1)
    act()
    time.sleep(0.1)
    client.send(request)
    time.sleep(0.1)
    weir.signal(signal.SIGCONT)


def warm(weir, up, **options):
    """A weir with one worker and one pooled connection to `up`."""
    w = weir(up, top={"workers": 1}, **options)
    client = w.connect()
    assert client.request("/first").status == 200
    return w, client


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("method, body", [("GET", None), ("PUT", b"abc"), ("DELETE", b"x" * 60000)], ids=["get", "put", "delete"])
def test_a_request_that_a_closed_connection_has_not_read_needs_no_retry(weir, upstream, tls, method, body):
    up = upstream(o.respond(), tls=tls)
    w, client = warm(weir, up, group={"retries": 0, "retry_floor": 0, "retry_budget": "0%"})
    race(w, client, request_bytes("/again", method, body=body), up.close_connections)
    response = client.read(method)
    assert response.status == 200
    assert [r.target for r in up.requests] == ["/first", "/again"]
    assert up.last.body == (body or b"")
    assert w.access_log(2)[1]["retries"] == 0
    metrics = w.metrics()
    assert metrics.sum("weir_upstream_races_total") == 1
    assert metrics.sum("weir_upstream_retries_total") == 0


def test_a_race_is_lost_once_only(weir, upstream):
    """The second connection is a new one. When it closes as well, the request fails."""
    def handler(conn, request):
        if request.target == "/first":
            o.respond()(conn, request)
        else:
            conn.close()

    up = upstream(handler)
    w, client = warm(weir, up, group={"retries": 0})
    race(w, client, request_bytes("/again"), up.close_connections)
    assert client.read().status == 502
    assert [r.target for r in up.requests] == ["/first", "/again"]


@pytest.mark.parametrize("end", [o.Connection.close, o.Connection.reset], ids=["fin", "rst"])
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
def test_a_write_that_was_read_is_never_sent_again(weir, upstream, end, method):
    def handler(conn, request):
        request.body
        if conn.request_count > 1:
            end(conn)
        else:
            o.respond()(conn, request)

    up = upstream(handler)
    for _ in range(10):
        w = weir(up, top={"workers": 1}, group={"retries": 5})
        client = w.connect()
        up.requests.clear()
        assert client.request("/first").status == 200
        assert client.request("/write", method, body=b"abc").status == 502
        assert [r.target for r in up.requests] == ["/first", "/write"]
        w.stop()


def test_bytes_that_came_before_the_request_are_not_its_answer(weir, upstream):
    evil = o.head(200, [("Content-Length", "4")]) + b"EVIL"
    up = upstream(o.echo())
    w, client = warm(weir, up, group={"retries": 0})
    race(w, client, request_bytes("/again"), lambda: up.connections[0].send(evil))
    response = client.read()
    assert response.status == 200 and b"EVIL" not in response.body
    assert [r.target for r in up.requests] == ["/first", "/again"]


def test_trailers_of_an_empty_body_survive_a_second_connection(weir, upstream):
    up = upstream(o.echo())
    w, client = warm(weir, up)
    request = request_bytes("/again", "PUT", fields=[("Transfer-Encoding", "chunked")]) + b"0\r\nx-sum: 17\r\n\r\n"
    race(w, client, request, up.close_connections)
    assert json.loads(client.read().body)["trailers"] == [["x-sum", "17"]]


def test_trailers_of_an_empty_body_survive_a_retry(weir, upstream):
    def handler(conn, request):
        request.body
        if conn.request_count > 1:
            conn.close()
        else:
            o.echo()(conn, request)

    up = upstream(handler)
    w, client = warm(weir, up)
    client.send(request_bytes("/again", "DELETE", fields=[("Transfer-Encoding", "chunked")]) + b"0\r\nx-sum: 17\r\n\r\n")
    assert json.loads(client.read().body)["trailers"] == [["x-sum", "17"]]
    assert [r.target for r in up.requests] == ["/first", "/again", "/again"]


# --- streams that an upstream refuses ----------------------------------------------------------------


class Refuser:
    """Refuses the first `count` requests as `how` says, at their head or when `after` body bytes are there."""

    def __init__(self, how, count=1, after=0):
        self.how, self.left, self.after, self.tries = how, count, after, 0

    def __call__(self, call):
        self.tries += 1
        if self.left > 0:
            self.left -= 1
            if self.after == 0:
                self.how(call)
            else:
                call.refuse_at = self.after
        else:
            call.answer_at_end = True


def rst(call):
    call.session.reset_stream(call.stream_id, REFUSED)


def goaway(call):
    call.session.close_connection(last_stream_id=max(call.stream_id - 2, 0))


def digest(body):
    return hashlib.sha256(body).hexdigest().encode()


class EchoOrigin(h2origin.H2Origin):
    """Answers at the end of a request with what came of its body; `socks` are its connections."""

    def _serve(self, sock):
        self.socks = getattr(self, "socks", []) + [sock]
        super()._serve(sock)

    def _on_event(self, session, calls, event):
        super()._on_event(session, calls, event)
        call = calls.get(getattr(event, "stream_id", None))
        if call is None or call.reset is not None:
            return
        if len(call.body) >= getattr(call, "refuse_at", 1 << 60):
            call.refuse_at = 1 << 60
            self.handler.how(call)
        elif call.ended.is_set() and getattr(call, "answer_at_end", False):
            call.answer_at_end = False
            call.head(200, [("x-trailers", repr(call.trailers))])
            call.data(digest(call.body))


@pytest.fixture
def refuser():
    started = []

    def start(how, **options):
        handler = Refuser(how, **options)
        started.append(EchoOrigin(handler))
        return started[-1], handler

    yield start
    for one in started:
        one.stop()


@pytest.mark.parametrize("how", [rst, goaway])
@pytest.mark.parametrize("size, after", [(3, 0), (3, 3), (5000, 0), (60000, 0), (60000, 30000), (65536, 65536)])
def test_a_refused_stream_is_sent_again_with_its_body(weir, refuser, how, size, after):
    up, handler = refuser(how, after=after)
    w = weir(up, group={"protocol": "h2"}, top={"workers": 1})
    body = bytes(n % 251 for n in range(size))
    response = w.connect().request("/", "POST", body=body)
    assert response.status == 200 and response.body == digest(body)
    assert handler.tries == 2
    assert w.metrics().sum("weir_upstream_retries_total") == 1
    assert w.metrics().sum("weir_retry_body_bytes") == 0


def test_a_refused_stream_is_sent_again_with_chunks_and_trailers(weir, refuser):
    up, handler = refuser(rst)
    client = weir(up, group={"protocol": "h2"}).connect()
    client.send(request_bytes("/", "POST", fields=[("Transfer-Encoding", "chunked")]))
    for n in range(20):
        client.send(b"5\r\nhello\r\n")
        time.sleep(0.002)
    client.send(b"0\r\nx-sum: 17\r\n\r\n")
    response = client.read()
    assert response.body == digest(b"hello" * 20) and "x-sum" in response.header("x-trailers")
    assert handler.tries == 2


def test_a_refused_stream_of_an_h2_client_is_sent_again(weir, refuser):
    up, handler = refuser(rst, after=20000)
    client = weir(up, tls=True, group={"protocol": "h2"}).connect_h2()
    stream = client.begin("/", "POST", end=False)
    client.send_body(stream, b"x" * 30000, trailers=[("x-sum", "17")])
    answer = client.finish(stream)
    assert answer.status == 200 and answer.body == digest(b"x" * 30000) and "x-sum" in answer.header("x-trailers")
    assert handler.tries == 2


def test_retries_bounds_how_often_a_stream_is_refused(weir, refuser):
    up, handler = refuser(rst, count=10)
    w = weir(up, group={"protocol": "h2", "retries": 3})
    assert w.connect().request("/", "POST", body=b"abc").status == 502
    assert handler.tries == 4


def test_a_refusal_is_a_retry_also_on_a_pooled_connection(weir, refuser):
    up, handler = refuser(rst, count=0)
    client = weir(up, group={"protocol": "h2", "retries": 0}, top={"workers": 1}).connect()
    assert client.request().status == 200
    handler.left = 1
    assert client.request("/", "POST", body=b"abc").status == 502
    assert handler.tries == 2


def test_a_goaway_to_a_pooled_connection_is_not_a_retry(weir, refuser):
    up, handler = refuser(goaway, count=0)
    client = weir(up, group={"protocol": "h2", "retries": 0}, top={"workers": 1}).connect()
    assert client.request().status == 200
    handler.left = 1
    assert client.request("/", "POST", body=b"abc").body == digest(b"abc")
    assert handler.tries == 3


@pytest.mark.parametrize(
    "group, top",
    [({"max_retry_body_bytes": "16KiB"}, {}), ({"max_retry_body_bytes": 0}, {}), ({}, {"max_retry_memory": "16KiB"})],
    ids=["request", "none", "worker"])
def test_a_body_beyond_the_bounds_is_not_kept(weir, refuser, group, top):
    up, handler = refuser(rst, after=30000)
    w = weir(up, group={"protocol": "h2", **group}, top={"workers": 1, **top})
    client = w.connect()
    assert client.request("/", "POST", body=b"x" * 30000).status == 502
    assert handler.tries == 1
    assert w.metrics().sum("weir_retry_bodies_lost_total") == 1
    assert w.metrics().sum("weir_retry_body_bytes") == 0
    assert client.request("/", "POST", body=b"x" * 100000).status == 200  # is served in any case


def test_a_kept_body_is_given_back_when_the_response_begins(weir, refuser):
    up, handler = refuser(rst, count=0)
    w = weir(up, group={"protocol": "h2"})
    client = w.connect()
    client.send(request_bytes("/", "POST", fields=[("Content-Length", "60001")]) + b"x" * 60000)
    w.wait_for_metric(lambda m: m.sum("weir_retry_body_bytes") >= 60000)
    client.send(b"x")
    assert client.read().status == 200
    assert w.metrics().sum("weir_retry_body_bytes") == 0


def test_a_connection_that_cannot_be_made_is_tried_elsewhere_with_the_body(weir, upstream):
    dead, up = upstream(listening=False), upstream(o.echo())
    w = weir([dead, up], group={"balance": "round_robin"}, top={"workers": 1})
    for _ in range(4):
        assert json.loads(w.connect().request("/", "POST", body=b"x" * 5000).body)["body_bytes"] == 5000


@pytest.mark.parametrize("method, body", [("GET", None), ("POST", b"abc")])
def test_replacing_a_closed_h2_connection_is_not_a_retry(weir, refuser, method, body):
    """It ends without a GOAWAY just when the next request comes."""
    up, handler = refuser(rst, count=0)
    w = weir(up, group={"protocol": "h2", "retries": 0}, top={"workers": 1})
    client = w.connect()
    assert client.request().status == 200
    race(w, client, request_bytes("/again", method, body=body), lambda: wire.shut(up.socks[0]))
    assert client.read().status == 200
    assert w.metrics().sum("weir_upstream_races_total") == 1
