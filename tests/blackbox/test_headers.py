"""Header rules: fields that are removed, fields that are set, and fields that only trusted clients can send."""

import json
import re

import pytest

from harness import origin as o
from harness import ports


@pytest.fixture(params=["h1", "h2"])
def ask(request):
    """ask(weir, fields) -> the header pairs that the upstream saw, over h1 and over h2."""

    def call(w, fields=(), target="/"):
        if request.param == "h1":
            response = w.get(target, fields=fields)
        else:
            with w.connect_h2() as client:
                response = client.request(target, fields=fields)
        assert response.status == 200
        return Seen(json.loads(response.text)["headers"])

    call.protocol = request.param
    return call


class Seen(list):
    def all(self, name):
        return [v for n, v in self if n.lower() == name.lower()]

    def get(self, name):
        values = self.all(name)
        assert len(values) <= 1, "%s came %d times" % (name, len(values))
        return values[0] if values else None


UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\Z")

# --- ordinary fields ---------------------------------------------------------------------------------


def test_ordinary_fields_pass_unchanged_in_their_order(weir, upstream, ask):
    fields = [("accept", "*/*"), ("x-one", "1"), ("x-two", "a, b"), ("x-one", "2"), ("x-empty", "")]
    seen = ask(weir(upstream(o.echo())), fields)
    assert [(n.lower(), v) for n, v in seen if n.lower() in dict(fields)] == fields


def test_http_1_keeps_the_case_of_names(weir, upstream):
    up = upstream(o.echo(fields=[("X-CaMeL", "1")]))
    response = weir(up).get(fields=[("X-wEiRd", "1")])
    assert ("X-wEiRd", "1") in up.last.fields and ("X-CaMeL", "1") in response.fields


def names_of(fields):
    """The spelling of the names, except for names that depend on the test's tools."""
    return {name for name, _ in fields if name.lower() not in ("accept-encoding", "user-agent")}


SPELLED = {
    "preserve": {"X-wEiRd", "X-Other", "X-CaMeL", "Via", "X-Forwarded-For", "X-Client-Ip", "Host", "ETAG"},
    "proper": {"X-Weird", "X-Other", "X-Camel", "Via", "X-Forwarded-For", "X-Client-Ip", "Host", "Etag"},
    "lower": {"x-weird", "x-other", "x-camel", "via", "x-forwarded-for", "x-client-ip", "host", "etag"},
}


@pytest.mark.parametrize("case", [None, "preserve", "proper", "lower"])
def test_names_are_spelled_as_configured(weir, upstream, case):
    """preserve is the default: some clients know one spelling only."""
    up = upstream(o.echo(fields=[("X-wEiRd", "1"), ("ETAG", '"a"')]))
    conf = {"header_case": case} if case else {}
    rules = {"request": {"set": {"X-CaMeL": "1"}}, "response": {"set": {"X-CaMeL": "1"}}}
    w = weir(up, listener={"headers": rules, **conf}, group=conf)
    wanted = SPELLED[case or "preserve"]
    response = w.get(fields=[("X-wEiRd", "1"), ("ETAG", "x"), ("x-OTHER", "1")])
    seen = names_of(up.last.fields)
    other = "x-OTHER" if case in (None, "preserve") else "X-Other" if case == "proper" else "x-other"
    assert (wanted - {"X-Other", "x-other"}) | {other} <= seen, seen
    length = "content-length" if case == "lower" else "Content-Length"
    answered = names_of(response.fields)
    assert {name for name in wanted if name.lower() in ("x-weird", "etag", "x-camel", "via")} | {length} <= answered
    if case in ("proper", "lower"):
        for name in seen | answered:
            assert name == ("-".join(w.capitalize() for w in name.split("-")) if case == "proper" else name.lower())


@pytest.mark.parametrize("case", ["preserve", "proper", "lower"])
def test_names_that_came_by_h2_have_no_spelling_to_keep(weir, upstream, case):
    up = upstream(o.echo())
    w = weir(up, group={"header_case": case})
    with w.connect_h2() as client:
        assert client.request(fields=[("x-one-two-three", "1"), ("accept", "*/*"), ("a", "1")]).status == 200
    names = names_of(up.last.fields)
    wanted = {"x-one-two-three", "accept", "a"} if case == "lower" else {"X-One-Two-Three", "Accept", "A"}
    assert wanted <= names


