"""Header rules: those under `always` apply to every response, those under `response` only to upstream responses."""

import pytest

from harness import origin as o
from harness import ports
from harness import weir as h

HEADERS = {
    "response": {"set": {"Cache-Control": "public"}},
    "always": {
        "set": {"Strict-Transport-Security": "max-age=31536000", "Server": "edge", "X-Client": "${client_ip}"},
        "set_if_absent": {"X-Frame-Options": "DENY"},
        "add": {"X-Served": "weir"},
    },
}


def ask(w, protocol, path="/", **request):
    """One request by h1 or h2, on a connection of its own."""
    if protocol == "h1":
        return w.get(path, **request)
    return w.connect_h2().request(path, **request)


def values(response, name):
    """All values of a field, in the spelling of either protocol."""
    return [value for field, value in response.fields if field.lower() == name]


def check_always(response):
    assert values(response, "strict-transport-security") == ["max-age=31536000"]
    assert values(response, "server") == ["edge"]
    assert values(response, "x-client") == ["127.0.0.1"]
    assert values(response, "x-frame-options") == ["DENY"]
    assert values(response, "x-served") == ["weir"]
    assert len(values(response, "date")) == 1


@pytest.fixture
def site(weir, upstream):
    """A router whose rules end in all the ways that a request can end."""
    up = upstream(o.respond(fields=[("X-Frame-Options", "SAMEORIGIN")]))
    directory = "127.0.0.1:%d"

    def start(headers=HEADERS, rules=(), **listener):
        main = {
            "name": "main",
            "bind": [directory % ports.free_port()],
            "router": "r",
            "headers": headers,
            "server_name": "default",
            "trusted_proxies": ["127.0.0.0/8"],
            "limits": {"max_uri_bytes": 2048, "max_header_bytes": 4096, "max_line_bytes": 4096},
            **listener,
        }
        return weir(
            config={
                "listeners": [main, {"name": "plain", "bind": [directory % ports.free_port()], "redirect_to_https": True, "headers": headers}],
                "groups": {"backend": {"endpoints": [up.address]}, "nobody": {"endpoints": [directory % ports.free_port()]}},
                "routers": {
                    "r": {
                        "services": {"web": {"group": "backend", "debug": True}, "down": "nobody"},
                        "debug": {"header": "X-Wikimedia-Debug", "backends": {"known": "backend"}, "unknown": 400},
                        "rules": list(rules)
                        + [
                            {"path": "/ok", "service": "web"},
                            {"path": "/down", "service": "down"},
                            {"path": "/gone", "answer": {"status": 410, "body": "gone"}},
                            {"path": "/moved", "answer": {"status": 301, "location": "https://wiki.example/"}},
                            {"path": "/limited", "rate_limit": {"rate": "1/h", "burst": 1}, "service": "web"},
                        ],
                    }
                },
            }
        )

    return start


@pytest.mark.parametrize("protocol", ["h1", "h2"])
@pytest.mark.parametrize("path, status", [("/nothing", 404), ("/down", 502), ("/gone", 410), ("/moved", 301), ("/..%2f", 400)])
def test_what_weir_answers_itself_says_it_too(site, protocol, path, status):
    response = ask(site(), protocol, path)
    assert response.status == status
    check_always(response)
    assert values(response, "cache-control") == [], "that is for what the upstream says"


@pytest.mark.parametrize("protocol", ["h1", "h2"])
def test_too_many_requests(site, protocol):
    w = site()
    responses = [ask(w, protocol, "/limited") for _ in range(3)]
    assert responses[-1].status == 429
    check_always(responses[-1])
    assert values(responses[-1], "retry-after")


@pytest.mark.parametrize("protocol", ["h1", "h2"])
def test_an_unknown_debug_backend(site, protocol):
    response = ask(site(), protocol, "/ok", fields=[("X-Wikimedia-Debug", "backend=other")])
    assert response.status == 400 and b"known" in response.body
    check_always(response)


