"""The decision does not depend on how a path, a query or a host is spelled, nor on the protocol."""

import json

import pytest

from harness import origin as o
from harness import ports
from harness.weir import run

RULES = """
  - { name: pipe, path: "/w/a|b", answer: 403 }
  - { name: quote, path: "/w/%22q%22", answer: 403 }
  - { name: export, path: "/wiki/Special:Export", group: a }
  - { name: umlaut, path: "/wiki/\u00c4", group: a }
  - { name: umlaut-encoded, path: "/wiki/%c3%b6", group: a }
  - { name: space, path: "/wiki/Main%20Page", group: a }
  - { name: star, path: "=/wiki/%2A", group: a }
  - { name: percent, path: "=/wiki/100%25", group: a }
  - { name: slash-text, path: "/wiki/AC%2fDC", group: a }
  - { name: letter, path: "/%6cetter", group: a }
  - { name: pattern, path: "~/pattern/[a-z]+%7C\u00e4[.]png", group: a }
  - { name: pattern-slash, path: "~/pattern/x%2fy", group: a }
  - { name: pattern-denies, path: "~/secret/.*", answer: 404 }
  - { name: admin, path: /admin, answer: 403 }
  - { name: below, path: "/private/*", answer: 410 }
  - { name: exact, path: "=/exact", answer: 451 }
  - { name: redirect, path: /moved, answer: { status: 302, location: "/" } }
  - { name: query, path: /q, query: { "n%5B%5D": "a|b%26" }, group: a }
  - { name: query-plus, path: /q, query: { plus: "c+d" }, group: a }
  - { name: query-prefix, path: /q, query: { title: "Special:*" }, group: a }
  - { name: query-umlaut, path: /q, query: { title: "\u00c4" }, group: a }
  - { name: when, path: /when, group: a, rewrite: { when: { path: "/when/a:b" }, path: "/rewritten" } }
  - { name: rest, group: b }
"""

# target: name of the rule
DECIDED = {
    "/w/a|b": "pipe",
    "/w/a%7Cb": "pipe",
    "/w/%61%7cb": "pipe",
    '/w/"q"': "quote",
    "/w/%22q%22/x": "quote",
    "/wiki/Special:Export": "export",
    "/wiki/Special%3AExport": "export",
    "/wiki/Special%3aExport/X": "export",
    "/wiki/%C3%84": "umlaut",
    "/wiki/%c3%84": "umlaut",
    "/wiki/%C3%84/x": "umlaut",
    "/wiki/%C3%B6": "umlaut-encoded",
    "/wiki/Main%20Page": "space",
    "/wiki/Main+Page": "rest",
    "/wiki/*": "star",
    "/wiki/%2a": "star",
    "/wiki/100%25": "percent",
    "/wiki/100%": "percent",
    "/wiki/AC%2FDC": "slash-text",
    "/wiki/AC%2fDC/x": "slash-text",
    "/wiki/AC/DC": "rest",
    "/wiki/AC%252FDC": "rest",
    "/letter": "letter",
    "/l%65tter": "letter",
    "/pattern/xyz%7C%c3%a4.png": "pattern",
    "/pattern/xyz|%C3%A4%2Epng": "pattern",
    "/pattern/x%2Fy": "pattern-slash",
    "/pattern/x/y": "rest",
    "/secret/x": "pattern-denies",
    "/secret%2Fx": "pattern-denies",
    "/%5csecret/x": "pattern-denies",
    "/admin": "admin",
    "/%61dmin/x": "admin",
    "/admin%2fx": "admin",
    "/%2Fadmin": "admin",
    "/%2F%2fadmin%2F": "admin",
    "/\\admin/x": "admin",
    "/%5Cadmin": "admin",
    "/admin\\x": "admin",
    "/admin;x": "rest",
    "/admin%252fx": "rest",
    "/Admin": "rest",
    "/private%2Fx": "below",
    "/private%2F": "below",
    "/private": "rest",
    "/exact": "exact",
    "/%2Fexact": "exact",
    "/exact%2F": "rest",
    "/moved": "redirect",
    "/moved%2Fx": "rest",  # a redirect does no harm: one reading
    "/q?n[]=a|b%26": "query",
    "/q?n%5b%5D=%61%7Cb%26": "query",
    "/q?n[]=a%7Cb": "rest",
    "/q?plus=c+d": "query-plus",
    "/q?plus=c%20d": "query-plus",
    "/q?plus=c%2Bd": "query-plus",
    "/q?title=Special%3aX": "query-prefix",
    "/q?%74itle=Special:": "query-prefix",
    "/q?title=%c3%84": "query-umlaut",
    "/q?x=1&title=x&title=%C3%84": "query-umlaut",
}

