"""Unusual but valid HTTP/1, and harmless faults of servers: accepted, and sent on in canonical form."""

import hashlib
import json

import pytest

from harness import origin as o
from harness import ports
from harness.client import request_bytes

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
KIB = 1024


# --- chunk extensions --------------------------------------------------------------------------------

EXTENSIONS = [b";a", b";a=b", b"; a=b", b" ;a=b", b";a =b", b";a= b", b"\t;\ta\t=\tb", b' ; a = "q\\"" ; c ;d=e', b";a=b;c=d"]


@pytest.mark.parametrize("extension", EXTENSIONS)
def test_chunk_extensions_are_removed_from_requests(weir, upstream, extension):
    w = weir(upstream(o.echo()))
    client = w.connect()
    client.send(POST + b"5" + extension + b"\r\nhello\r\n0" + extension + b"\r\n\r\n")
    page = json.loads(client.read().body)
    assert page["body_sha256"] == hashlib.sha256(b"hello").hexdigest()
    assert client.request().status == 200  # nothing of it was left over


@pytest.mark.parametrize("extension", EXTENSIONS + [b" ", b"  ", b"\t", b";a ", b'; a = "b" \t'])
def test_chunk_extensions_and_padding_are_removed_from_responses(weir, upstream, extension):
    up = upstream(o.raw(CHUNKED + b"5" + extension + b"\r\nhello\r\n0" + extension + b"\r\n\r\n", close=False))
    client = weir(up).connect()
    for _ in range(2):
        assert client.request().body == b"hello"
    assert len(up.connections) == 1


@pytest.mark.parametrize("size", [b"5 ", b"5\t", b"5;a ", b"5; ", b"5 a", b"5;a b", b"5;a = ", b" 5;a"])
def test_a_size_line_that_the_grammar_does_not_know_is_refused(weir, upstream, size):
    w = weir(upstream(o.echo()))
    client = w.connect()
    client.send(POST + size + b"\r\nhello\r\n0\r\n\r\n")
    assert client.read().status == 400
    w.wait_for_reason("bad_chunk")


def extended(size):
    """Two chunks with so many bytes of extensions together."""
    half = size // 2
    return b"1;" + b"e" * (half - 1) + b"\r\nx\r\n1;" + b"e" * (size - half - 1) + b"\r\nx\r\n0\r\n\r\n"


def test_chunk_extensions_of_a_request_are_limited(weir, upstream):
    w = weir(upstream(o.echo()), listener={"limits": {"max_chunk_extension_bytes": "1KiB"}})
    client = w.connect()
    client.send(POST + extended(1 * KIB))
    assert client.read().status == 200
    client.send(POST + extended(1 * KIB + 1))
    assert client.read().status == 400
    w.wait_for_reason("chunk_extension_too_large")
    client = weir(upstream(o.echo())).connect()  # the default
    client.send(POST + extended(4 * KIB))
    assert client.read().status == 200


def test_chunk_extensions_of_a_response_are_limited(weir, upstream):
    up = upstream(o.raw(CHUNKED + extended(8 * KIB), close=False))
    client = weir(up, group={"max_response_header_bytes": "8KiB"}).connect()
    assert client.request().body == b"xx"
    up.handler = o.raw(CHUNKED + extended(8 * KIB + 1), close=False)
    client.send(request_bytes())
    with pytest.raises(AssertionError):
        assert client.read().status != 200


# --- versions, empty lines ---------------------------------------------------------------------------


@pytest.mark.parametrize("version", [b"HTTP/1.2", b"HTTP/1.9"])
def test_later_minor_versions_are_handled_as_1_1(weir, upstream, version):
    up = upstream(o.raw(version + b" 200 OK\r\nContent-Length: 5\r\n\r\nhello", close=False))
    w = weir(up)
    client = w.connect()
    for _ in range(2):
        client.send(b"GET / " + version + b"\r\nHost: a\r\n\r\n")
        response = client.read()
        assert response.status == 200 and response.version == "HTTP/1.1" and response.body == b"hello"
    assert len(up.connections) == 1 and up.requests[0].version == "HTTP/1.1"


def test_a_few_empty_lines_may_stand_before_a_request(weir, upstream):
    w = weir(upstream(o.echo()))
    client = w.connect()
    for count in (1, 2, 4, 0):
        client.send(b"\r\n" * count + request_bytes())
        assert client.read().status == 200
    client.send(b"\r\n" * 5 + request_bytes())
    assert client.read().status == 400
    w.wait_for_reason("empty_lines")
    w = weir(upstream(o.echo()), listener={"limits": {"max_empty_lines": 1}})
    client = w.connect()
    client.send(b"\r\n\r\n" + request_bytes())
    assert client.read().status == 400


