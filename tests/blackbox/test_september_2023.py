"""The split of 1 September 2023 through the running proxy: conf/edge.yaml with only its addresses changed.

WEIR_TEST_CLIENTS sets how many distinct clients are counted (default 20,000; the promise is made for
100,000), and the tolerance follows: ± 0.3 % from there on, five standard deviations below."""

import math
import os
import pathlib
import threading

import pytest
import yaml

from harness import crowd, ports

ROOT = pathlib.Path(__file__).resolve().parents[2]
FACTS = ROOT.parent / "shared" / "data" / "wikimedia" / "split-2023-09-01.tsv"
CLIENTS = int(os.environ.get("WEIR_TEST_CLIENTS", "20000"))
K8S, LEGACY = "mw-web", "appservers"


def rows():
    if not FACTS.exists():
        return []
    lines = FACTS.read_text().splitlines()[1:]
    effective = {}
    for line in lines:
        _, domain, load = line.split("\t")[:3]
        effective[domain] = float(load)  # of a domain that is there twice the last one ran
    return [(domain, load) for domain, load in effective.items() if domain != "default"]


needs_facts = pytest.mark.skipif(not FACTS.exists(), reason="the table of that day is not here")


def tolerance(clients, share):
    if clients >= 100000:
        return 0.003 * clients
    return 5 * math.sqrt(clients * share * (1 - share))


def edge_config(origin, leaf, default):
    """conf/edge.yaml with every group on one stub, on a free port, and showing the group it chose."""
    config = yaml.safe_load((ROOT / "conf" / "edge.yaml").read_text())
    config["wikis"] = str(ROOT / "conf" / "wikis.txt")
    config["groups"] = {
        name: {"endpoints": [origin.address]}
        for name, group in config["groups"].items()
        if name != "include"
    }
    config["groups"]["api-gateway"] = {"endpoints": [origin.address]}
    config["datacenters"] = {"local": "codfw", "primary": "eqiad"}
    router = config["routers"]["mediawiki"]
    router["rules"] = [rule for rule in router["rules"] if "include" not in rule]
    router["debug"]["backends"] = {"k8s-experimental": "mw-debug"}
    router["split"]["default"] = default
    for entry in router["split"]["wikis"]:
        if "list" in entry:
            entry["list"] = str(ROOT / "conf" / entry["list"])
    config["routers"] = {"mediawiki": router}
    config["listeners"] = [
        {
            "name": "main",
            "bind": ["127.0.0.1:%d" % ports.free_port()],
            "tls": {"certificates": [leaf.conf()]},
            "router": "mediawiki",
            "show_group": True,
            "limits": {"max_requests": 10000000},
        }
    ]
    config["admin"] = {"bind": "127.0.0.1:%d" % ports.free_port()}
    config["access_log"] = {"enabled": False}
    return config


@pytest.fixture
def edge(weir, leaf):
    origin = crowd.FastOrigin()
    w = weir(config=edge_config(origin, leaf, "4%"))
    w.origin = origin
    yield w
    origin.stop()


@needs_facts
@pytest.mark.parametrize("ask", [crowd.ask_h1, crowd.ask_h2], ids=["h1", "h2"])
def test_every_row_of_the_table_goes_where_it_went_that_day(edge, ask):
    wrong = []
    for domain, load in rows():
        answers = ask(edge.port(), domain, range(64))
        assert {status for status, _ in answers} == {200}
        groups = {group for _, group in answers}
        wanted = {K8S} if load == 1 else {LEGACY}
        assert load in (0, 1)
        if groups != wanted:
            wrong.append((domain, load, groups))
    assert wrong == []


@pytest.mark.parametrize("ask", [crowd.ask_h1, crowd.ask_h2], ids=["h1", "h2"])
def test_four_percent_of_the_clients_of_other_wikis_are_on_k8s(edge, ask):
    answers = ask(edge.port(), "de.wikipedia.org", range(CLIENTS))
    on_k8s = sum(group == K8S for _, group in answers)
    assert abs(on_k8s - 0.04 * CLIENTS) <= tolerance(CLIENTS, 0.04)


def test_raising_the_share_under_load_moves_no_client_back_and_fails_no_request(edge, leaf):
    per_client = CLIENTS // 100
    before = [None] * 100
    trouble = []
    stop = threading.Event()

    def caller(number):
        clients = range(number * per_client, (number + 1) * per_client)
        try:
            before[number] = crowd.ask_h1(edge.port(), "de.wikipedia.org", clients)
            while not stop.is_set():
                answers = crowd.ask_h1(edge.port(), "de.wikipedia.org", clients)
                moved_back = sum(
                    was == K8S and now == LEGACY
                    for (_, was), (_, now) in zip(before[number], answers)
                )
                failed = sum(status != 200 for status, _ in answers)
                if moved_back or failed:
                    trouble.append((number, moved_back, failed))
        except Exception as error:  # told to the test's own thread
            trouble.append((number, repr(error)))

    callers = [threading.Thread(target=caller, args=(number,)) for number in range(100)]
    for one in callers:
        one.start()
    while any(answers is None for answers in before) and not trouble:
        stop.wait(0.05)
    edge.reload(edge_config_with(edge, "10%"))
    stop.wait(1)
    stop.set()
    for one in callers:
        one.join()
    assert trouble == []

    at_4 = {i for number in range(100) for i, (_, group) in enumerate(before[number], number * per_client) if group == K8S}
    after = crowd.ask_h1(edge.port(), "de.wikipedia.org", range(CLIENTS))
    at_10 = {i for i, (_, group) in enumerate(after) if group == K8S}
    assert at_4 < at_10
    assert abs(len(at_10) - 0.10 * CLIENTS) <= tolerance(CLIENTS, 0.10)


def edge_config_with(edge, default):
    config = edge.config
    config["routers"]["mediawiki"]["split"]["default"] = default
    return config