def test_names_in_trailers_and_local_answers_are_spelled_alike(weir, upstream):
    up = upstream(o.echo())
    w = weir(up, listener={"header_case": "lower"}, group={"header_case": "proper"})
    response = w.exchange(
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTE: trailers\r\n\r\n"
        b"1\r\na\r\n0\r\nx-SUM-of-all: 1\r\n\r\n"
    )
    assert response.status == 200 and "X-Sum-Of-All" in str(up.last.trailers)
    for bad in (b"GET /.. HTTP/1.1\r\nHost: a\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n"):
        answer = w.exchange(bad)
        assert answer.status == 400
        assert names_of(answer.fields) == {name.lower() for name in names_of(answer.fields)}


def test_bytes_above_127_pass_unchanged(weir, upstream):
    up = upstream(o.echo())
    weir(up).get("/", fields=[("X-Bytes", "\xe4\xf6\xfc")])
    assert up.last.header("x-bytes") == "\xe4\xf6\xfc"


def test_the_target_passes_byte_for_byte(weir, upstream):
    up = upstream(o.echo())
    w = weir(up)
    for target in ("/a%2Fb", "/a//b", "/%C3%A4?q=%20+&&=;x", "/wiki/A:B,C(D)'!*@$~", "/?", "/a?b?c"):
        assert w.get(target).status == 200
        assert up.last.target == target


# --- hop by hop --------------------------------------------------------------------------------------


def test_hop_by_hop_fields_of_a_request_stay_here(weir, upstream):
    up = upstream(o.echo())
    hop_by_hop = [
        ("Connection", "keep-alive, X-Private"),
        ("Keep-Alive", "timeout=5"),
        ("Proxy-Connection", "keep-alive"),
        ("X-Private", "secret"),
        ("HTTP2-Settings", "AAMAAABkAAQAAP__"),
    ]
    assert weir(up).get(fields=hop_by_hop + [("X-Public", "1")]).status == 200
    for name in ("keep-alive", "proxy-connection", "x-private", "upgrade", "http2-settings"):
        assert name not in up.last.fields
    assert up.last.header("x-public") == "1"


def test_hop_by_hop_fields_of_a_response_stay_here(weir, upstream):
    fields = [("Connection", "X-Private"), ("X-Private", "1"), ("Keep-Alive", "timeout=9"), ("X-Public", "1")]
    response = weir(upstream(o.respond(fields=fields))).get()
    assert "x-private" not in response.fields and "keep-alive" not in response.fields
    assert response.header("x-public") == "1"


def test_an_upgrade_that_is_not_websocket_is_not_passed_on(weir, upstream):
    up = upstream(o.echo())
    assert weir(up).get(fields=[("Connection", "Upgrade"), ("Upgrade", "h2c")]).status == 200
    assert "upgrade" not in up.last.fields


@pytest.mark.parametrize("name", ["Host", "X-Forwarded-For", "Content-Length", "Authorization", "Cookie", "X-Client-IP"])
def test_protected_fields_cannot_be_removed_through_connection(weir, upstream, name):
    """The request is refused or the option ignored; the field must still be there (CVE-2022-31813)."""
    up = upstream(o.echo())
    response = weir(up, trusted=True).get(fields=[("Connection", name), ("Authorization", "x"), ("Cookie", "a=b")])
    if response.status == 200:
        for kept in ("host", "x-forwarded-for", "authorization", "cookie", "x-client-ip"):
            assert kept in up.last.fields
    else:
        assert response.status == 400 and not up.requests


# --- Host, Via, Server -------------------------------------------------------------------------------


def test_one_host_field_with_what_the_client_asked_for(weir, upstream, ask):
    assert ask(weir(upstream(o.echo()))).get("host") == "wiki.example"


def test_host_is_target_names_the_endpoint_that_is_asked(weir, upstream, ask):
    ups = [upstream(o.echo()), upstream(o.echo())]
    w = weir(ups, group={"host_is_target": True, "balance": "round_robin"}, top={"workers": 1})
    for _ in range(4):
        ask(w)
    for up in ups:
        assert up.requests
        assert {request.headers("host")[0] for request in up.requests} == {up.address}


def test_host_is_target_names_the_endpoint_of_a_retry(weir, upstream):
    def refuse(conn, request):
        conn.close()

    ups = [upstream(refuse), upstream(o.echo())]
    w = weir(ups, group={"host_is_target": True, "balance": "round_robin", "retries": 3}, top={"workers": 1})
    for _ in range(4):
        w.get()
    assert ups[1].requests
    for up in ups:
        assert {request.headers("host")[0] for request in up.requests} <= {up.address}


