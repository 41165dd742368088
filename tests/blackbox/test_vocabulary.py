"""The access log, the metrics, the configuration status and `weir route` use the same names."""

import json

import pytest

from harness import origin as o
from harness import ports
from harness.weir import run

SAME = ["service", "side", "group", "datacenter", "rule", "why", "dc_why", "primary_if", "share", "bucket"]


@pytest.fixture
def site(weir, upstream):
    """Two sides in two datacenters; the group "down" refuses connections."""

    def start(split=None, multi_dc=None, rules=None):
        up, down = upstream(), upstream(listening=False)
        return weir(config={
            "datacenters": {"local": "codfw", "primary": "eqiad"},
            "listeners": [{"name": "main", "bind": ["127.0.0.1:%d" % ports.free_port()], "router": "site",
                           "trusted_proxies": ["127.0.0.0/8"]}],
            "groups": {
                "old": {"hosts": {"any": up.address}},
                "new": {"hosts": {"any": up.address}},
                "down": {"endpoints": [down.address], "retries": 0},
            },
            "routers": {"site": {
                "services": {"web": {"legacy": "old", "k8s": "new"}},
                "rules": rules or [{"name": "all", "service": "web"}],
                "split": split or {"default": "20%", "wikis": [{"hosts": ["all.example"], "k8s": "100%"}]},
                "multi_dc": multi_dc or {"mode": "local", "primary_if": [{"name": "use-dc", "cookie": {"UseDC": "master"}}]},
            }},
        })

    return start


def route(w, line):
    done = run("route", "-c", str(w.config_file), "--stdin", stdin=line + "\n")
    return json.loads(done.stdout)


def same(entry, answer):
    plain = {key: "-" if answer[key] is None and key not in ("share", "bucket") else answer[key] for key in SAME}
    assert {key: entry[key] for key in SAME} == plain
    assert type(entry["share"]) is type(answer["share"])


@pytest.mark.parametrize("host, share", [("x.example", 0.2), ("all.example", 1)])
def test_a_line_of_the_log_and_the_answer_of_route_say_the_same(site, host, share):
    w = site()
    assert w.get(host=host).status == 200
    entry = w.access_log(1)[0]
    answer = route(w, json.dumps(entry))
    same(entry, answer)
    assert entry["share"] == share and entry["rule"] == "all" and entry["dc_why"] == "local"


def test_the_log_names_the_configuration(site):
    w = site()
    w.get(host="x.example")
    status = json.loads(w.admin("/config/status")[1])
    assert w.access_log(1)[0]["config"] == status["version"]


@pytest.mark.parametrize(
    "multi_dc, fields, why, rule",
    [
        ({"mode": "local", "primary_if": [{"name": "use-dc", "cookie": {"UseDC": "master"}}]}, [("Cookie", "UseDC=master")], "primary_if", "use-dc"),
        ({"mode": "primary"}, [], "mode", "-"),
        ({"mode": "local", "share": "0%"}, [], "share", "-"),
        ({"mode": "local"}, [], "local", "-"),
    ],
    ids=["rule", "mode", "share", "local"])
def test_why_a_request_goes_to_the_primary_is_told_everywhere(site, multi_dc, fields, why, rule):
    w = site(multi_dc=multi_dc)
    assert w.get(host="x.example", fields=fields).status == 200
    entry = w.access_log(1)[0]
    assert (entry["dc_why"], entry["primary_if"]) == (why, rule)
    assert entry["datacenter"] == ("codfw" if why == "local" else "eqiad")
    question = {"url": "http://x.example/", "headers": dict(fields), "client": "127.0.0.1"}
    same(entry, route(w, json.dumps(question)))
    told = w.metrics().sum("weir_datacenter_decisions_total", router="site", dc_why=why, primary_if=rule)
    assert told == 1
    trace = run("route", "-c", str(w.config_file), *[arg for f in fields for arg in ("-H", "%s: %s" % f)], "http://x.example/").stdout
    words = {"primary_if": 'rule "use-dc"', "mode": "the mode of multi_dc", "share": "not in the share", "local": "nothing sends it"}
    assert words[why] in trace