REFUSED = ["/admin//../x", "/%2fadmin/../x", "/x%5cy/../z", "/a/;/../b"]


def config_of(up_a, up_b, extra=""):
    return """
listeners: [{ name: main, bind: ["127.0.0.1:%d"], router: r }]
groups: { a: { endpoints: ["%s"] }, b: { endpoints: ["%s"] } }
routers: { r: { %s rules: [] } }
""" % (ports.free_port(), up_a, up_b, extra)


def write_config(weir, tmp_path, up_a, up_b, extra=""):
    import yaml

    config = dict(weir.surroundings(tmp_path))
    config.update(yaml.safe_load(config_of(up_a, up_b, extra)))
    rules = yaml.safe_load("rules:\n" + RULES)["rules"]
    for rule in rules:
        rule.setdefault("headers", {"always": {"set": {"X-Rule": rule["name"]}}})
    config["routers"]["r"]["rules"] = rules
    config["routers"]["r"].setdefault("services", {})
    return config


@pytest.fixture
def site(weir, upstream, tmp_path):
    up = upstream(o.echo())
    return weir(config=write_config(weir, tmp_path, up.address, up.address))


def test_every_spelling_is_decided_alike_by_h1_h2_and_the_tools(site, tmp_path):
    with site.connect() as client:
        h1 = {target: client.request(target).header("x-rule") for target in DECIDED}
    with site.connect_h2() as client:
        h2 = {target: client.request(target).header("x-rule") for target in DECIDED}
    lines = "".join(json.dumps({"url": "http://wiki.example" + target}) + "\n" for target in DECIDED)
    answers = run("route", "-c", site.config_file, "--stdin", stdin=lines).stdout.splitlines()
    tools = {target: json.loads(answer)["rule"] for target, answer in zip(DECIDED, answers)}
    assert h1 == DECIDED
    assert h2 == DECIDED
    assert tools == DECIDED


def test_the_path_that_travels_is_the_one_that_came(site):
    with site.connect() as client:
        for target in ("/wiki/Special%3aExport", "/l%65tter", "/a%2fb", "/x/%2e/y", "//x", "/100%"):
            assert json.loads(client.request(target).body)["target"] == target


def test_a_rewrite_looks_at_the_decoded_path(site):
    with site.connect() as client:
        assert json.loads(client.request("/when/a%3Ab").body)["target"] == "/rewritten"
        assert json.loads(client.request("/when/a:c").body)["target"] == "/when/a:c"


def test_paths_that_servers_resolve_differently_are_refused_by_the_tools_too(site):
    for target in REFUSED:
        assert site.get(target).status == 400, target
        answer = json.loads(run("route", "-c", site.config_file, "--json", "http://wiki.example" + target).stdout)
        assert (answer["status"], answer["why"]) == (400, "bad_path"), target


def test_the_normal_form_can_be_sent(weir, upstream, tmp_path):
    up = upstream(o.echo())
    site = weir(config=write_config(weir, tmp_path, up.address, up.address, extra="normalize_path: forward,"))
    sent = {
        "/%6cetter": "/letter",
        "/x/..//y/%2e/z": "/y/z",
        "/a%3ab%2fc?d=%61/../": "/a%3Ab%2Fc?d=%61/../",
        "/x\\y|z": "/x%5Cy%7Cz",
        "/100%": "/100%25",
        "/plain?q": "/plain?q",
    }
    with site.connect() as client:
        assert {t: json.loads(client.request(t).body)["target"] for t in sent} == sent