# --- fields of responses -----------------------------------------------------------------------------


@pytest.mark.parametrize("lines", [b"Content-Length: 5\r\nContent-Length: 5\r\n", b"Content-Length: 5\r\nX: y\r\ncontent-length:5 \r\n"])
def test_a_repeated_content_length_of_a_response_is_sent_on_once(weir, upstream, lines):
    client = weir(upstream(o.raw(OK + lines + b"\r\nhello", close=False))).connect()
    for _ in range(2):
        response = client.request()
        assert response.body == b"hello"
        assert [value for name, value in response.fields if name.lower() == "content-length"] == ["5"]


@pytest.mark.parametrize(
    "lines",
    [
        b"Content-Length: 5\r\nContent-Length: 6\r\n",
        b"Content-Length: 5\r\nContent-Length: 5\r\nContent-Length: 4\r\n",
        b"Content-Length: 5\r\nContent-Length:\r\n",
        b"Content-Length: 5\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n",
    ],
)
def test_content_lengths_that_differ_are_502(weir, upstream, lines):
    client = weir(upstream(o.raw(OK + lines + b"\r\nhello"))).connect()
    assert client.request().status == 502


def test_a_space_before_the_colon_of_a_response_field_is_502(weir, upstream):
    """RFC 9112 section 5.1 lets a proxy remove it. weir refuses it, as nginx and HAProxy do."""
    client = weir(upstream(o.raw(OK + b"X-Bad : 1\r\nContent-Length: 0\r\n\r\n"))).connect()
    assert client.request().status == 502


# The limit counts name, value and 32 bytes of each field.
REST = 64 * KIB - (len("Content-Length") + len("0") + 32) - (len("X") + 32)


@pytest.mark.parametrize(
    "protocol, size, status",
    [("h1", 32 * KIB, 200), ("h1", REST, 200), ("h1", REST + 1, 502), ("h2", REST - 512, 200), ("h2", REST + 1, 502)],
)
def test_one_response_field_may_use_the_whole_limit(weir, upstream, size, status, protocol):
    up = upstream(o.raw(OK + b"Content-Length: 0\r\nX: " + b"v" * size + b"\r\n\r\n", close=False))
    w = weir(up)
    response = w.connect().request() if protocol == "h1" else w.connect_h2().request()
    assert response.status == status
    if status == 200:
        assert len(response.header("x")) == size


# --- Connection --------------------------------------------------------------------------------------


def test_the_options_of_connection_are_limited(weir, upstream):
    w = weir(upstream(o.echo()))
    client = w.connect()
    assert client.request(fields=[("Connection", ",".join("x%d" % n for n in range(64)))]).status == 200
    assert client.request(fields=[("Connection", ",".join("x%d" % n for n in range(65)))]).status == 431
    w.wait_for_reason("too_many_connection_options")
    w = weir(upstream(o.echo()), listener={"limits": {"max_connection_options": 3}})
    assert w.connect().request(fields=[("Connection", "a, b"), ("Connection", "c")]).status == 200
    assert w.connect().request(fields=[("Connection", "a, b"), ("Connection", "c, d")]).status == 431


def test_a_response_with_too_many_options_of_connection_is_502(weir, upstream):
    options = b",".join(b"x%d" % n for n in range(65))
    up = upstream(o.raw(OK + b"Connection: " + options + b"\r\nContent-Length: 0\r\n\r\n"))
    assert weir(up).connect().request().status == 502


# --- methods -----------------------------------------------------------------------------------------


def test_pri_without_fields_does_not_wait_for_an_http2_preface(weir, upstream):
    client = weir(upstream()).connect(timeout=5)
    client.send(b"PRI /x HTTP/1.0\r\n\r\n")
    assert client.read().status == 200


@pytest.mark.parametrize("method", ["BAN", "VERSION-CONTROL", "QUERY", "get", "RECORD", "PRI", "SOURCE", "DESCRIBE", "M-SEARCH", "X" * 60])
def test_methods_that_the_parser_does_not_know_pass(weir, upstream, method):
    client = weir(upstream(o.echo())).connect()
    for _ in range(2):
        page = json.loads(client.request("/x?y", method=method).body)
        assert page["method"] == method and page["target"] == "/x?y"


# --- targets -----------------------------------------------------------------------------------------


def get(weir_, target, protocol):
    """Status, and the target that the upstream saw. `target` is bytes."""
    if protocol == "h1":
        client = weir_.connect()
        client.send(b"GET " + target + b" HTTP/1.1\r\nHost: wiki.example\r\n\r\n")
        response = client.read()
    else:
        response = weir_.connect_h2().request(target)
    return response.status, json.loads(response.body)["target"] if response.status == 200 else None


