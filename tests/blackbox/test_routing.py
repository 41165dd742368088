"""Routing: rules, split, sticky clients, the debug header."""

import json

import pytest

from harness import origin as o
from harness import ports

NAMES = ("appservers", "api-appservers", "mw-web", "mw-api-ext", "mw-debug")


@pytest.fixture
def site(weir, upstream, tmp_path):
    """site(split, trusted=..., **router): a router with a legacy and a k8s group for web and for api."""

    def start(split, trusted=True, debug=True, listener=None, **router):
        origins = {name: upstream(o.echo(name)) for name in NAMES}
        main = {
            "name": "main",
            "bind": ["127.0.0.1:%d" % ports.free_port()],
            "router": "mediawiki",
            "show_group": True,
        }
        if trusted:
            main["trusted_proxies"] = ["127.0.0.0/8"]
        main.update(listener or {})
        mediawiki = {
            "services": {
                "web": {"legacy": "appservers", "k8s": "mw-web"},
                "api": {"legacy": "api-appservers", "k8s": "mw-api-ext"},
            },
            "rules": [
                {"path": ["/w/api.php", "/w/rest.php", "/api/rest_v1/*"], "service": "api"},
                {"service": "web"},
            ],
            "split": split,
        }
        if debug:
            mediawiki["debug"] = {
                "header": "X-Wikimedia-Debug",
                "backends": {"k8s-experimental": "mw-debug", "1": "appservers"},
                "unknown": 400,
            }
        mediawiki.update(router)
        w = weir(
            config={
                "listeners": [main],
                "groups": {name: {"endpoints": [origin.address]} for name, origin in origins.items()},
                "routers": {"mediawiki": mediawiki},
            }
        )
        w.origins = origins
        return w

    return start


def group_of(response):
    """The group a response came from; weir's header and the page must agree."""
    name = response.header("x-weir-group")
    assert json.loads(response.body)["name"] == name
    return name


ALL_LEGACY = {"default": "0%"}
PINNED = {
    "default": "0%",
    "wikis": [{"hosts": ["www.mediawiki.org", "aa.wikipedia.org"], "k8s": "100%"}],
}


# --- rules and split ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path, group",
    [
        ("/", "appservers"),
        ("/wiki/Main_Page", "appservers"),
        ("/w/index.php?title=/w/api.php", "appservers"),
        ("/w/api.php", "api-appservers"),
        ("/w/api.php?action=query", "api-appservers"),
        ("/w/rest.php/v1/page", "api-appservers"),
        ("/api/rest_v1/page/html/X", "api-appservers"),
        ("/w/api.phpx", "appservers"),
    ],
)
def test_the_path_chooses_the_service(site, path, group):
    assert group_of(site(ALL_LEGACY).get(path, host="en.wikipedia.org")) == group


@pytest.mark.tsan
def test_the_host_chooses_the_side(site):
    w = site(PINNED)
    for host, group in [
        ("www.mediawiki.org", "mw-web"),
        ("aa.wikipedia.org", "mw-web"),
        ("en.wikipedia.org", "appservers"),
    ]:
        assert group_of(w.get(host=host)) == group
        with w.connect_h2(authority=host) as client:
            assert client.request().header("x-weir-group") == group
    assert group_of(w.get("/w/api.php", host="aa.wikipedia.org")) == "mw-api-ext"


@pytest.mark.parametrize(
    "host",
    [
        "aa.wikipedia.org:443",
        "aa.wikipedia.org.",
        "AA.Wikipedia.ORG",
        "aa.m.wikipedia.org",
        "aa.m.m.wikipedia.org",
        "m.mediawiki.org",
        "www.m.mediawiki.org",
    ],
)
def test_every_spelling_of_a_host_is_one_wiki(site, host):
    assert group_of(site(PINNED).get(host=host)) == "mw-web"


def test_a_mobile_host_may_have_a_share_of_its_own(site):
    split = {
        "default": "0%",
        "wikis": [
            {"hosts": ["de.wikipedia.org"], "k8s": "100%"},
            {"hosts": ["de.m.wikipedia.org"], "k8s": "0%"},
        ],
    }
    w = site(split)
    assert group_of(w.get(host="de.wikipedia.org")) == "mw-web"
    assert group_of(w.get(host="de.m.wikipedia.org")) == "appservers"


def test_the_host_of_an_absolute_target_wins(site):
    w = site(PINNED)
    client = w.connect()
    client.send(b"GET http://aa.wikipedia.org/x HTTP/1.1\r\nHost: aa.wikipedia.org\r\n\r\n")
    assert group_of(client.read()) == "mw-web"


@pytest.mark.parametrize("host", ["a..b", ".", "-:443"])
def test_a_host_that_cannot_be_one_is_400(site, host):
    w = site(ALL_LEGACY)
    assert w.get(host=host).status == 400
    w.wait_for_reason("bad_host")