def test_the_rest_of_a_path_cannot_climb_out_of_a_rewrite(weir, upstream):
    up = upstream(o.echo())
    site = weir(
        config={
            "listeners": [{"name": "main", "bind": ["127.0.0.1:%d" % ports.free_port()], "router": "r"}],
            "groups": {"a": {"endpoints": [up.address]}},
            "routers": {
                "r": {
                    "rules": [
                        {"path": "/api", "group": "a", "rewrite": {"path": "/internal/public/${rest}"}},
                        {"path": "/head", "group": "a", "rewrite": {"path": "/internal/${header:X-Path}"}},
                        {"path": "/\u00c4%2f", "group": "a", "rewrite": {"path": "/umlaut/${rest}"}},
                    ]
                }
            },
        }
    )
    sent = {
        "/api/x": "/internal/public/x",
        "/api": "/internal/public/",
        "/api/../api/secret": "/internal/public/secret",
        "/api/%2e%2e/api/secret": "/internal/public/secret",
        "/x/../api/./b//c": "/internal/public/b/c",
        "//api//x": "/internal/public/x",
        "/%61pi/a%3ab%2fc": "/internal/public/a%3ab%2fc",
        "/%C3%84%2F/x": "/umlaut/x",
        "/%c3%84%2f": "/umlaut/",
    }
    with site.connect() as client:
        assert {t: json.loads(client.request(t).body)["target"] for t in sent} == sent
        for value in ("../../secret", "%2e%2e/.%2E/x", "..;/x"):
            answer = client.request("/head", fields=[("X-Path", value)])
            assert json.loads(answer.body)["target"] == "/head", value


@pytest.mark.parametrize(
    "path, problem",
    [
        ("/a//b", "empty segment"),
        ("/a/%2e%2e/b", "empty segment"),
        ("/a%00b", "can never match"),
        ("/a/..;x/b", "can never match"),
        ("/a/..%2fb", "can never match"),
        ("/a%zz", "broken percent-encoding"),
        ("/a b", "percent-encoded"),
        ("~wiki/.*", "can never match"),
        ("~/wiki/[\u00e4\u00f6].*", "beyond ASCII"),
        ("~/wiki/\u00e4?", "beyond ASCII"),
        ("~/wiki/[%c3%a4]", "beyond ASCII"),
    ],
)
def test_a_path_that_can_never_match_is_an_error(tmp_path, path, problem):
    config = tmp_path / "weir.yaml"
    config.write_text(
        config_of("127.0.0.1:1", "127.0.0.1:1").replace("rules: []", "rules: [{ path: '%s', group: a }, { group: b }]" % path)
    )
    checked = run("check", "-c", config)
    assert checked.returncode == 1
    assert problem in checked.stderr


@pytest.mark.parametrize("path", ["/wiki/Special:OAuth/initiate", "/wiki/Special%3AOAuth%2Finitiate",
                                  "/wiki/Special:OAuth%2finitiate", "/wiki/Special:OAuth\\initiate",
                                  "/wiki%2FSpecial:OAuth/initiate/x"])  # fmt: skip
def test_either_reading_sends_a_request_to_the_primary(tmp_path, path):
    config = tmp_path / "weir.yaml"
    config.write_text(
        """
datacenters: { local: here, primary: there }
listeners: [{ name: main, bind: "127.0.0.1:0", router: r }]
groups: { old: { port: 80, hosts: { ro: a, rw: b } } }
routers:
  r:
    services: { s: { group: old, multi_dc: true } }
    rules: [{ service: s }]
    multi_dc:
      mode: local
      primary_if: [{ name: oauth, path: "/wiki/Special:OAuth/initiate" }]
"""
    )
    answer = json.loads(run("route", "-c", config, "--json", "http://wiki.example" + path).stdout)
    assert answer["datacenter"] == "there"


# --- fields ------------------------------------------------------------------------------------------

