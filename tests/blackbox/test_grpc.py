"""Failures of gRPC requests have the form of gRPC. Only trusted clients get the reason and the group."""

import re

import pytest

from harness import ports
from harness import origin as o
from harness.client import request_bytes

GRPC = [("content-type", "application/grpc"), ("te", "trailers")]


def message(body):
    return b"\0" + len(body).to_bytes(4, "big") + body


def routed(weir, up, rules, listener=None):
    main = {"name": "main", "bind": ["127.0.0.1:%d" % ports.free_port()], "router": "r", **(listener or {})}
    return weir(config={
        "listeners": [main],
        "groups": {"a": {"endpoints": [up.address]}},
        "routers": {"r": {"rules": rules}},
    })


# --- failures ----------------------------------------------------------------------------------------


def fail(weir, up, h2, kind="application/grpc", **options):
    w = weir(up, tls=h2, **options)
    if h2:
        return w, w.connect_h2().request("/", "POST", [("content-type", kind), ("te", "trailers")], body=message(b"x"))
    return w, w.connect().request("/", "POST", fields=[("Content-Type", kind)], body=message(b"x"))


@pytest.mark.parametrize("h2", [False, True], ids=["h1", "h2"])
@pytest.mark.parametrize("kind", ["application/grpc", "application/grpc+proto", "application/grpc-web+proto", "Application/GRPC; x=y"])
def test_a_failure_of_grpc_is_a_trailers_only_response(weir, upstream, h2, kind):
    w, answer = fail(weir, upstream(listening=False), h2, kind)
    assert (answer.status, answer.header("grpc-status"), answer.body) == (200, "14", b"")
    assert answer.header("content-type") == kind.split(";")[0]
    assert answer.header("grpc-message").startswith("502 Bad Gateway")
    assert "upstream" not in answer.header("grpc-message") and "backend" not in answer.header("grpc-message")
    if h2:
        assert answer.ended and not answer.trailers
    w.wait_for_reason("upstream_connect")


def test_a_trusted_client_learns_the_reason(weir, upstream):
    _, answer = fail(weir, upstream(listening=False), True, trusted=True)
    assert answer.header("grpc-message") == "502 Bad Gateway: upstream_connect (group backend)"
    assert answer.header("x-weir-reason") == "upstream_connect"


def test_a_deadline_of_ours_is_deadline_exceeded(weir, upstream):
    _, answer = fail(weir, upstream(o.silence), True, group={"timeouts": {"response": "300ms"}})
    assert (answer.status, answer.header("grpc-status")) == (200, "4")


@pytest.mark.parametrize("status, code", [(400, 13), (401, 16), (403, 7), (404, 12), (409, 2), (429, 14), (500, 2), (503, 14)])
def test_answers_of_rules_are_mapped(weir, upstream, status, code):
    rules = [{"answer": {"status": status, "body": "100 % sûr\n"}}]
    answer = routed(weir, upstream(), rules).connect().request("/", "POST", fields=GRPC, body=b"")
    assert (answer.status, answer.header("grpc-status"), answer.body) == (200, str(code), b"")
    assert answer.header("grpc-message") == "100 %25 s%C3%BBr"


def test_an_answer_that_is_no_error_stays_as_it_is(weir, upstream):
    answer = routed(weir, upstream(), [{"answer": {"status": 200, "body": "ok"}}]).connect().request("/", "POST", fields=GRPC, body=b"")
    assert (answer.status, answer.header("grpc-status"), answer.body) == (200, None, b"ok")


def test_a_request_for_no_rule_is_unimplemented(weir, upstream):
    rules = [{"path": "/only", "group": "a"}]
    answer = routed(weir, upstream(), rules).connect().request("/", "POST", fields=GRPC, body=b"")
    assert answer.header("grpc-status") == "12"


@pytest.mark.parametrize("h2", [False, True], ids=["h1", "h2"])
@pytest.mark.parametrize("announced", [False, True])
def test_a_body_that_is_too_large_is_told_in_the_same_way(weir, upstream, h2, announced):
    w = weir(upstream(), tls=h2, listener={"limits": {"max_body_bytes": 1000}})
    body = message(b"x" * 2000)
    if h2:
        client = w.connect_h2()
        length = [("content-length", str(len(body)))] if announced else []
        stream = client.begin("/", "POST", GRPC + length, end=False)
        if not announced:
            client.send_body(stream, body[:1500], end=False)
        answer = client.finish(stream)
    else:
        client = w.connect()
        if announced:
            client.send(request_bytes("/", "POST", fields=GRPC + [("Content-Length", str(len(body)))]))
        else:
            client.send(request_bytes("/", "POST", fields=GRPC + [("Transfer-Encoding", "chunked")]) + b"%x\r\n" % len(body) + body)
        answer = client.read()
    assert (answer.status, answer.header("grpc-status")) == (200, "2")
    assert answer.header("grpc-message").startswith("413 ")
    w.wait_for_reason("body_too_large")


# --- responses to other clients ----------------------------------------------------------------------


@pytest.mark.parametrize("trusted", [False, True])
def test_only_trusted_clients_learn_why_and_where(weir, upstream, trusted):
    w = weir(upstream(listening=False), trusted=trusted, group={"retries": 0})
    response = w.connect().request("/")
    entry = w.access_log(1)[0]
    assert response.status == 502
    if trusted:
        assert response.text == "502 Bad Gateway: upstream_connect (group backend)\n"
    else:
        assert response.text == "502 Bad Gateway (request %s)\n" % entry["request_id"]
        assert re.fullmatch("[0-9a-f-]{36}", entry["request_id"])
        assert response.header("x-weir-reason") is None


@pytest.mark.parametrize("trusted, text", [(False, "Bad Request\n"), (True, "bad_host\n")])
def test_what_is_refused_before_it_is_read_says_the_same_to_whom(weir, upstream, trusted, text):
    client = weir(upstream(), trusted=trusted).connect()
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
    response = client.read()
    assert (response.status, response.text) == (400, text)
