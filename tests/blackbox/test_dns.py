"""Names of endpoints: address families, the search list, failures, and names that no longer exist."""

import copy
import time

import pytest

from harness import dns
from harness import origin as o
from harness import ports


@pytest.fixture
def name_server():
    started = []

    def start(zones):
        started.append(dns.NameServer(zones))
        return started[-1]

    yield start
    for one in started:
        one.stop()


@pytest.fixture(autouse=True)
def no_search_list(monkeypatch):
    search_list(monkeypatch, "", 1)


def search_list(monkeypatch, domains, ndots):
    """The environment variables that the C library uses in place of resolv.conf's lines."""
    monkeypatch.setenv("LOCALDOMAIN", domains)
    monkeypatch.setenv("RES_OPTIONS", "ndots:%d" % ndots)


@pytest.fixture
def resolving(weir, upstream):
    """resolving(server, name): weir with one group of this name, on the port of two origins."""

    def start(server, name="app.test", **options):
        port = ports.free_port()
        upstream(o.respond(b"two"), host="127.0.0.2", port=port)
        upstream(o.respond(b"three"), host="127.0.0.3", port=port)
        top = {"dns_servers": [server.address], "dns_min_ttl": "1s", **options.pop("top", {})}
        return weir("%s:%d" % (name, port), top=top, **options)

    return start


def wait_for_body(w, body, timeout=10):
    deadline = time.monotonic() + timeout
    while True:
        response = w.get()
        if response.body == body:
            return
        assert time.monotonic() < deadline, (response.status, response.body)
        time.sleep(0.05)


def test_a_silent_family_delays_nothing(name_server, resolving):
    server = name_server({"app.test": dns.Zone(a=["127.0.0.2"], rcode_aaaa=dns.SILENT)})
    began = time.monotonic()
    w = resolving(server)
    assert w.get().body == b"two"
    assert time.monotonic() - began < 2
    server.zones["app.test"].addresses[dns.A] = ["127.0.0.3"]
    wait_for_body(w, b"three", timeout=4)


@pytest.mark.parametrize("failure", [dns.SERVFAIL, dns.REFUSED, dns.SILENT])
def test_a_family_that_fails_keeps_its_last_answer(name_server, resolving, failure):
    zone = dns.Zone(a=["127.0.0.2"], aaaa=["::1"])
    server = name_server({"app.test": zone})
    w = resolving(server)
    wait_for_body(w, b"two")
    zone.rcodes[dns.A] = failure
    w.wait_for_metric(lambda m: m.sum("weir_dns_stale_names") == 1, timeout=20)
    assert w.get().body == b"two"
    zone.rcodes[dns.A] = dns.OK
    w.reload()
    w.wait_for_metric(lambda m: m.sum("weir_dns_stale_names") == 0)


def test_a_final_dot_means_absolute(name_server, resolving, monkeypatch):
    search_list(monkeypatch, "search.example", 5)
    server = name_server({"app.test": dns.Zone(a=["127.0.0.2"]), "search.example": dns.Zone(a=["127.0.0.3"])})
    w = resolving(server, name="app.test.")
    assert w.get().body == b"two"
    assert {name for name, _ in server.asked} == {"app.test"}


@pytest.mark.parametrize("failure", [dns.SERVFAIL, dns.REFUSED, dns.NXDOMAIN, dns.SILENT])
def test_a_search_domain_that_fails_does_not_stop_the_search(name_server, resolving, monkeypatch, failure):
    search_list(monkeypatch, "search.example", 5)
    server = name_server({"app.test": dns.Zone(a=["127.0.0.2"]), "search.example": dns.Zone.failing(failure)})
    w = resolving(server)
    assert w.get().body == b"two"


def test_the_search_list_wins_over_a_name_with_few_dots(name_server, resolving, monkeypatch):
    search_list(monkeypatch, "search.example", 5)
    server = name_server({"app.test": dns.Zone(a=["127.0.0.2"]), "search.example": dns.Zone(a=["127.0.0.3"])})
    assert resolving(server).get().body == b"three"


@pytest.mark.parametrize("family,body", [("ipv4", b"two"), ("both", b"two"), ("ipv6", None)])
def test_the_family_of_a_group(name_server, resolving, family, body):
    server = name_server({"app.test": dns.Zone(a=["127.0.0.2"])})
    w = resolving(server, group={"family": family})
    response = w.get()
    assert (response.status, response.body) == (200, body) if body else response.status == 503
    wanted = {"ipv4": {dns.A}, "ipv6": {dns.AAAA}, "both": {dns.A, dns.AAAA}}[family]
    assert {kind for _, kind in server.asked} == wanted


def test_a_reload_asks_again(name_server, resolving):
    server = name_server({"app.test": dns.Zone(a=["127.0.0.2"], ttl=300)})
    w = resolving(server)
    assert w.get().body == b"two"
    server.zones["app.test"].addresses[dns.A] = ["127.0.0.3"]
    w.reload()
    wait_for_body(w, b"three", timeout=2)


def test_a_reload_asks_the_new_servers_and_keeps_the_answer_meanwhile(name_server, resolving):
    silent = name_server({"app.test": dns.Zone.failing(dns.SILENT)})
    server = name_server({"app.test": dns.Zone(a=["127.0.0.2"], ttl=300)})
    other = name_server({"app.test": dns.Zone(a=["127.0.0.3"], ttl=300)})
    w = resolving(server)
    assert w.get().body == b"two"
    config = copy.deepcopy(w.config)
    config["dns_servers"] = [silent.address]
    w.reload(config)
    assert w.get().body == b"two"
    config["dns_servers"] = [other.address]
    w.reload(config)
    wait_for_body(w, b"three", timeout=2)


def make_gone(zone, how):
    if how == "nodata":
        zone.addresses = {dns.A: [], dns.AAAA: []}
    else:
        zone.rcodes = {dns.A: dns.NXDOMAIN, dns.AAAA: dns.NXDOMAIN}


@pytest.mark.parametrize("how", ["nxdomain", "nodata"])
@pytest.mark.parametrize("policy,status", [(None, 200), ("keep", 200), ("drop", 503)])
def test_what_becomes_of_a_name_that_is_gone(name_server, resolving, how, policy, status):
    zone = dns.Zone(a=["127.0.0.2"])
    w = resolving(name_server({"app.test": zone}), group={"on_nxdomain": policy} if policy else None)
    assert w.get().status == 200
    make_gone(zone, how)
    w.wait_for_metric(lambda m: m.sum("weir_dns_gone_names") == 1, timeout=10)
    time.sleep(0.1)
    assert w.get().status == status


def test_addresses_of_one_name_are_bounded(name_server, resolving):
    many = ["127.0.1.%d" % i for i in range(1, 200)] + ["127.0.2.%d" % i for i in range(1, 200)]
    zone = dns.Zone(a=many + ["127.0.0.2"])
    w = resolving(name_server({"app.test": zone}), top={"dns_max_addresses": 1})
    assert w.get().body == b"two"  # the lowest
    metrics = w.metrics()
    assert metrics.sum("weir_dns_addresses_dropped_total") == len(many)
    assert "name_addresses_dropped" in w.log
