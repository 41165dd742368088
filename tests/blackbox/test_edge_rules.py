"""The shipped configurations through the running proxy: rules of the edge that serve no wiki, and the sidecar."""

import pytest
import yaml

from harness import origin as o
from harness import ports
from harness import weir as h


@pytest.fixture
def edge(weir, upstream):
    """The rules of the edge with one stub behind every group: the instance and the stub."""
    up = upstream(o.respond())
    conf = h.ROOT / "conf"
    whole = yaml.safe_load((conf / "edge.yaml").read_text())
    rules = [rule for rule in whole["routers"]["mediawiki"]["rules"] if "include" not in rule and "service" not in rule]
    rules += yaml.safe_load((conf / "sites" / "rules.yaml").read_text())
    listener = {"name": "main", "bind": ["127.0.0.1:%d" % ports.free_port()], "router": "r"}
    groups = {rule["group"]: {"endpoints": [up.address]} for rule in rules if "group" in rule}
    return weir(config={"listeners": [listener], "groups": groups, "routers": {"r": {"rules": rules}}}), up


def test_the_answer_to_a_health_request_is_not_to_be_cached(edge):
    w, up = edge
    response = w.get("/ats-be", host="healthcheck.wikimedia.org")
    assert response.status == 200 and response.header("cache-control") == "no-cache" and not response.body
    assert not up.requests


@pytest.mark.parametrize(
    "target, purged",
    [
        ("/wikipedia/commons/a/ab/A%2fb(c).jpg", "/wikipedia/commons/a/ab/A/b%28c%29.jpg"),
        ("/x/!$&'()*+,:;=@[]", "/x/%21%24%26%27%28%29%2A%2B%2C%3A%3B%3D%40%5B%5D"),
        ("/x/%c3%a4%20", "/x/%C3%A4%20"),
    ],
)
def test_a_purge_of_an_upload_names_it_as_everybody_else_does(edge, target, purged):
    w, up = edge
    assert w.get(target, method="PURGE", host="upload.wikimedia.org").status == 200
    assert up.last.target == purged
    assert w.get(target, host="upload.wikimedia.org").status == 200
    assert up.last.target == target


def test_the_sidecar_speaks_of_clients_as_the_pod_expects(weir, upstream, leaf):
    up = upstream(o.respond())
    conf = yaml.safe_load((h.ROOT / "conf" / "sidecar.yaml").read_text())
    main = conf["listeners"][0]
    main["bind"] = ["127.0.0.1:%d" % ports.free_port()]
    main["tls"]["certificates"] = [leaf.conf()]
    conf["groups"]["httpd"]["endpoints"] = [up.address]
    w = weir(config={"listeners": [main], "groups": conf["groups"]})
    response = w.get(fields=[("X-Client-IP", "203.0.113.7"), ("X-Envoy-Internal", "true")])
    assert response.status == 200 and response.header("server") == "main-tls"
    assert int(response.header("x-envoy-upstream-service-time")) >= 0
    assert up.last.headers("x-client-ip") == ["203.0.113.7, 127.0.0.1"]
    assert up.last.headers("x-forwarded-proto") == ["https"]
    assert up.last.headers("x-forwarded-for") == [] and up.last.headers("via") == []
