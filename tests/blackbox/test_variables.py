"""${variables} of a request: where they have a value, and where they are an error."""

import json

import pytest

from harness import origin as o
from harness import ports
from harness import weir as h


@pytest.fixture
def answering(weir, upstream):
    """answering(answer, **listener): an instance whose one rule answers so."""

    def start(answer, **listener):
        main = {"name": "main", "bind": ["127.0.0.1:%d" % ports.free_port()], "router": "r", **listener}
        routers = {"r": {"rules": [{"answer": {"status": 200, **answer}}]}}
        return weir(config={"listeners": [main], "groups": {"g": {"endpoints": ["127.0.0.1:9"]}}, "routers": routers})

    return start


def test_the_location_of_an_answer_has_variables(answering):
    w = answering({"status": 301, "location": "https://${host}${path}"})
    assert w.get("/a%20b?c=d", host="De.Example.:8080").header("location") == "https://de.example/a%20b"
    with w.connect_h2() as client:
        assert client.request("/x", authority="b.example").header("location") == "https://b.example/x"
    assert w.exchange(b"GET / HTTP/1.0\r\n\r\n").status == 400  # nowhere to go without a host


def test_a_redirect_may_keep_the_query(answering):
    w = answering({"status": 301, "location": "${scheme}://www.example${path_and_query}"})
    assert w.get("/a?b=c&d").header("location") == "http://www.example/a?b=c&d"
    assert w.get("/a").header("location") == "http://www.example/a"


def test_a_location_that_is_a_path_stays_on_this_host(answering):
    w = answering({"status": 301, "location": "${path}/"})
    assert w.get("//evil.example").header("location") == "/evil.example/"
    assert w.get("/ok").header("location") == "/ok/"


def test_the_body_of_an_answer_has_variables(answering):
    w = answering({"body": "${method} ${host} ${path} ${header:X-A}$${host} $$1\n"})
    assert w.get("/p?q", host="a.example", fields=[("X-A", "v")]).text == "GET a.example /p v${host} $$1\n"


def test_values_in_a_body_are_escaped_for_its_type(answering):
    said = [("X-A", '<b>&"\'')]
    html = answering({"type": "text/html", "body": "<p>${header:X-A}</p>"})
    assert html.get(fields=said).text == "<p>&lt;b&gt;&amp;&quot;&#39;</p>"
    js = answering({"type": "application/json", "body": '{"a": "${header:X-A}"}'})
    assert json.loads(js.get(fields=said).text) == {"a": said[0][1]}
    plain = answering({"body": "${header:X-A}"})
    assert plain.get(fields=said).text == said[0][1]


def test_a_location_that_becomes_too_long_is_414(answering):
    w = answering({"status": 301, "location": "https://a/${path}${path}${path}"})
    assert w.get("/" + "x" * 7000).status == 414
    assert w.get("/" + "x" * 100).status == 301


def test_the_time_that_the_upstream_took_can_be_set_in_a_response(weir, upstream):
    def handler(conn, request):
        h.time.sleep(0.05)
        o.respond()(conn, request)

    headers = {
        "response": {"set": {"X-Envoy-Upstream-Service-Time": "${upstream_ms}"}},
        "always": {"set": {"X-Time": "${upstream_ms}"}},
    }
    w = weir(upstream(handler), listener={"headers": headers}, group={"timeouts": {"connect": "300ms"}})
    response = w.get()
    assert 40 <= int(response.header("x-envoy-upstream-service-time")) < 2000
    assert response.header("x-time") == response.header("x-envoy-upstream-service-time")
    bad = w.exchange(b"GET /.. HTTP/1.1\r\nHost: a\r\n\r\n")
    assert bad.status == 400 and bad.header("x-time") == "-"


def test_a_value_that_is_too_long_for_a_field_is_counted(weir, upstream):
    up = upstream(o.echo())
    w = weir(up, listener={"headers": {"request": {"set": {"X-Copy": "${header:X-A}"}}}})
    assert w.get(fields=[("X-A", "a" * 4096)]).status == 200 and up.last.headers("x-copy") == ["a" * 4096]
    assert w.get(fields=[("X-A", "a" * 4097)]).status == 200 and up.last.headers("x-copy") == []
    w.wait_for_metric(lambda m: m.sum("weir_header_rules_skipped_total") == 1)


def test_a_value_from_the_environment_is_only_text(weir, upstream, monkeypatch):
    monkeypatch.setenv("WEIR_TEST_VALUE", "${host} $${x}")
    up = upstream(o.echo())
    w = weir(up, listener={"headers": {"request": {"set": {"X-V": "${WEIR_TEST_VALUE} ${host}"}}}})
    assert w.get(host="a.example").status == 200
    assert up.last.headers("x-v") == ["${host} $${x} a.example"]