def test_host_is_target_is_a_host_name_for_names_and_unix_sockets(weir, upstream, ask):
    named = upstream(o.echo())
    w = weir("localhost:%d" % named.port, group={"host_is_target": True})
    assert ask(w).get("host") == "localhost"
    assert ask(weir(upstream(o.echo(), unix=True), group={"host_is_target": True})).get("host") == "localhost"


def test_an_absolute_target_becomes_origin_form(weir, upstream):
    up = upstream(o.echo())
    client = weir(up).connect()
    client.send(b"GET http://wiki.example/a?b HTTP/1.1\r\nHost: wiki.example\r\n\r\n")
    assert client.read().status == 200
    assert up.last.target == "/a?b" and up.last.headers("host") == ["wiki.example"]


@pytest.mark.parametrize(
    "target, host",
    [
        ("http://b.example", "a.example"),
        ("https://b.example:8443", "a.example"),
        ("http://wiki.example:80", "wiki.example"),
        ("http://wiki.example:", "wiki.example"),
        ("http://wiki.example", "wiki.example:80"),
        ("http://wiki.example", "wiki.example:"),
        ("http://WIKI.example.", "wiki.example"),
    ],
)
def test_the_authority_of_an_absolute_target_replaces_host(weir, upstream, target, host):
    """RFC 9112 section 3.2.2."""
    up = upstream(o.echo())
    request = "GET %s/x HTTP/1.1\r\nHost: %s\r\n\r\n" % (target, host)
    assert weir(up).exchange(request.encode()).status == 200
    assert up.last.headers("host") == [target.split("//")[1]]


def test_equivalent_names_of_one_authority_are_no_error_over_h2(weir, upstream):
    """RFC 9113 section 8.3.1: the two names are compared after normalisation; the scheme here is http."""
    up = upstream(o.echo())
    with weir(up).connect_h2(validate=False) as client:
        for authority, host in (
            ("a.example:80", "a.example"),
            ("a.example", "A.EXAMPLE:"),
            ("a.example.", "a.example:80"),
            ("[::1]", "[0:0::1]:80"),
        ):
            assert client.request("/", authority=authority, fields=[("host", host)]).status == 200, host
            assert up.last.headers("host") == [authority]
        for host in ("b.example", "a.example:443", "a.example:8080"):
            assert client.request("/", authority="a.example", fields=[("host", host)]).reset, host


@pytest.mark.parametrize("host", ["[:::1]", "[12345::]", "[1.2.3.4]", "[::1%25eth0]", "%77iki.example"])
def test_a_host_that_is_no_valid_name_or_address_is_400(weir, upstream, host):
    up = upstream(o.echo())
    w = weir(up)
    assert w.get(host=host).status == 400
    with w.connect_h2() as client:
        answer = client.request("/", authority=host)
        assert answer.status == 400 or answer.reset
    assert not up.requests


def test_an_address_of_a_later_ip_version_is_a_valid_host(weir, upstream):
    up = upstream(o.echo())
    assert weir(up).get(host="[v1.a]").status == 200
    assert up.last.headers("host") == ["[v1.a]"]


def test_via_is_appended_in_both_directions(weir, upstream, ask):
    up = upstream(o.echo(fields=[("Via", "1.1 deep")]))
    w = weir(up)
    seen = ask(w, [("via", "1.1 outer")])
    version = {"h1": "1.1", "h2": "2"}[ask.protocol]
    assert ", ".join(seen.all("via")) in ("1.1 outer, %s weir" % version, "1.1 outer, %s.0 weir" % version)
    assert ", ".join(w.get().headers("via")) == "1.1 deep, 1.1 weir"


@pytest.mark.parametrize("protocol", ["h1", "h2"])
@pytest.mark.parametrize(
    "lines, status, asked",
    [
        ([""], 200, None),
        ([" , "], 200, None),
        (["100-continue", "100-continue"], 200, "100-continue"),
        ([",100-Continue,"], 200, "100-continue"),
        (["100-continue, foo"], 417, None),
        (["100-continue", "foo"], 417, None),
        (["foo"], 417, None),
    ],
)
def test_all_lines_of_expect_are_one_list(weir, upstream, protocol, lines, status, asked):
    """RFC 9110 sections 5.6.1.2 and 10.1.1: empty elements are nothing, one unknown expectation is 417."""
    up = upstream(o.echo())
    fields = [("expect", line.strip()) for line in lines]
    w = weir(up)
    if protocol == "h2":
        with w.connect_h2() as client:
            assert client.request("/", "POST", fields, b"x").status == status
    else:
        response = w.connect().request("/", "POST", fields=fields, body=b"x")
        assert response.status in (status, 100)
    assert (up.last.fields.get("expect") if up.requests else None) == asked
    assert bool(up.requests) == (status == 200)


