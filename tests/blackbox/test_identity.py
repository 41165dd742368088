"""Names and paths that servers interpret differently are refused or removed."""

import pytest

from harness import origin as o
from harness.client import request_bytes

ODD = ["X_Wikimedia_Debug", "x_forwarded_for", "X.Client.IP", "Content_Length", "a!b"]


@pytest.mark.parametrize("name", ODD)
def test_odd_header_names_are_dropped(weir, upstream, name):
    up = upstream(o.echo())
    w = weir(up)
    response = w.exchange(b"GET / HTTP/1.1\r\nHost: a\r\nX-Plain: 1\r\n%s: 2\r\n\r\n" % name.encode())
    assert response.status == 200
    assert up.last.header("x-plain") == "1"
    assert up.last.header(name) is None
    w.wait_for_metric(lambda m: m.sum("weir_odd_names_dropped_total") == 1)


def test_odd_header_names_are_dropped_from_h2_too(weir, upstream):
    up = upstream(o.echo())
    client = weir(up).connect_h2()
    assert client.request(fields=[("x_wikimedia_debug", "1"), ("x-plain", "1")]).status == 200
    assert up.last.header("x-plain") == "1"
    assert up.last.header("x_wikimedia_debug") is None


def test_odd_header_names_can_be_refused(weir, upstream):
    up = upstream(o.echo())
    w = weir(up, listener={"odd_names": "reject"})
    response = w.exchange(b"GET / HTTP/1.1\r\nHost: a\r\nX_Y: 2\r\n\r\n")
    assert response.status == 400 and response.closes
    w.wait_for_reason("odd_name")
    assert not up.requests
    assert w.get().status == 200


def test_odd_header_names_can_be_kept(weir, upstream):
    up = upstream(o.echo())
    w = weir(up, listener={"odd_names": "keep"})
    assert w.exchange(b"GET / HTTP/1.1\r\nHost: a\r\nX_Y: 2\r\n\r\n").status == 200
    assert up.last.header("x_y") == "2"


def test_odd_trailer_names_are_dropped(weir, upstream):
    up = upstream(o.echo())
    w = weir(up)
    response = w.exchange(
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTE: trailers\r\nTrailer: x\r\n\r\n"
        b"1\r\na\r\n0\r\nX_Odd: 1\r\nX-Even: 2\r\n\r\n"
    )
    assert response.status == 200
    assert "x_odd" not in str(up.last.trailers).lower()


# --- paths ---------------------------------------------------------------------------------------------


REFUSED = [
    "/..", "/../x", "/a/../../x", "/%2e%2e/x", "/a/%2E%2e/.%2e/x", "//../x", "/./../x",
    "/a%00b", "/%00", "/a/..%0d", "/..%7F/x",
    "/pub/..;/admin", "/pub/..;p=1/admin", "/pub/.;/admin", "/pub/%2e%2e;/admin",
    "/pub//../admin", "/pub//./%2e%2e/admin", "/pub//a/../../admin", "/pub/;/../admin",
    "/pub%2fa/../admin", "/pub\\a/../admin", "/pub%5Ca/../admin",
    "/pub/..\\admin", "/pub/x\\..\\..\\admin", "/pub/..%5cadmin", "/pub/..%2fadmin", "/pub/%2e%2e%2Fadmin",
]  # fmt: skip


@pytest.mark.parametrize("protocol", ["h1", "h2"])
def test_paths_that_climb_or_hide_are_400(weir, upstream, protocol):
    up = upstream(o.echo())
    w = weir(up)
    for path in REFUSED:
        if protocol == "h1":
            assert w.exchange(request_bytes(path)).status == 400, path
        else:
            with w.connect_h2() as client:
                answer = client.request(path)
                assert answer.status == 400 or answer.reset, path
    assert not up.requests
    w.wait_for_reason("bad_target", count=len(REFUSED))


# path: the rule that must match it
MATCHED = {
    "/pub/x": "pub",
    "/pub//x": "pub",
    "//pub/x": "pub",
    "/pu%62/x": "pub",
    "/x/../pub/y": "pub",
    "/pub/%252e%252e/admin": "pub",  # one escape is undone, not two
    "/pub/a;b=c": "pub",
    "/pub/%2e%2e/admin": "admin",
    "/pub/../admin": "admin",
    "/pub/./../admin/x": "admin",
    "/%61dmin": "admin",
    "/%2561dmin": "other",
    "/pub%2fx": "other",
    "/pub;a/x": "other",
    "/pub\\x": "other",
}