@pytest.mark.parametrize("protocol", ["h1", "h2"])
@pytest.mark.parametrize(
    "target, sent",
    [
        ("/wiki/\u00c4", "/wiki/%C3%84"),
        ("/w?x=\u00e4&y=%C3%A4", "/w?x=%C3%A4&y=%C3%A4"),
        ("/\u20ac/\U0001f600?\u6f22", "/%E2%82%AC/%F0%9F%98%80?%E6%BC%A2"),
        ("/wiki/%C3%84", "/wiki/%C3%84"),
    ],
)
def test_raw_utf8_in_targets_is_encoded(weir, upstream, target, sent, protocol):
    assert get(weir(upstream(o.echo())), target.encode(), protocol) == (200, sent)


@pytest.mark.parametrize("protocol", ["h1", "h2"])
@pytest.mark.parametrize("target", [b"/\xe4", b"/x?\xff", b"/\xc3", b"/\xc0\xaf", b"/\xed\xa0\x80", b"/\xf5\x80\x80\x80", b"/\xc3(", b"/\xc3\xa4#x"])
def test_targets_that_are_not_utf8_are_refused(weir, upstream, target, protocol):
    assert get(weir(upstream(o.echo())), target, protocol)[0] == 400


@pytest.mark.parametrize("protocol", ["h1", "h2"])
def test_raw_utf8_can_be_refused(weir, upstream, protocol):
    w = weir(upstream(o.echo()), listener={"raw_utf8": "reject"})
    assert get(w, "/wiki/\u00c4".encode(), protocol)[0] == 400
    assert get(w, "/wiki?\u00c4".encode(), protocol)[0] == 400
    assert get(w, b"/wiki/%C3%84", protocol)[0] == 200
    w.wait_for_reason("bad_target")


def test_raw_utf8_is_read_in_any_pieces_and_with_any_method(weir, upstream):
    client = weir(upstream(o.echo())).connect()
    for byte in "BAN http://wiki.example/\u00c4?\u00e4 HTTP/1.1\r\nHost: wiki.example\r\n\r\n".encode():
        client.send(bytes([byte]))
    assert json.loads(client.read().body)["target"] == "/%C3%84?%C3%A4"
    assert client.request().status == 200


@pytest.mark.parametrize("protocol", ["h1", "h2"])
def test_raw_utf8_matches_as_its_encoded_form(weir, upstream, protocol):
    w = weir(config={
        "groups": {"g": {"endpoints": [upstream(o.echo()).address]}},
        "routers": {"r": {"services": {"s": {"group": "g"}},
                          "rules": [{"path": "/wiki/\u00c4", "answer": 403}, {"service": "s"}]}},
        "listeners": [{"name": "main", "bind": ["127.0.0.1:%d" % ports.free_port()], "router": "r"}],
    })
    for target in ("/wiki/\u00c4".encode(), b"/wiki/%C3%84", b"/wiki/%c3%84"):
        assert get(w, target, protocol)[0] == 403
    assert get(w, "/wiki/\u00e4".encode(), protocol)[0] == 200


@pytest.mark.parametrize("protocol", ["h1", "h2"])
def test_encoded_controls_pass_but_for_nul(weir, upstream, protocol):
    w = weir(upstream(o.echo()))
    for target in (b"/a%0Ab", b"/a%09", b"/%7F", b"/x/%1f/y", b"/a%0a?b=%0a"):
        assert get(w, target, protocol) == (200, target.decode())
    for target in (b"/a%00b", b"/%00", b"/..%09/x", b"/x/.%0a/y"):
        assert get(w, target, protocol)[0] == 400, target


@pytest.mark.parametrize("protocol", ["h1", "h2"])
def test_encoded_controls_can_be_refused(weir, upstream, protocol):
    w = weir(upstream(o.echo()), listener={"encoded_controls": "reject"})
    for target in (b"/a%0Ab", b"/a%09", b"/%7F", b"/%00"):
        assert get(w, target, protocol)[0] == 400
    assert get(w, b"/a?b=%0a", protocol)[0] == 200
    assert get(w, b"/a%41", protocol)[0] == 200


def test_an_encoded_line_feed_does_not_hide_from_a_pattern(weir, upstream):
    w = weir(config={
        "groups": {"g": {"endpoints": [upstream(o.echo()).address]}},
        "routers": {"r": {"services": {"s": {"group": "g"}},
                          "rules": [{"path": "~/admin/.*", "answer": 403}, {"service": "s"}]}},
        "listeners": [{"name": "main", "bind": ["127.0.0.1:%d" % ports.free_port()], "router": "r"}],
    })
    for target in (b"/admin/x", b"/admin/%0Ax", b"/admin/x%0A", b"/admin/%0D%0A/x"):
        assert get(w, target, "h1")[0] == 403