@pytest.mark.parametrize("method, status", [("OPTIONS", 204), ("TRACE", 501)])
def test_max_forwards_counts_down_and_ends_here(weir, upstream, method, status):
    """RFC 9110 section 7.6.2."""
    up = upstream(o.echo())
    client = weir(up).connect()
    for value, wanted in (("2", "1"), ("1", "0"), ("10", "9"), ("9" * 30, str(2**64 - 2)), ("-1", "-1")):
        assert client.request("/", method, fields=[("Max-Forwards", value)]).status == 200
        assert up.last.fields.get("max-forwards") == wanted
    count = len(up.requests)
    response = client.request("/", method, fields=[("Max-Forwards", "0")])
    assert response.status == status and len(up.requests) == count
    assert ("GET" in response.header("allow", "")) == (method == "OPTIONS")
    assert client.request("/", fields=[("Max-Forwards", "0")]).status == 200  # others do not count
    assert up.last.fields.get("max-forwards") == "0"


def test_via_can_be_switched_off(weir, upstream, ask):
    w = weir(upstream(o.echo()), listener={"via": ""})
    assert ask(w).get("via") is None
    assert w.get().header("via") is None


def test_the_server_field_of_the_upstream_is_kept(weir, upstream):
    w = weir(upstream(o.respond(fields=[("Server", "origin/1")])), listener={"server_name": "weir"})
    assert w.get().headers("server") == ["origin/1"]


def test_server_name_is_added_where_the_upstream_gave_none(weir, upstream):
    assert weir(upstream(), listener={"server_name": "edge"}).get().headers("server") == ["edge"]
    assert weir(upstream()).get().headers("server") == []


@pytest.mark.parametrize(
    "came, seen",
    [
        (["a", "b"], ["a", "b, z"]),
        (["a"], ["a, z"]),
        (["a", ""], ["a", "z"]),
        ([], ["z"]),
    ],
)
def test_an_appended_value_stands_last(weir, upstream, ask, came, seen):
    """RFC 9110 section 5.3: the lines of a field are one list."""
    rules = {"append": {"X-L": "z"}}
    up = upstream(o.echo(fields=[("X-L", value) for value in came]))
    w = weir(up, listener={"headers": {"request": rules, "response": rules}})
    assert ask(w, [("x-l", value) for value in came]).all("x-l") == seen
    assert w.get().headers("x-l") == seen


def test_an_appended_cookie_is_one_of_its_own(weir, upstream):
    up = upstream(o.echo(fields=[("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")]))
    headers = {"request": {"append": {"Cookie": "z=3"}}, "response": {"append": {"Set-Cookie": "z=3"}}}
    response = weir(up, listener={"headers": headers}).get(fields=[("Cookie", "a=1")])
    assert response.headers("set-cookie") == ["a=1", "b=2", "z=3"]
    assert up.last.headers("cookie") == ["a=1; z=3"]


# --- who the client is -------------------------------------------------------------------------------


def test_forwarding_fields_of_an_untrusted_client_are_replaced(weir, upstream, ask):
    seen = ask(
        weir(upstream(o.echo())),
        [
            ("x-forwarded-for", "1.2.3.4"),
            ("x-forwarded-proto", "https"),
            ("x-client-ip", "1.2.3.4"),
            ("x-request-id", "mine"),
            ("x-real-ip", "1.2.3.4"),
            ("forwarded", "for=1.2.3.4"),
            ("x-forwarded-host", "evil.example"),
        ],
    )
    assert seen.get("x-forwarded-for") == "127.0.0.1"
    assert seen.get("x-forwarded-proto") == "http"
    assert seen.get("x-client-ip") == "127.0.0.1"
    assert UUID.match(seen.get("x-request-id"))
    for name, value in seen:
        assert "1.2.3.4" not in value and "evil" not in value