# --- mistakes ----------------------------------------------------------------------------------------


CONF = """\
listeners:
  - { name: main, bind: "127.0.0.1:8080", router: r%(listener)s }
groups:
  g: { endpoints: ["127.0.0.1:9"] }
routers:
  r:
    sticky: { key: client-ip, salt: "%(salt)s" }
    rules:
      - { path: /a, group: g%(rule)s }
      - { answer: { status: 200%(answer)s } }
"""


def check(tmp_path, **parts):
    path = tmp_path / "weir.yaml"
    path.write_text(CONF % {"listener": "", "salt": "s", "rule": "", "answer": "", **parts})
    done = h.run("check", "-c", path)
    lines = (done.stdout + done.stderr).replace(str(tmp_path) + "/", "").splitlines()
    return done.returncode, [line for line in lines if line.startswith("weir.yaml:")]


HEADERS = ", headers: { %s: { set: { X: \"${%s}\" } } }"

MISPLACED = {
    "sticky salt": {"salt": "a${host}"},
    "query": {"rule": ', query: { a: "${host}" }'},
    "answer type": {"answer": ', type: "${host}"'},
    "server name": {"listener": ', server_name: "${host}"'},
    "via": {"listener": ', via: "${host}"'},
    "name of a field": {"rule": ', headers: { request: { set: { "${host}": x } } }'},
    "removed field": {"rule": ', headers: { request: { remove: "${host}" } }'},
    "condition": {"rule": ', header: { X: "${host}" }'},
    "pattern": {"rule": ', host: "~${host}"'},
    "method": {"rule": ', method: "${method}"'},
    "name of a rule": {"rule": ', name: "${host}"'},
}


@pytest.mark.parametrize("parts", MISPLACED.values(), ids=MISPLACED.keys())
def test_a_variable_where_none_can_stand_is_one_error(tmp_path, parts):
    code, lines = check(tmp_path, **parts)
    assert code != 0 and "no variable of a request can stand here" in lines[0], lines


WITHOUT_VALUE = {
    "rest in a request field": ({"rule": HEADERS % ("request", "rest")}, "${path}"),
    "upstream_ms in a request field": ({"rule": HEADERS % ("request", "upstream_ms")}, "${client_ip}"),
    "client_ip in a rewrite": ({"rule": ', rewrite: { path: "/${client_ip}" }'}, "${rest}"),
    "tls in the host of a rewrite": ({"rule": ', rewrite: { host: "${tls_version}" }'}, "${header:NAME}"),
    "group in an answer": ({"answer": ', body: "${group}"'}, "${path_and_query}"),
    "rest in a location": ({"answer": ', location: "/${rest}"'}, "${host}"),
}


@pytest.mark.parametrize("parts, offered", WITHOUT_VALUE.values(), ids=WITHOUT_VALUE.keys())
def test_a_variable_without_a_value_in_its_place_is_an_error(tmp_path, parts, offered):
    code, lines = check(tmp_path, **parts)
    assert code != 0 and len(lines) == 1, lines
    assert "variable without a value in this place" in lines[0] and offered in lines[0]


def test_a_mistyped_variable_is_an_error_with_a_suggestion(tmp_path):
    code, lines = check(tmp_path, answer=', body: "${hots}"')
    assert code != 0 and len(lines) == 1, lines
    assert 'unknown variable: "${hots}"' in lines[0] and 'did you mean "host"?' in lines[0]


def test_variables_inside_each_other_are_an_error(tmp_path):
    for body in ("${WEIR_NONE:-${host}}", "${WEIR_NONE:-$${host}}", "${header:${host}}"):
        code, lines = check(tmp_path, answer=', body: "%s"' % body)
        assert code != 0 and len(lines) == 1 and "a variable inside another one" in lines[0], lines


@pytest.mark.parametrize("place", ["request", "response", "always"])
def test_every_listed_variable_has_its_place(tmp_path, place):
    names = ["method", "host", "path", "path_and_query", "scheme", "http_version", "http_protocol", "is_h2", "client_ip",
             "client_port", "request_id", "tls_version", "tls_cipher", "tls_cipher_short", "tls_curve", "tls_auth",
             "tls_resumed", "tls_session", "group", "side", "service", "datacenter", "why", "bucket", "share",
             "header:x-a"] + (["upstream_ms"] if place != "request" else [])  # fmt: skip
    for name in names:
        code, lines = check(tmp_path, rule=HEADERS % (place, name))
        assert code == 0, lines


def test_an_escaped_variable_is_text_everywhere(tmp_path):
    code, lines = check(
        tmp_path,
        salt="a$${host}",
        rule=', name: "$${x}", headers: { request: { set: { X: "$${rest}" } } }',
        answer=', body: "$${group}", location: "/$${rest}"',
    )
    assert code == 0, lines