FIELD_RULES = """
  - { name: host, header: { Host: A.Example }, group: a }
  - { name: host-prefix, header: { Host: "Begin*" }, group: a }
  - { name: literal, header: { Host: "[2001:DB8::1]" }, group: a }
  - { name: websocket, header: { Upgrade: websocket }, group: a }
  - { name: h2c, header: { Upgrade: h2c }, answer: 403 }
  - { name: named, header: { X-Named: "*" }, group: a }
  - { name: connection, header: { Connection: "keep*" }, group: a }
  - { name: te, header: { TE: "gzip*" }, group: a }
  - { name: te-trailers, header: { TE: trailers }, group: a }
  - { name: keep-alive, header: { Keep-Alive: "*" }, group: a }
  - { name: proxy-connection, header: { Proxy-Connection: "*" }, group: a }
  - { name: proxy-authorization, header: { Proxy-Authorization: "*" }, group: a }
  - { name: settings, header: { HTTP2-Settings: "*" }, group: a }
  - { name: cookies, header: { Cookie: "a=1; b=2" }, group: a }
  - { name: id, header: { X-Request-Id: "*" }, group: a }
  - { name: forwarded-for, header: { X-Forwarded-For: "*" }, group: a }
  - { name: client-ip, header: { X-Client-IP: "*" }, group: a }
  - { name: proto, header: { X-Forwarded-Proto: "*" }, group: a }
  - { name: via, header: { Via: "*" }, group: a }
  - { name: chunked, header: { Transfer-Encoding: "*" }, group: a }
  - { name: rest, group: b }
"""

# fields, host, rule, whether HTTP/2 can say it
FIELDS = [
    ([], "a.example", "host", True),
    ([], "A.EXAMPLE:8080", "host", True),
    ([], "a.example.", "host", True),
    ([], "beginning.example:1", "host-prefix", True),
    ([], "[2001:db8::1]:443", "literal", True),
    ([], "b.example", "rest", True),
    ([("Connection", "Upgrade"), ("Upgrade", "websocket")], "x", "websocket", False),
    ([("Upgrade", "h2c")], "x", "h2c", False),
    ([("Connection", "close, X-Named"), ("X-Named", "1")], "x", "named", False),
    ([("Connection", "keep-alive")], "x", "connection", False),
    ([("TE", "gzip, trailers")], "x", "te", False),
    ([("TE", "trailers")], "x", "te-trailers", True),
    ([("Keep-Alive", "timeout=5")], "x", "keep-alive", False),
    ([("Proxy-Connection", "close")], "x", "proxy-connection", False),
    ([("Proxy-Authorization", "Basic x")], "x", "proxy-authorization", True),
    ([("HTTP2-Settings", "x")], "x", "settings", False),
    ([("Cookie", "a=1; b=2")], "x", "cookies", True),
    ([("Cookie", "a=1"), ("Cookie", "b=2")], "x", "cookies", True),
    ([("X-Request-Id", "x")], "x", "rest", True),  # nothing that weir adds, or takes from strangers, counts
    ([("X-Forwarded-For", "192.0.2.1")], "x", "rest", True),
    ([("X-Client-IP", "192.0.2.1")], "x", "rest", True),
    ([], "x", "rest", True),
]


def fields_site(weir, upstream, tmp_path, **listener):
    import yaml

    up = upstream(o.echo())
    config = write_config(weir, tmp_path, up.address, up.address)
    config["listeners"][0].update(listener)
    config["routers"]["r"]["rules"] = yaml.safe_load("rules:\n" + FIELD_RULES)["rules"]
    for rule in config["routers"]["r"]["rules"]:
        rule["headers"] = {"always": {"set": {"X-Rule": rule["name"], "X-Host": "${header:Host}"}}}
    return weir(config=config)