FORWARDING = [
    "X-Forwarded-Prefix", "X-Forwarded-Ssl", "X-Forwarded-Scheme", "X-Forwarded-Server", "X-Forwarded-By",
    "X-Forwarded-Client-Cert", "X-Forwarded-User", "X-Forwarded", "Forwarded-For", "Front-End-Https",
    "X-Original-URL", "X-Original-Host", "X-Original-Forwarded-For", "X-Rewrite-URL", "X-Host", "True-Client-IP",
    "Client-IP", "X-Cluster-Client-IP", "CF-Connecting-IP", "CF-Visitor", "Fastly-Client-IP", "X-Remote-User",
    "X-Remote-Addr", "X-Url-Scheme", "X-SSL-Client-Verify", "SSL-Client-Cert", "Proxy",
    "Client-Cert", "Client-Cert-Chain", "X-Client-Cert", "X-Amzn-Mtls-Clientcert", "X-Originating-IP",
    "X-Forward-For", "X-Forward-Proto", "Z-Forwarded-For",
    "X-Envoy-Expected-Rq-Timeout-Ms", "X-Envoy-Upstream-Rq-Per-Try-Timeout-Ms", "x-envoy-external-address",
]  # fmt: skip


def test_no_forwarding_field_of_an_untrusted_client_is_sent_on(weir, upstream, ask):
    seen = ask(weir(upstream(o.echo())), [(name.lower(), "evil") for name in FORWARDING])
    assert "evil" not in [value for _, value in seen]


def test_forwarding_fields_of_a_trusted_client_go_on(weir, upstream, ask):
    seen = ask(weir(upstream(o.echo()), trusted=True), [(name.lower(), "mine") for name in FORWARDING])
    assert [value for _, value in seen].count("mine") == len(FORWARDING)


@pytest.mark.parametrize("trusted", [True, False])
def test_a_debug_header_of_another_name_is_taken_from_trusted_clients_only(weir, upstream, trusted):
    up = upstream(o.echo())
    listener = {"name": "main", "bind": ["127.0.0.1:%d" % ports.free_port()], "router": "r",
                "trusted_proxies": ["127.0.0.0/8"] if trusted else []}  # fmt: skip
    router = {"debug": {"header": "X-My-Debug", "backends": {"x": "g"}}, "rules": [{"group": "g"}]}
    w = weir(config={"listeners": [listener], "groups": {"g": {"endpoints": [up.address]}}, "routers": {"r": router}})
    assert w.get(fields=[("X-My-Debug", "backend=x")]).status == 200
    assert up.last.headers("x-my-debug") == (["backend=x"] if trusted else [])


def test_the_list_of_forwarding_fields_can_be_changed(weir, upstream, ask):
    listener = {
        "keep_untrusted": ["X-Forwarded-Prefix", "True-Client-IP"],
        "headers": {"request": {"remove_untrusted": ["X-Mine"]}},
    }
    names = ["x-forwarded-prefix", "true-client-ip", "x-forwarded-ssl", "cf-connecting-ip", "x-mine"]
    seen = ask(weir(upstream(o.echo()), listener=listener), [(name, "said") for name in names])
    assert sorted(name.lower() for name, value in seen if value == "said") == ["true-client-ip", "x-forwarded-prefix"]


@pytest.mark.parametrize("name", ["X-Forwarded-Prefix", "True-Client-IP", "X-Envoy-Peer"])
def test_forwarding_fields_cannot_be_removed_through_connection(weir, upstream, name):
    up = upstream(o.echo())
    fields = [("Connection", name), (name, "mine")]
    assert weir(up, trusted=True).get(fields=fields).status == 400
    assert not up.requests


def test_forwarding_fields_in_trailers_are_not_sent_on(weir, upstream):
    up = upstream(o.echo())
    trailers = "".join("%s: evil\r\n" % name for name in FORWARDING)
    response = weir(up).exchange(
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTE: trailers\r\n\r\n"
        b"1\r\na\r\n0\r\n" + trailers.encode() + b"X-Sum: 1\r\n\r\n"
    )
    assert response.status == 200
    assert "evil" not in str(up.last.trailers) and "1" in str(up.last.trailers)


def test_a_trusted_client_is_believed_and_appended_to(weir, upstream, ask):
    seen = ask(
        weir(upstream(o.echo()), trusted=True),
        [("x-forwarded-for", "203.0.113.9"), ("x-forwarded-proto", "https"), ("x-request-id", "abc-123")],
    )
    assert seen.get("x-forwarded-for") == "203.0.113.9, 127.0.0.1"
    assert seen.get("x-forwarded-proto") == "https"
    assert seen.get("x-client-ip") == "203.0.113.9"
    assert seen.get("x-request-id") == "abc-123"