@pytest.mark.parametrize("protocol", ["h1", "h2"])
def test_the_redirect_to_https(site, protocol):
    w = site()
    client = w.connect("plain") if protocol == "h1" else w.connect_h2("plain")
    response = client.request("/x")
    assert response.status == 308
    check_always(response)
    assert values(response, "location") == ["https://wiki.example/x"]


@pytest.mark.parametrize("protocol", ["h1", "h2"])
def test_head_gets_the_same_fields_and_no_body(site, protocol):
    response = ask(site(), protocol, "/nothing", method="HEAD")
    assert response.status == 404 and response.body == b""
    check_always(response)


@pytest.mark.parametrize("protocol", ["h1", "h2"])
def test_what_no_rule_ever_saw(site, protocol):
    """The codec refuses these before there is a request to decide on."""
    w = site()
    for path, fields, status in (("/" + "x" * 2500, [], 414), ("/", [("X-A%d" % i, "y" * 500) for i in range(9)], 431)):
        response = ask(w, protocol, path, fields=fields)
        assert response.status == status
        check_always(response)


@pytest.mark.parametrize("data, status", [(b"rubbish\r\n\r\n", 400), (b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", 501)])
def test_what_is_not_http(site, data, status):
    response = site().exchange(data)
    assert response.status == status
    check_always(response)
    assert values(response, "connection") == ["close"]


def test_a_head_that_comes_too_slowly(site):
    client = site(timeouts={"header": "300ms"}).connect()
    client.send(b"GET / HT")
    response = client.read()
    assert response.status == 408
    check_always(response)


@pytest.mark.parametrize("protocol", ["h1", "h2"])
def test_the_upstreams_response_gets_both(site, protocol):
    response = ask(site(), protocol, "/ok")
    assert response.status == 200
    assert values(response, "cache-control") == ["public"]
    assert values(response, "server") == ["edge"]
    assert values(response, "strict-transport-security") == ["max-age=31536000"]
    assert values(response, "x-frame-options") == ["SAMEORIGIN"]
    assert values(response, "x-served") == ["weir"]


@pytest.mark.parametrize("protocol", ["h1", "h2"])
def test_those_of_the_rule_come_after_those_of_the_listener(site, protocol):
    rule = {
        "path": "/own",
        "answer": {"status": 410, "body": "gone"},
        "headers": {"always": {"remove": "X-Served", "set": {"Server": "rule", "X-Path": "${method} ${path}"}, "append": {"X-Frame-Options": "again"}}},
    }
    response = ask(site(rules=[rule]), protocol, "/own?q")
    assert response.status == 410 and response.body == b"gone"
    assert values(response, "server") == ["rule"]
    assert values(response, "x-path") == ["GET /own"]
    assert values(response, "x-served") == []
    assert values(response, "x-frame-options") == ["DENY, again"]


def test_variables_of_an_unreadable_request_are_empty(site):
    w = site(headers={"always": {"set": {"X-About": "<${method}${host}${path}${header:user-agent}${group}>"}}})
    response = w.exchange(b"rubbish\r\n\r\n")
    assert response.status == 400
    assert values(response, "x-about") == ["<->"]
    assert values(w.get("/ok"), "x-about") == ["<GETwiki.example/okbackend>"]


def test_framing_is_not_for_rules_here_either(tmp_path):
    path = tmp_path / "edge.yaml"
    path.write_text(
        "listeners:\n"
        "  - name: main\n"
        "    bind: ['127.0.0.1:0']\n"
        "    redirect_to_https: true\n"
        "    headers:\n"
        "      always:\n"
        "        set: { Content-Length: '5' }\n"
        "        remove_untrusted: X\n"
        "groups: { backend: { endpoints: ['127.0.0.1:8081'] } }\n"
    )
    done = h.run("check", "-c", path)
    assert done.returncode == 1
    assert 'edge.yaml:7:16: "Content-Length" is not for rules to change' in done.stderr + done.stdout
    assert "edge.yaml:8:9: " in done.stderr + done.stdout