def test_a_request_for_no_rule_is_called_the_same_everywhere(site):
    w = site(rules=[{"path": "/only", "service": "web"}])
    response = w.get(host="x.example")
    entry = w.access_log(1)[0]
    assert response.status == 404 and response.header("x-weir-reason") == "no_rule"
    assert (entry["reason"], entry["why"], entry["share"], entry["bucket"]) == ("no_rule", "no_rule", None, None)
    assert w.metrics().reason("no_rule") == 1
    assert route(w, json.dumps(entry))["why"] == "no_rule"


def test_an_answer_of_a_rule_is_called_the_same_everywhere(site):
    w = site(rules=[{"name": "no", "answer": 403}])
    assert w.get(host="x.example").header("x-weir-reason") == "answer"
    entry = w.access_log(1)[0]
    assert (entry["reason"], entry["why"], entry["rule"]) == ("answer", "answer", "no")


@pytest.mark.parametrize("emergency", ["none", "all-legacy", "all-k8s"])
def test_shares_and_the_brake_are_metrics_and_in_the_status(site, emergency):
    w = site(split={"default": "20%", "wikis": [{"hosts": ["all.example"], "k8s": "100%"}], "emergency": emergency})
    metrics = w.metrics()
    assert metrics.sum("weir_split_share", router="site", level="default", service="web") == 0.2
    assert metrics.sum("weir_split_share", router="site", level="host", service="web") == 1
    for word in ("none", "all-legacy", "all-k8s"):
        assert metrics.sum("weir_split_emergency", router="site", emergency=word) == (word == emergency)
    split = json.loads(w.admin("/config/status")[1])["splits"]["site"]
    assert split["emergency"] == emergency
    assert split["entries"][0] == {"level": "default", "name": "default", "share": {"web": 0.2}}


def test_a_failed_connection_says_what_went_wrong(site):
    w = site(rules=[{"group": "down"}])
    assert w.get(host="x.example").status == 502
    entry = w.access_log(1)[0]
    assert (entry["reason"], entry["error"]) == ("upstream_connect", "Connection refused")


def test_a_second_and_different_failure_is_logged_at_once(weir, upstream, ca, other_ca):
    """A repeated line is suppressed for a second; a line with another cause is not."""
    unknown = upstream(tls=other_ca.server_context(other_ca.leaf("wiki.example")))
    wrong = upstream(tls=ca.server_context(ca.leaf("other.example")))
    tls = {"ca": ca.file, "server_name": "wiki.example"}
    w = weir(config={
        "workers": 1,
        "listeners": [{"name": "main", "bind": ["127.0.0.1:%d" % ports.free_port()], "router": "r"}],
        "groups": {"a": {"endpoints": [unknown.address], "tls": tls, "retries": 0},
                   "b": {"endpoints": [wrong.address], "tls": tls, "retries": 0}},
        "routers": {"r": {"rules": [{"path": "/a", "group": "a"}, {"group": "b"}]}},
    })
    for _ in range(3):
        assert w.get("/a").status == w.get("/b").status == 502
    for group in ("a", "b"):
        w.wait_for_log("upstream_connect_failed group=" + group)
    lines = [line for line in w.log.splitlines() if "upstream_connect_failed" in line]
    assert sum("group=a" in line for line in lines) == sum("group=b" in line for line in lines) == 1
    first, second = w.access_log(6)[:2]
    assert first["reason"] == second["reason"] == "upstream_tls_verify"
    assert first["error"] != second["error"] and "certificate" in first["error"]


def test_a_connection_that_breaks_says_what_went_wrong(weir, upstream):
    w = weir(upstream(o.reset))
    assert w.get().status == 502
    entry = w.access_log(1)[0]
    assert (entry["reason"], entry["error"]) == ("upstream_reset", "Connection reset by peer")