def test_the_client_is_the_last_address_that_no_trusted_proxy_vouches_for(weir, upstream, ask):
    seen = ask(
        weir(upstream(o.echo()), listener={"trusted_proxies": ["127.0.0.0/8", "10.0.0.0/8"]}),
        [("x-forwarded-for", "6.6.6.6, 203.0.113.9, 10.1.2.3")],
    )
    assert seen.get("x-client-ip") == "203.0.113.9"


@pytest.mark.parametrize("value", ["rubbish", "1.2.3.4.5", "", ",,,", "203.0.113.9, rubbish"])
def test_a_broken_forwarded_for_of_a_trusted_client_does_no_harm(weir, upstream, value):
    up = upstream(o.echo())
    assert weir(up, trusted=True).get(fields=[("X-Forwarded-For", value)]).status in (200, 400)


@pytest.mark.parametrize(
    "name, value, client",
    [
        ("x-forwarded-for", "203.0.113.7:1234", "203.0.113.7"),
        ("x-forwarded-for", "[2001:db8::1]:4711", "2001:db8::1"),
        ("x-forwarded-for", "203.0.113.7,,127.0.0.9", "203.0.113.7"),
        ("forwarded", 'for="[2001:db8::1]:4711";proto=https, for=127.0.0.9', "2001:db8::1"),
    ],
)
def test_the_client_is_found_in_every_form_of_the_list(weir, upstream, ask, name, value, client):
    w = weir(upstream(o.echo()), trusted=True)
    assert ask(w, [(name, value)]).get("x-client-ip") == client
    assert w.metrics().sum("weir_forwarded_unreadable_total") == 0


@pytest.mark.parametrize("field", [("x-forwarded-for", "203.0.113.7, unknown"), ("forwarded", "for=_hidden")])
def test_a_client_that_its_proxy_does_not_name_is_counted(weir, upstream, ask, field):
    w = weir(upstream(o.echo()), trusted=True)
    assert ask(w, [field]).get("x-client-ip") == "127.0.0.1"
    w.wait_for_metric(lambda m: m.sum("weir_forwarded_unreadable_total") == 1)


def test_forwarded_of_an_untrusted_client_is_not_used(weir, upstream, ask):
    seen = ask(weir(upstream(o.echo())), [("forwarded", "for=203.0.113.7;proto=https")])
    assert seen.get("x-client-ip") == "127.0.0.1" and seen.get("x-forwarded-proto") == "http"


def test_x_forwarded_for_in_several_fields_is_one_list(weir, upstream, ask):
    seen = ask(
        weir(upstream(o.echo()), trusted=True),
        [("x-forwarded-for", "203.0.113.8"), ("x-forwarded-for", "203.0.113.9")],
    )
    assert ", ".join(seen.all("x-forwarded-for")) == "203.0.113.8, 203.0.113.9, 127.0.0.1"


def test_the_scheme_is_sent_upstream(weir, upstream):
    up = upstream(o.echo())
    weir(up, tls=True).get()
    assert up.last.headers("x-forwarded-proto") == ["https"]
    weir(up).get()
    assert up.last.headers("x-forwarded-proto") == ["http"]


def test_the_scheme_that_a_trusted_client_says_in_forwarded_goes_on(weir, upstream, ask):
    seen = ask(weir(upstream(o.echo()), trusted=True), [("forwarded", "for=203.0.113.7;proto=https")])
    assert seen.get("x-forwarded-proto") == "https"


def test_every_request_gets_its_own_id(weir, upstream):
    up = upstream(o.echo())
    client = weir(up).connect()
    for _ in range(20):
        client.request()
    ids = {r.header("x-request-id") for r in up.requests}
    assert len(ids) == 20 and all(UUID.match(i) for i in ids)


@pytest.mark.parametrize("mode, value", [("set", "203.0.113.9"), ("off", None)])
def test_client_ip_modes(weir, upstream, mode, value):
    up = upstream(o.echo())
    weir(up, trusted=True, listener={"client_ip": mode}).get(fields=[("X-Forwarded-For", "203.0.113.9")])
    assert up.last.header("x-client-ip") == value


def test_forwarded_for_can_be_switched_off(weir, upstream, ask):
    assert ask(weir(upstream(o.echo()), listener={"forwarded_for": False})).get("x-forwarded-for") is None


def test_a_trusted_client_reads_the_reason_and_others_do_not(weir, upstream):
    down = upstream(listening=False)
    assert weir(down, trusted=True).get().header("x-weir-reason") == "upstream_connect"
    assert weir(down).get().header("x-weir-reason") is None
