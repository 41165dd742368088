"""Each kind of bad request has its status, closes the connection and is counted; nothing of it
reaches an upstream.

Ids in brackets are those of RFC 9112 sections or of well-known collections of smuggling vectors.
"""

import pytest

from harness import KIB
from harness import origin as o
from harness.client import request_bytes

G = b"GET / HTTP/1.1\r\nHost: a\r\n"
P = b"POST / HTTP/1.1\r\nHost: a\r\n"
CHUNKED = P + b"Transfer-Encoding: chunked\r\n"

# name: (bytes, status, reason words that may count it)
FRAMING = {
    "length and chunked": (P + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, "bad_framing"),
    "chunked and length": (P + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", 400, "bad_framing"),
    "two lengths": (P + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello", 400, "bad_content_length bad_framing"),
    "two equal lengths": (P + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", 400, "bad_content_length bad_framing"),
    "list of lengths": (P + b"Content-Length: 5, 5\r\n\r\nhello", 400, "bad_content_length"),
    "length with plus": (P + b"Content-Length: +5\r\n\r\nhello", 400, "bad_content_length"),
    "length with minus": (P + b"Content-Length: -5\r\n\r\nhello", 400, "bad_content_length"),
    "hexadecimal length": (P + b"Content-Length: 0x5\r\n\r\nhello", 400, "bad_content_length"),
    "length with a space inside": (P + b"Content-Length: 5 0\r\n\r\nhello", 400, "bad_content_length"),
    "empty length": (P + b"Content-Length:\r\n\r\n", 400, "bad_content_length"),
    "length of 2^63": (P + b"Content-Length: 9223372036854775808\r\n\r\n", 400, "bad_content_length body_too_large"),
    "length of 2^64": (P + b"Content-Length: 18446744073709551616\r\n\r\n", 400, "bad_content_length body_too_large"),
    "length with letters": (P + b"Content-Length: 5x\r\n\r\nhello", 400, "bad_content_length"),
    "length with underscore": (P + b"Content-Length: 1_0\r\n\r\nhellohello", 400, "bad_content_length"),
    "unknown coding": (P + b"Transfer-Encoding: gzip\r\n\r\n", (400, 501), "unknown_coding bad_framing"),
    "xchunked": (P + b"Transfer-Encoding: xchunked\r\n\r\n", (400, 501), "unknown_coding bad_framing"),
    "chunked not last": (P + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", (400, 501), "unknown_coding bad_framing"),
    "gzip, chunked": (P + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", (400, 501), "unknown_coding bad_framing"),
    "chunked twice": (P + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", (400, 501), "unknown_coding bad_framing"),
    "two coding fields": (P + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", (400, 501), "unknown_coding bad_framing"),
    "coding with parameter": (P + b"Transfer-Encoding: chunked;a=b\r\n\r\n0\r\n\r\n", (400, 501), "unknown_coding bad_framing"),
    "quoted coding": (P + b'Transfer-Encoding: "chunked"\r\n\r\n0\r\n\r\n', (400, 501), "unknown_coding bad_framing"),
    "coding with vertical tab": (P + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n", (400, 501), "unknown_coding bad_framing bad_field"),
    "empty coding": (P + b"Transfer-Encoding:\r\n\r\n", (400, 501), "unknown_coding bad_framing"),
    "coding in HTTP/1.0": (b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, "bad_framing"),
    "space before colon of length": (P + b"Content-Length : 5\r\n\r\nhello", 400, "bad_field"),
    "space before colon of coding": (P + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", 400, "bad_field"),
    "TRACE with a body": (b"TRACE / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", 400, "bad_framing"),
    "folded coding": (P + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n", 400, "bad_field bad_line_end bad_framing unknown_coding"),
}

CHUNKS = {
    "no hexadecimal size": (CHUNKED + b"\r\ng\r\nabc\r\n0\r\n\r\n", 400, "bad_chunk"),
    "size with 0x": (CHUNKED + b"\r\n0x3\r\nabc\r\n0\r\n\r\n", 400, "bad_chunk"),
    "size with plus": (CHUNKED + b"\r\n+3\r\nabc\r\n0\r\n\r\n", 400, "bad_chunk"),
    "size with minus": (CHUNKED + b"\r\n-3\r\nabc\r\n0\r\n\r\n", 400, "bad_chunk"),
    "space before size": (CHUNKED + b"\r\n 3\r\nabc\r\n0\r\n\r\n", 400, "bad_chunk"),
    "space after size": (CHUNKED + b"\r\n3 \r\nabc\r\n0\r\n\r\n", 400, "bad_chunk"),
    "17 digits": (CHUNKED + b"\r\n00000000000000003\r\nabc\r\n0\r\n\r\n", 400, "bad_chunk"),
    "size overflows": (CHUNKED + b"\r\nfffffffffffffffff\r\nabc\r\n0\r\n\r\n", 400, "bad_chunk"),
    "empty size": (CHUNKED + b"\r\n\r\nabc\r\n0\r\n\r\n", 400, "bad_chunk"),
    "bare LF after size": (CHUNKED + b"\r\n3\nabc\r\n0\r\n\r\n", 400, "bad_chunk bad_line_end"),
    "bare CR after size": (CHUNKED + b"\r\n3\rabc\r\n0\r\n\r\n", 400, "bad_chunk bad_line_end"),
    "extra CR after size": (CHUNKED + b"\r\n3\r\r\nabc\r\n0\r\n\r\n", 400, "bad_chunk bad_line_end"),
    "bare LF after data": (CHUNKED + b"\r\n3\r\nabc\n0\r\n\r\n", 400, "bad_chunk bad_line_end"),
    "bare CR after data": (CHUNKED + b"\r\n3\r\nabc\r0\r\n\r\n", 400, "bad_chunk bad_line_end"),
    "no CRLF after data": (CHUNKED + b"\r\n3\r\nabcd\r\n0\r\n\r\n", 400, "bad_chunk bad_line_end"),
    "LF in extension": (CHUNKED + b"\r\n3;a\nb=c\r\nabc\r\n0\r\n\r\n", 400, "bad_chunk bad_line_end"),
    "CR in extension": (CHUNKED + b"\r\n3;a\rb=c\r\nabc\r\n0\r\n\r\n", 400, "bad_chunk bad_line_end"),
    "control in extension": (CHUNKED + b"\r\n3;a=\x01\r\nabc\r\n0\r\n\r\n", 400, "bad_chunk"),
    "NUL in extension": (CHUNKED + b"\r\n3;a=\0\r\nabc\r\n0\r\n\r\n", 400, "bad_chunk"),
    "extension without a name": (CHUNKED + b"\r\n3;\r\nabc\r\n0\r\n\r\n", 400, "bad_chunk"),
    "extension with an open quote": (CHUNKED + b'\r\n3;a="b\r\nabc\r\n0\r\n\r\n', 400, "bad_chunk"),
    "bare LF after the last size": (CHUNKED + b"\r\n3\r\nabc\r\n0\n\r\n", 400, "bad_chunk bad_line_end"),
    "bare LF at the end": (CHUNKED + b"\r\n3\r\nabc\r\n0\r\n\n", 400, "bad_chunk bad_line_end bad_trailer"),
    "bare CR at the end": (CHUNKED + b"\r\n3\r\nabc\r\n0\r\n\rX", 400, "bad_line_end"),
    "trailer without colon": (CHUNKED + b"\r\n0\r\nrubbish\r\n\r\n", 400, "bad_trailer bad_field bad_chunk"),
    "trailer with NUL": (CHUNKED + b"\r\n0\r\nX: \0\r\n\r\n", 400, "bad_trailer bad_field bad_chunk"),
    "folded trailer": (CHUNKED + b"\r\n0\r\nX: a\r\n b\r\n\r\n", 400, "bad_trailer bad_field bad_chunk"),
}

LINES = {
    "no version": (b"GET /\r\nHost: a\r\n\r\n", (400, 505), "bad_request_line bad_version"),
    "HTTP/2.0": (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", (400, 505), "bad_version"),
    "HTTP/3.0": (b"GET / HTTP/3.0\r\nHost: a\r\n\r\n", (400, 505), "bad_version"),
    "HTTP/0.9": (b"GET / HTTP/0.9\r\nHost: a\r\n\r\n", (400, 505), "bad_version"),
    "HTTP/11": (b"GET / HTTP/11\r\nHost: a\r\n\r\n", (400, 505), "bad_version bad_request_line"),
    "http/1.1": (b"GET / http/1.1\r\nHost: a\r\n\r\n", (400, 505), "bad_version bad_request_line"),
    "HTTP/1.10": (b"GET / HTTP/1.10\r\nHost: a\r\n\r\n", (400, 505), "bad_version bad_request_line"),
    "two spaces after the method": (b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "bad_request_line bad_target"),
    "two spaces before the version": (b"GET /  HTTP/1.1\r\nHost: a\r\n\r\n", (400, 505), "bad_request_line bad_target bad_version"),
    "tab as separator": (b"GET\t/\tHTTP/1.1\r\nHost: a\r\n\r\n", 400, "bad_request_line bad_method"),
    "space in the target": (b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", (400, 505), "bad_request_line bad_target bad_version"),
    "leading space": (b" GET / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "bad_request_line bad_method"),
    "trailing space": (b"GET / HTTP/1.1 \r\nHost: a\r\n\r\n", (400, 505), "bad_request_line bad_version"),
    "method with a bracket": (b"GE(T / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "bad_method bad_request_line"),
    "method with NUL": (b"GE\0T / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "bad_method bad_request_line"),
    "empty method": (b"/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, "bad_method bad_request_line"),
    "target without slash": (b"GET a HTTP/1.1\r\nHost: a\r\n\r\n", 400, "bad_target"),
    "star for GET": (b"GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400, "bad_target"),
    "fragment": (b"GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", 400, "bad_target"),
    "control in the target": (b"GET /\x01 HTTP/1.1\r\nHost: a\r\n\r\n", 400, "bad_target bad_request_line"),
    "DEL in the target": (b"GET /\x7f HTTP/1.1\r\nHost: a\r\n\r\n", 400, "bad_target bad_request_line"),
    "NUL in the target": (b"GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n", 400, "bad_target bad_request_line"),
    "CONNECT": (b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", (400, 405), "method_refused bad_target"),
    "ftp scheme": (b"GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, "bad_target"),
    "HTTP/2 preface cut short": (b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", (400, 505, None), "bad_version bad_request_line bad_method h2_protocol"),
    "TLS to a plain port": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x11" * 600 + b"\r\n\r\n", 400, "bad_method bad_request_line bad_line_end line_too_long uri_too_long"),
    "bare LF lines": (b"GET / HTTP/1.1\nHost: a\n\n", 400, "bad_line_end bad_request_line"),
    "bare LF after the request line": (b"GET / HTTP/1.1\nHost: a\r\n\r\n", 400, "bad_line_end bad_request_line"),
    "bare LF after a field": (b"GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n", 400, "bad_line_end bad_field"),
    "bare LF at the end": (b"GET / HTTP/1.1\r\nHost: a\r\n\n", 400, "bad_line_end"),
    "bare CR after the request line": (b"GET / HTTP/1.1\rHost: a\r\n\r\n", (400, 505), "bad_line_end bad_request_line bad_version"),
    "bare CR at the end": (b"GET / HTTP/1.1\r\nHost: a\r\n\rX", 400, "bad_line_end"),
    "CR CR LF": (b"GET / HTTP/1.1\r\r\nHost: a\r\n\r\n", (400, 505), "bad_line_end bad_request_line bad_version"),
    "dot segments above the root": (b"GET /../etc HTTP/1.1\r\nHost: a\r\n\r\n", (400, 200), "bad_target"),
}

FIELDS = {
    "bare CR in a value": (G + b"X: a\rb\r\n\r\n", 400, "bad_field bad_line_end"),
    "CR before a smuggled field": (G + b"X: a\rTransfer-Encoding: chunked\r\n\r\n", 400, "bad_field bad_line_end"),
    "NUL in a value": (G + b"X: a\0b\r\n\r\n", 400, "bad_field"),
    "control in a value": (G + b"X: a\x01b\r\n\r\n", 400, "bad_field"),
    "DEL in a value": (G + b"X: a\x7fb\r\n\r\n", 400, "bad_field"),
    "NUL in a name": (G + b"X\0Y: a\r\n\r\n", 400, "bad_field"),
    "space in a name": (G + b"X Y: a\r\n\r\n", 400, "bad_field"),
    "space before the colon": (G + b"X : a\r\n\r\n", 400, "bad_field"),
    "tab before the colon": (G + b"X\t: a\r\n\r\n", 400, "bad_field"),
    "empty name": (G + b": a\r\n\r\n", 400, "bad_field"),
    "no colon": (G + b"rubbish\r\n\r\n", 400, "bad_field"),
    "folded value": (G + b"X: a\r\n b\r\n\r\n", 400, "bad_field bad_line_end"),
    "folded first line": (b"GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400, "bad_field bad_line_end bad_host"),
    "brackets in a name": (G + b"X(Y): a\r\n\r\n", 400, "bad_field"),
    "byte above 127 in a name": (G + b"X\xe4: a\r\n\r\n", 400, "bad_field"),
    "Connection names a coding": (P + b"Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, "bad_connection"),
    "Connection names Host": (G + b"Connection: keep-alive, Host\r\n\r\n", 400, "bad_connection"),
    "no token in Connection": (G + b"Connection: close;x\r\n\r\n", 400, "bad_connection"),
    "unknown expectation": (P + b"Content-Length: 1\r\nExpect: 200-ok\r\n\r\nx", (400, 417), "bad_expect"),
}

HOSTS = {
    "no host": (b"GET / HTTP/1.1\r\n\r\n", 400, "bad_host"),
    "two hosts": (G + b"Host: b\r\n\r\n", 400, "bad_host"),
    "two equal hosts": (G + b"Host: a\r\n\r\n", 400, "bad_host"),
    "empty host": (b"GET / HTTP/1.1\r\nHost:\r\n\r\n", 400, "bad_host"),
    "userinfo": (b"GET / HTTP/1.1\r\nHost: user@a\r\n\r\n", 400, "bad_host"),
    "userinfo behind a port": (b"GET / HTTP/1.1\r\nHost: a:443@evil\r\n\r\n", 400, "bad_host"),
    "slash": (b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400, "bad_host"),
    "space inside": (b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400, "bad_host"),
    "list": (b"GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", 400, "bad_host"),
    "port with letters": (b"GET / HTTP/1.1\r\nHost: a:b\r\n\r\n", 400, "bad_host"),
    "port too large": (b"GET / HTTP/1.1\r\nHost: a:65536\r\n\r\n", 400, "bad_host"),
    "open bracket": (b"GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", 400, "bad_host"),
    "query": (b"GET / HTTP/1.1\r\nHost: a?b\r\n\r\n", 400, "bad_host"),
    "byte above 127": (b"GET / HTTP/1.1\r\nHost: \xe4\r\n\r\n", 400, "bad_host bad_field"),
    "absolute target with userinfo": (b"GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, "bad_host bad_target"),
    "absolute target without host": (b"GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n", 400, "bad_host bad_target"),
    "absolute target and no Host": (b"GET http://a/ HTTP/1.1\r\n\r\n", 400, "bad_host"),
}

LIMITS = {
    "target too long": (b"GET /" + b"a" * (8 * KIB) + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414, "uri_too_long"),
    "line too long": (G + b"X: " + b"a" * (17 * KIB) + b"\r\n\r\n", 431, "line_too_long headers_too_large"),
    "fields too large": (G + b"".join(b"X%d: %s\r\n" % (n, b"a" * 1000) for n in range(100)) + b"\r\n", 431, "headers_too_large"),
    "too many fields": (G + b"".join(b"X%d: a\r\n" % n for n in range(128)) + b"\r\n", 431, "too_many_fields"),
    "name too long": (G + b"a" * (70 * KIB) + b": b\r\n\r\n", (400, 431), "line_too_long headers_too_large"),
    "method too long": (b"A" * (20 * KIB) + b" / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "bad_method"),
    "method a little too long": (b"A" * (8 * KIB + 60) + b" / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "bad_method"),
    "empty lines without end": (b"\r\n" * 5000 + G + b"\r\n", 400, "empty_lines"),
}

TABLE = [
    pytest.param(kind + ": " + name, *row, id="%s-%s" % (kind, name.replace(" ", "_")))
    for kind, table in [
        ("framing", FRAMING), ("chunks", CHUNKS), ("lines", LINES), ("fields", FIELDS), ("hosts", HOSTS), ("limits", LIMITS),
    ]
    for name, row in table.items()
]


@pytest.mark.parametrize("name, data, status, reasons", TABLE)
def test_is_refused(weir, upstream, name, data, status, reasons):
    up = upstream(o.echo())
    w = weir(up)
    client = w.connect()
    wanted = status if isinstance(status, tuple) else (status,)
    try:
        client.send(data)
    except ConnectionError:
        pass  # weir need not read to the end of it
    try:
        response = client.read()
    except (AssertionError, ConnectionError):
        assert None in wanted or "limits" in name, "no proper response"
        response = None
    if response is not None:
        assert response.status in wanted
    if response is not None and response.status == 200:
        return  # one of the rows that may be passed on in canonical form
    assert client.is_closed()
    assert response is None or response.closes
    # A chunked request may have begun before it went wrong; it must not have been whole.
    for request in up.requests:
        assert name.startswith("chunks") and request.chunked and not request.whole
        assert request.conn.closed.wait(5)
    words = reasons.split()
    w.wait_for_metric(lambda m: any(m.reason(word) for word in words), what="one of " + reasons)
    # and the door is still open for others
    assert w.get().status == 200


@pytest.mark.tsan
def test_what_follows_a_bad_request_is_not_looked_at(weir, upstream):
    up = upstream(o.echo())
    client = weir(up).connect()
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\nX : b\r\n\r\n" + request_bytes("/smuggled"))
    assert client.read().status == 400
    assert client.is_closed()
    assert not up.requests


def test_a_good_request_before_a_bad_one_is_served(weir, upstream):
    up = upstream(o.echo())
    client = weir(up).connect()
    client.send(request_bytes("/good") + b"GET / HTTP/1.1\r\nHost: a\r\nX : b\r\n\r\n")
    assert client.read().status == 200
    assert client.read().status == 400
    assert client.is_closed()
    assert [r.target for r in up.requests] == ["/good"]


def test_an_upstream_connection_is_not_reused_after_a_broken_upload(weir, upstream):
    up = upstream(o.echo())
    w = weir(up)
    client = w.connect()
    client.send(CHUNKED + b"\r\n3\r\nabc\r\n")
    up.wait_for_requests(1)
    client.send(b"xyz\r\n")
    client.is_closed()
    assert w.get("/next").status == 200
    assert up.requests[0].conn is not up.requests[1].conn


@pytest.mark.parametrize("what, make, good, bad, status", [
    ("uri", lambda n: b"GET /%s HTTP/1.1\r\nHost: a\r\n\r\n" % (b"a" * (n - 1)), 1000, 1001, 414),
    ("count", lambda n: b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * (n - 1) + b"\r\n", 20, 21, 431),
    ("body", lambda n: request_bytes("/", "POST", body=b"x" * n), 5000, 5001, 413),
])
def test_limits_are_inclusive(weir, upstream, what, make, good, bad, status):
    limits = {"max_uri_bytes": 1000, "max_header_count": 20, "max_body_bytes": 5000}
    w = weir(upstream(o.echo()), listener={"limits": limits})
    assert w.exchange(make(good)).status == 200
    assert w.exchange(make(bad)).status == status


def test_a_chunked_body_beyond_the_limit_is_413_or_cut(weir, upstream):
    up = upstream(o.echo())
    w = weir(up, listener={"limits": {"max_body_bytes": 5000}})
    client = w.connect()
    client.send(CHUNKED + b"\r\n" + b"1000\r\n" + b"x" * 4096 + b"\r\n" + b"1000\r\n" + b"x" * 4096 + b"\r\n0\r\n\r\n")
    assert client.read().status == 413
    assert client.is_closed()
    w.wait_for_reason("body_too_large")


@pytest.mark.parametrize("target", [b"*", b"/"])
def test_options_star_passes(weir, upstream, target):
    up = upstream(o.echo())
    response = weir(up).exchange(b"OPTIONS " + target + b" HTTP/1.1\r\nHost: a\r\n\r\n")
    assert response.status == 200 and up.last.target == target.decode()


def test_unknown_methods_pass(weir, upstream):
    up = upstream(o.echo())
    assert weir(up).get(method="PROPFIND").status == 200
    assert up.last.method == "PROPFIND"
