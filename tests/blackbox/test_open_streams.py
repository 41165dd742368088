"""Request bodies that stay open on purpose, and slow ones."""

import time

import pytest

from harness import KIB, ports
from harness import origin as o
from harness.client import request_bytes
from harness.h2origin import H2Origin

GRPC = [("content-type", "application/grpc"), ("te", "trailers")]
# An ordinary upload has two seconds for its next byte, and 100 bytes a second after one.
SLOW = {"limits": {"min_body_rate": 100}, "timeouts": {"body": "2s", "body_grace": "1s"}}


def message(body):
    return b"\0" + len(body).to_bytes(4, "big") + body


@pytest.fixture
def silent():
    """An upstream that answers nothing before the request has ended."""
    up = H2Origin(lambda call: None)
    yield up
    up.stop()


# --- streams that stay open --------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["application/grpc", "application/grpc+proto", "application/connect+json"])
@pytest.mark.parametrize("first", [b"", message(b"hello"), message(b"") + message(b"x" * 300)], ids=["none", "one", "two"])
def test_an_open_stream_between_messages_is_not_slow(weir, silent, kind, first):
    w = weir(silent, tls=True, listener=SLOW, group={"protocol": "h2"})
    client = w.connect_h2()
    stream = client.begin("/", "POST", [("content-type", kind)], end=False)
    if first:
        client.send_body(stream, first, end=False)
    client.drain_events(4)
    assert not client.streams[stream].done
    client.send_body(stream, message(b"more"), end=False)
    client.drain_events(0.3)
    assert not client.streams[stream].done and silent.calls[0].body == first + message(b"more")


def test_small_messages_now_and_then_are_not_slow(weir, silent):
    client = weir(silent, tls=True, listener=SLOW, group={"protocol": "h2"}).connect_h2()
    stream = client.begin("/", "POST", GRPC, end=False)
    for _ in range(8):
        client.send_body(stream, message(b"tick"), end=False)
        client.drain_events(0.5)
    assert not client.streams[stream].done


def test_a_stream_without_messages_ends_after_the_idle_timeout(weir, silent):
    w = weir(silent, tls=True, listener=SLOW, group={"protocol": "h2", "timeouts": {"idle": "1s"}})
    client = w.connect_h2()
    began = time.monotonic()
    client.finish(client.begin("/", "POST", GRPC, end=False))
    assert 0.8 < time.monotonic() - began < 3
    w.wait_for_reason("upstream_idle_timeout")


@pytest.mark.parametrize("part", [message(b"x" * 1000)[:3], message(b"x" * 1000)[:100]], ids=["prefix", "body"])
def test_a_message_that_stops_half_way_is_slow(weir, silent, part):
    w = weir(silent, tls=True, listener=SLOW, group={"protocol": "h2"})
    client = w.connect_h2()
    stream = client.begin("/", "POST", GRPC, end=False)
    client.send_body(stream, message(b"whole") + part, end=False)
    client.finish(stream, timeout=6)
    w.wait_for_reason("body_too_slow" if len(part) == 3 else "body_timeout")


def test_each_message_has_its_own_time(weir, silent):
    """The bytes of earlier messages do not count for the rate of a slow one."""
    w = weir(silent, tls=True, listener=SLOW, group={"protocol": "h2"})
    client = w.connect_h2()
    stream = client.begin("/", "POST", GRPC, end=False)
    client.send_body(stream, message(b"x" * 50000), end=False)
    began = time.monotonic()
    client.send_body(stream, message(b"y" * 1000)[:5], end=False)
    while not client.streams[stream].done and time.monotonic() - began < 8:
        client.send_body(stream, b"y", end=False)
        client.pump(0.1)
    assert time.monotonic() - began < 4
    w.wait_for_reason("body_too_slow")


@pytest.mark.parametrize("kind", ["application/json", "application/octet-stream", "text/plain"])
def test_other_bodies_are_still_held_to_the_rate(weir, silent, kind):
    w = weir(silent, tls=True, listener=SLOW, group={"protocol": "h2"})
    client = w.connect_h2()
    answer = client.finish(client.begin("/", "POST", [("content-type", kind)], end=False), timeout=6)
    assert answer.status == 408
    w.wait_for_reason("body_too_slow")


def test_on_http_1_a_content_type_buys_no_time(weir, upstream):
    w = weir(upstream(o.silence), listener=SLOW)
    client = w.connect()
    client.send(request_bytes("/", "POST", fields=GRPC + [("Transfer-Encoding", "chunked")]))
    client.read()
    w.wait_for_reason("body_too_slow")


# --- the limits of a rule ----------------------------------------------------------------------------


def routed(weir, up, rules, listener=None):
    main = {"name": "main", "bind": ["127.0.0.1:%d" % ports.free_port()], "router": "r", **(listener or {})}
    return weir(config={
        "listeners": [main],
        "groups": {"a": {"endpoints": [up.address]}},
        "routers": {"r": {"rules": rules}},
    })


def test_a_rule_may_give_bodies_other_times(weir, upstream):
    rules = [
        {"path": "/slow", "group": "a", "timeouts": {"body": "8s"}, "limits": {"min_body_rate": 0}},
        {"path": "/fast", "group": "a", "timeouts": {"body": "300ms"}},
        {"group": "a"},
    ]
    w = routed(weir, upstream(o.respond()), rules, SLOW)
    slow, fast, other = clients = [w.connect() for _ in range(3)]
    for client, path in zip(clients, ["/slow", "/fast", "/other"]):
        client.send(request_bytes(path, "POST", fields=[("Content-Length", "3")]) + b"a")
    began = time.monotonic()
    assert fast.read().status == 408 and time.monotonic() - began < 0.9
    assert other.read().status == 408 and time.monotonic() - began < 2.5
    time.sleep(1)
    slow.send(b"bc")
    assert slow.read().status == 200


def test_a_rule_may_take_larger_and_smaller_bodies(weir, upstream):
    rules = [
        {"path": "/large", "group": "a", "limits": {"max_body_bytes": "64KiB"}},
        {"path": "/any", "group": "a", "limits": {"max_body_bytes": 0}},
        {"path": "/small", "group": "a", "limits": {"max_body_bytes": "1KiB"}},
        {"group": "a"},
    ]
    w = routed(weir, upstream(o.respond()), rules, {"limits": {"max_body_bytes": "8KiB"}})
    for path, limit in [("/large", 64 * KIB), ("/small", KIB), ("/", 8 * KIB)]:
        assert w.connect().request(path, "POST", body=b"x" * limit).status == 200
        assert w.connect().request(path, "POST", body=b"x" * (limit + 1)).status == 413
        chunks = b"%x\r\n%s\r\n0\r\n\r\n" % (limit + 1, b"x" * (limit + 1))
        client = w.connect()
        client.send(request_bytes(path, "POST", fields=[("Transfer-Encoding", "chunked")]) + chunks)
        assert client.read().status == 413
    assert w.connect().request("/any", "POST", body=b"x" * 200 * KIB).status == 200