def test_http_1_0_without_host_goes_to_legacy(site):
    w = site({"default": "100%"})
    assert w.exchange(b"GET / HTTP/1.0\r\n\r\n").header("x-weir-group") == "appservers"


def test_a_list_moves_its_wikis_and_a_host_overrides_it(site, tmp_path):
    closed = tmp_path / "closed.list"
    closed.write_text("# closed wikis\naa.wikipedia.org\nab.wikipedia.org\n")
    split = {
        "default": "0%",
        "wikis": [
            {"list": str(closed), "k8s": "100%"},
            {"hosts": ["ab.wikipedia.org"], "k8s": "0%"},
        ],
    }
    w = site(split)
    assert group_of(w.get(host="aa.wikipedia.org")) == "mw-web"
    assert group_of(w.get(host="ab.wikipedia.org")) == "appservers"


def test_x_weir_group_is_off_unless_configured(site):
    w = site(PINNED, listener={"show_group": False})
    assert w.get(host="aa.wikipedia.org").header("x-weir-group") is None


def test_x_weir_group_of_the_upstream_does_not_pass(weir, upstream):
    w = weir(upstream(o.respond(fields=[("X-Weir-Group", "liar"), ("X-Weir-Reason", "liar")])))
    response = w.get()
    assert "x-weir-group" not in response.fields and "x-weir-reason" not in response.fields


# --- the share ---------------------------------------------------------------------------------------

CLIENTS = 4000


def sides(w, clients, host="en.wikipedia.org", fields=lambda n: [("Cookie", "WMF-Uniq=client%d" % n)]):
    """Which clients are on k8s."""
    chosen = set()
    connection = w.connect()
    for n in clients:
        response = connection.request(host=host, fields=fields(n))
        assert response.status == 200
        if response.header("x-weir-group") == "mw-web":
            chosen.add(n)
    return chosen


def sticky(salt="mw-on-k8s"):
    return {"key": ["cookie:WMF-Uniq", "client-ip"], "salt": salt}


def raised(w, share):
    """The same configuration with another default share."""
    config = json.loads(json.dumps(w.config))
    config["routers"]["mediawiki"]["split"]["default"] = share
    return config


def test_the_share_of_clients_is_what_was_configured(site):
    w = site({"default": "4%"}, sticky=sticky())
    count = len(sides(w, range(CLIENTS)))
    deviation = (CLIENTS * 0.04 * 0.96) ** 0.5
    assert abs(count - CLIENTS * 0.04) < 5 * deviation


def test_a_client_stays_on_its_side(site):
    w = site({"default": "50%"}, sticky=sticky())
    first = sides(w, range(200))
    assert 0 < len(first) < 200
    for _ in range(3):
        assert sides(w, range(200)) == first


def test_raising_the_share_moves_no_client_back(site):
    w = site({"default": "4%"}, sticky=sticky())
    before = sides(w, range(CLIENTS))
    w.reload(raised(w, "10%"))
    after = sides(w, range(CLIENTS))
    assert before < after
    w.reload(raised(w, "4%"))
    assert sides(w, range(CLIENTS)) == before


def test_another_salt_moves_other_clients(site):
    first = sides(site({"default": "50%"}, sticky=sticky("a")), range(400))
    second = sides(site({"default": "50%"}, sticky=sticky("b")), range(400))
    assert 50 < len(first & second) < 150


def test_h1_and_h2_decide_alike(site):
    w = site({"default": "50%"}, sticky=sticky())
    over_h1 = sides(w, range(100))
    with w.connect_h2(authority="en.wikipedia.org") as client:
        over_h2 = {
            n
            for n in range(100)
            if client.request(fields=[("cookie", "a=b"), ("cookie", "WMF-Uniq=client%d" % n)]).header("x-weir-group")
            == "mw-web"
        }
    assert over_h1 == over_h2