def test_conditions_see_the_fields_as_they_came(weir, upstream, tmp_path):
    site = fields_site(weir, upstream, tmp_path)
    for fields, host, rule, is_h2 in FIELDS:
        answer = site.get("/", host=host, fields=fields)
        assert answer.header("x-rule") == rule, (fields, host)
        if is_h2:
            with site.connect_h2(authority=host) as client:
                assert client.request("/", fields=fields).header("x-rule") == rule, (fields, host)
        arguments = [part for name, value in fields for part in ("-H", "%s: %s" % (name, value))]
        told = run("route", "-c", site.config_file, "--json", "--client", "127.0.0.1", *arguments, "http://%s/" % host)
        assert json.loads(told.stdout)["rule"] == rule, (fields, host)
    chunked = site.exchange(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
    assert chunked.header("x-rule") == "chunked"


@pytest.mark.parametrize("names", ["X-Forwarded-For", "close, Host", "Cookie", "a b"])
def test_a_connection_field_that_is_refused_is_refused_by_the_tools(weir, upstream, tmp_path, names):
    site = fields_site(weir, upstream, tmp_path)
    assert site.get("/", fields=[("Connection", names)]).status == 400
    told = json.loads(run("route", "-c", site.config_file, "--json", "-H", "Connection: " + names, "http://x/").stdout)
    assert (told["status"], told["why"]) == (400, "bad_connection")


def test_a_trusted_client_may_be_routed_by_forwarding_fields(weir, upstream, tmp_path):
    site = fields_site(weir, upstream, tmp_path, trusted_proxies=["127.0.0.0/8"])
    assert site.get("/", host="x").header("x-rule") == "rest"
    for name, rule in (("X-Request-Id", "id"), ("X-Forwarded-For", "forwarded-for"), ("Via", "via")):
        assert site.get("/", host="x", fields=[(name, "1.1 x")]).header("x-rule") == rule


def test_host_is_a_field_in_both_protocols(weir, upstream, tmp_path):
    site = fields_site(weir, upstream, tmp_path)
    assert site.get("/", host="B.Example:80").header("x-host") == "b.example"
    with site.connect_h2(authority="B.Example:80") as client:
        assert client.request("/").header("x-host") == "b.example"


def test_a_rate_limit_by_host_counts_hosts_in_both_protocols(weir, upstream, tmp_path):
    limit = {"rate": "1/h", "key": "header:Host"}
    site = fields_site(weir, upstream, tmp_path, rate_limit=limit)
    assert site.get("/", host="one.example").status == 200
    assert site.get("/", host="ONE.example:80").status == 429
    for host, status in (("one.example", 429), ("two.example", 200), ("two.example.", 429), ("three.example", 200)):
        with site.connect_h2(authority=host) as client:
            assert client.request("/").status == status, host


def test_a_split_that_sticks_to_host_does_not_depend_on_the_protocol(weir, upstream, tmp_path):
    up_a, up_b = upstream(o.respond(body=b"legacy")), upstream(o.respond(body=b"k8s"))
    config = write_config(weir, tmp_path, up_a.address, up_b.address)
    config["routers"]["r"] = {
        "services": {"s": {"legacy": "a", "k8s": "b"}},
        "rules": [{"service": "s"}],
        "split": {"default": "50%"},
        "sticky": {"key": ["header:Host"]},
    }
    site = weir(config=config)
    seen = set()
    for i in range(12):
        host = "w%d.example" % i
        lower, upper = site.get("/", host=host).text, site.get("/", host=host.upper() + ":80").text
        with site.connect_h2(authority=host) as client:
            assert lower == upper == client.request("/").text, host
        told = run("route", "-c", site.config_file, "--json", "http://%s/" % host)
        assert json.loads(told.stdout)["side"] == lower
        seen.add(lower)
    assert seen == {"legacy", "k8s"}


@pytest.mark.parametrize("mode, is_warned", [("drop", True), ("reject", True), ("keep", False)])
def test_a_condition_on_a_field_that_never_arrives_is_a_warning(tmp_path, mode, is_warned):
    config = tmp_path / "weir.yaml"
    text = config_of("127.0.0.1:1", "127.0.0.1:1").replace("router: r }", "router: r, odd_names: %s }" % mode)
    config.write_text(text.replace("rules: []", "rules: [{ header: { X_A: '1' }, group: a }, { group: b }]"))
    checked = run("check", "-c", config)
    assert checked.returncode == 0
    assert ('no request has the field "x_a"' in checked.stdout + checked.stderr) == is_warned


def test_a_port_in_a_condition_on_host_is_an_error(tmp_path):
    config = tmp_path / "weir.yaml"
    text = config_of("127.0.0.1:1", "127.0.0.1:1")
    config.write_text(text.replace("rules: []", "rules: [{ header: { Host: 'a.example:80' }, group: a }, { group: b }]"))
    checked = run("check", "-c", config)
    assert checked.returncode == 1 and "without port" in checked.stderr