def test_the_form_that_is_matched_is_the_one_that_servers_see(weir, upstream):
    ups = {name: upstream(o.respond(body=name.encode())) for name in ("pub", "admin", "other")}
    from harness import ports

    w = weir(
        config={
            "listeners": [
                {"name": "main", "bind": ["127.0.0.1:%d" % ports.free_port()], "router": "r", "show_group": True}
            ],
            "groups": {name: {"endpoints": [up.address]} for name, up in ups.items()},
            "routers": {
                "r": {
                    "services": {name: name for name in ups},
                    "rules": [
                        {"path": "/pub/*", "service": "pub"},
                        {"path": ["/admin", "/admin/*"], "service": "admin"},
                        {"service": "other"},
                    ],
                }
            },
        }
    )
    client = w.connect()
    got = {path: client.request(path).header("x-weir-group") for path in MATCHED}
    assert got == MATCHED
    for name, up in ups.items():  # and the original is what travels
        assert [r.target for r in up.requests] == [p for p in MATCHED if MATCHED[p] == name]


# --- hosts ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [404, 421])
def test_unknown_hosts_are_not_served_by_accident(weir, upstream, tmp_path, status):
    from harness import ports

    up = upstream(o.echo())
    (tmp_path / "closed.dblist").write_text("old.wiki.example\n")
    w = weir(
        config={
            "listeners": [{"name": "main", "bind": ["127.0.0.1:%d" % ports.free_port()], "router": "r"}],
            "groups": {"g": {"endpoints": [up.address]}, "h": {"endpoints": [up.address]}},
            "routers": {
                "r": {
                    "unknown_host": status,
                    "services": {"web": {"legacy": "g", "k8s": "h"}},
                    "rules": [
                        {"host": ["api.example", "*.tools.example"], "service": "web"},
                        {"service": "web"},
                    ],
                    "split": {"default": "50%", "wikis": [{"hosts": ["en.wiki.example"], "k8s": "100%"}]},
                }
            },
        }
    )

    def ask(host):
        return w.exchange(b"GET / HTTP/1.1\r\nHost: %s\r\n\r\n" % host.encode()).status

    for host in ("api.example", "API.example:8080", "a.tools.example", "en.wiki.example", "en.m.wiki.example", "en.wiki.example."):
        assert ask(host) == 200, host
    before = len(up.requests)
    unknown = ("127.0.0.1", "[::1]", "evil.example", "wiki.example", "tools.example", "xen.wiki.example", "evil.m.example")
    for host in unknown:
        assert ask(host) == status, host
    assert w.exchange(b"GET / HTTP/1.0\r\n\r\n").status == status
    assert len(up.requests) == before
    w.wait_for_reason("unknown_host", count=len(unknown) + 1)


def test_no_site_is_the_one_for_all_others(weir, upstream):
    """A request that no rule matches is not served: there is no default site."""
    from harness import ports

    up = upstream(o.echo())
    for order in (["a.example", "b.example"], ["b.example", "a.example"]):
        w = weir(
            config={
                "listeners": [{"name": "main", "bind": ["127.0.0.1:%d" % ports.free_port()], "router": "r"}],
                "groups": {"g": {"endpoints": [up.address]}},
                "routers": {"r": {"rules": [{"host": host, "group": "g"} for host in order]}},
            }
        )
        for host in order:
            assert w.get(host=host).status == 200
        before = len(up.requests)
        for host in ("c.example", "127.0.0.1", "localhost", "x.a.example", "a.example.evil.example", "a.exampleb.example"):
            assert w.get(host=host).status == 404, host
        assert w.exchange(b"GET / HTTP/1.0\r\n\r\n").status == 404
        for lines in ("a.example:443@evil", "evil@a.example", "a.example, b.example", "a.example\r\nHost: b.example"):
            assert w.exchange(b"GET / HTTP/1.1\r\nHost: %s\r\n\r\n" % lines.encode()).status == 400, lines
        assert len(up.requests) == before
        w.wait_for_reason("no_rule", count=7)