def test_without_cookie_the_client_address_decides(site):
    w = site({"default": "50%"}, sticky=sticky())

    def forwarded(n):
        return [("X-Forwarded-For", "198.51.%d.%d" % (n // 200, n % 200))]

    first = sides(w, range(400), fields=forwarded)
    assert 140 < len(first) < 260
    assert sides(w, range(400), fields=forwarded) == first


def test_an_untrusted_client_cannot_choose_its_address(site):
    w = site({"default": "50%"}, trusted=False, sticky=sticky())
    chosen = sides(w, range(50), fields=lambda n: [("X-Forwarded-For", "198.51.100.%d" % n)])
    assert len(chosen) in (0, 50)


# --- debug -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value, group",
    [
        ("backend=k8s-experimental", "mw-debug"),
        ("k8s-experimental", "mw-debug"),
        ("1", "appservers"),
        ("backend=k8s-experimental; log; profile", "mw-debug"),
        ("profile; backend=k8s-experimental", "mw-debug"),
    ],
)
def test_the_debug_header_of_a_trusted_client_chooses_the_backend(site, value, group):
    w = site({"default": "100%"})
    response = w.get(host="en.wikipedia.org", fields=[("X-Wikimedia-Debug", value)])
    assert group_of(response) == group
    # and the application sees it as it was
    assert dict(json.loads(response.body)["headers"])["X-Wikimedia-Debug"] == value


def test_a_group_has_one_series_whatever_requests_it_serves(site):
    w = site({"default": "50%"}, debug=True)
    for i in range(8):
        w.get(host="en.wikipedia.org", fields=[("X-Client-IP", "10.0.0.%d" % i)])
    w.get(host="en.wikipedia.org", fields=[("X-Wikimedia-Debug", "1")])  # appservers, a group of the legacy side
    w.get(host="en.wikipedia.org", fields=[("X-Wikimedia-Debug", "k8s-experimental")])  # a group outside the split
    metrics = w.wait_for_metric(lambda m: m.sum("weir_group_requests_total") == 10)
    sides = {}
    for name, labels, _ in metrics.samples:
        if name == "weir_group_requests_total":
            sides.setdefault(labels["group"], []).append(labels["side"])
    assert sides == {
        "appservers": ["legacy"],
        "api-appservers": ["legacy"],
        "mw-web": ["k8s"],
        "mw-api-ext": ["k8s"],
        "mw-debug": ["-"],
    }


@pytest.mark.parametrize(
    "value",
    ["nowhere", "backend=nowhere", "", "profile; log", "Backend=k8s-experimental", "nobackend=k8s-experimental",
     "backend=k8s-experimental/x"],
)
def test_an_unknown_debug_backend_is_400_and_reaches_no_upstream(site, value):
    w = site(ALL_LEGACY)
    response = w.get(host="en.wikipedia.org", fields=[("X-Wikimedia-Debug", value)])
    assert response.status == 400
    assert response.header("x-weir-reason") == "debug_unknown"
    assert not any(origin.requests for origin in w.origins.values())
    w.wait_for_reason("debug_unknown")


def test_two_debug_headers_that_disagree_are_400(site):
    w = site(ALL_LEGACY)
    fields = [("X-Wikimedia-Debug", "backend=k8s-experimental"), ("X-Wikimedia-Debug", "backend=1")]
    assert w.get(host="en.wikipedia.org", fields=fields).status == 400


def test_the_debug_header_of_an_untrusted_client_is_taken_away(site):
    w = site(ALL_LEGACY, trusted=False)
    for value in ("backend=k8s-experimental", "nowhere"):
        response = w.get(host="en.wikipedia.org", fields=[("X-Wikimedia-Debug", value)])
        assert group_of(response) == "appservers"
        assert "X-Wikimedia-Debug" not in dict(json.loads(response.body)["headers"])


def test_a_400_for_debug_keeps_the_connection(site):
    client = site(ALL_LEGACY).connect()
    assert client.request(fields=[("X-Wikimedia-Debug", "nowhere")]).status == 400
    assert client.request().status == 200


@pytest.mark.parametrize("values, status", [(["no"], 200), (["no", "bad"], 403), (["a", "b"], 403), (["a", "bb"], 200)])
def test_no_line_of_a_header_hides_another_from_a_rule(site, values, status):
    deny = {"header": {"X-Ask": ["bad", "a, b"]}, "answer": 403}
    w = site({"default": "0%"}, rules=[deny, {"service": "web"}])
    fields = [("x-ask", value) for value in values]
    assert w.get(host="x.example", fields=fields).status == status
    with w.connect_h2(authority="x.example") as client:
        assert client.request(fields=fields).status == status


def test_nothing_matched_is_404(site):
    w = site(ALL_LEGACY, rules=[{"path": ["/w/api.php"], "service": "api"}])
    assert w.get("/elsewhere").status == 404
    w.wait_for_reason("no_rule")


def test_weights_spread_over_groups(weir, upstream):
    origins = {name: upstream(o.echo(name)) for name in ("main", "canary")}
    w = weir(
        config={
            "listeners": [
                {"name": "main", "bind": ["127.0.0.1:%d" % ports.free_port()], "router": "r", "show_group": True}
            ],
            "groups": {name: {"endpoints": [origin.address]} for name, origin in origins.items()},
            "routers": {
                "r": {
                    "services": {"web": {"groups": {"main": "75%", "canary": "25%"}}},
                    "rules": [{"service": "web"}],
                    "sticky": {"key": ["cookie:id"], "salt": "s"},
                }
            },
        }
    )
    client = w.connect()
    groups = [client.request(fields=[("Cookie", "id=%d" % n)]).header("x-weir-group") for n in range(1000)]
    assert 180 < groups.count("canary") < 320


def test_an_unknown_debug_backend_is_told_which_there_are(site):
    w = site({"default": 0})
    answer = w.get(fields=[("X-Wikimedia-Debug", "backend=nonsense")])
    assert answer.status == 400
    assert "backend=k8s-experimental\n" in answer.text
