"""The recorded routing cases: the same answers from the file, from weir check --tests and from the proxy."""

import csv
import json
import re
import urllib.parse

import pytest
import yaml

from harness import origin as o
from harness import ports
from harness import weir as h

DATA = h.ROOT.parent / "shared" / "data" / "wikimedia"
pytestmark = pytest.mark.skipif(not (DATA / "routing-cases.tsv").exists(), reason="the recorded cases are not here")

CLIENTS = ["198.51.100.%d" % n for n in range(1, 41)]

# rb-mw-mangling: mobile hosts under their desktop name, and short URLs.
MANGLING = [
    {"when": {"header": {"X-Subdomain": "*"}}, "host": "${header:x-dt-host}"},
    {"when": {"host": "w.wiki", "path": "=/"}},
    {"when": {"host": "w.wiki"}, "host": "meta.wikimedia.org", "path": "/wiki/Special:UrlRedirector${path}"},
]
NORMALIZE = re.compile(r"normalize-path\.lua\(([^;]*);?([^)]*)\)")


def table(name):
    with open(DATA / name, newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


def rows():
    return table("routing-cases.tsv") if DATA.exists() else []


def configs():
    return json.loads((DATA / "routing-configs.json").read_text())


# --- from the facts to a weir.yaml -------------------------------------------------------------------

PAIRS = {
    "appservers": ("appservers-ro.discovery.wmnet", "appservers-rw.discovery.wmnet", 443),
    "api-appservers": ("api-ro.discovery.wmnet", "api-rw.discovery.wmnet", 443),
    "mw-web": ("mw-web-ro.discovery.wmnet", "mw-web.discovery.wmnet", 4450),
    "mw-api-ext": ("mw-api-ext-ro.discovery.wmnet", "mw-api-ext.discovery.wmnet", 4447),
}
SERVICES = {"appservers-rw.discovery.wmnet:443": "web", "api-rw.discovery.wmnet:443": "api"}


def percent(load):
    return "%g%%" % (float(load) * 100)


def target_of(url):
    parts = urllib.parse.urlsplit(url)
    return "%s:%d" % (parts.hostname, parts.port or 443)


def group_of(groups, target):
    """The name of the group that has this one target."""
    name = target.replace(":", "-")
    groups[name] = {"endpoints": [target]}
    return name


def rewrites(chain, below=""):
    """What the scripts of a mapping rule do to path and host."""
    conf = {}
    sets = NORMALIZE.search(chain)
    if sets:
        decode, encode = (bytes.fromhex(text).decode() for text in sets.groups())
        conf["normalize"] = {"methods": ["PURGE"], "decode": decode, "encode": encode}
    if "rb-mw-mangling" in chain:
        conf["rewrite"] = {"path": "/${host}/v1/%s${rest}" % below} if "gateway-check" in chain else MANGLING
    return conf


def gateway_rules(groups, chain):
    """The ordered rules of gateway-check, inside that of RESTBase."""
    inside = [("metrics/unique-devices/", "api-gateway.discovery.wmnet:8087"), ("page/pdf/", "rest-gateway.discovery.wmnet:4113")]
    return [
        {"path": "/api/rest_v1/%s*" % below, "group": group_of(groups, target), **rewrites(chain, below)}
        for below, target in inside
    ]


def mapping_rules(groups):
    rules = []
    for row in table("mapping-rules-mediawiki.tsv"):
        rule = {}
        if row["target"].startswith("ws://"):  # a WebSocket begins as a request to the same host
            continue
        place = row["target"].replace("http://", "", 1)
        host, slash, path = place.partition("/")
        if "planet" in host:
            rule["host"] = ["planet.wikimedia.org", "*.planet.wikimedia.org"]
        elif host not in ("", "(.*)"):
            rule["host"] = host
        if path:
            rule["path"] = "/" + path
        if path == "api/rest_v1":
            rules += gateway_rules(groups, row["plugin_chain"])
        rule.update(rewrites(row["plugin_chain"]))
        target = target_of(row["replacement"])
        if row["is_mediawiki"] == "1":
            rule["service"] = SERVICES[target]
        else:
            rule["group"] = group_of(groups, target)
        rules.append(rule)
    return rules


def loads_of(split):
    loads = dict(split.get("hosts", {}))
    if "default" in split:
        loads["default"] = split["default"]
    if "file" in split:  # of a host that is there twice, the last one counted
        loads.update({row["domain"]: row["load"] for row in table(split["file"])})
    if "dblist" in split:
        closed = set((DATA / "dblists" / (split["dblist"] + ".txt")).read_text().split())
        loads.update({row["domain"]: 1 for row in table("wikis-2023-09-01.tsv") if row["dbname"] in closed})
    loads.update(split.get("override", {}))
    return {host: load for host, load in loads.items() if host not in split.get("remove", ())}


def split_conf(split):
    loads = loads_of(split)
    default = loads.pop("default", 0)
    wikis = [
        {"hosts": sorted(host for host in loads if float(loads[host]) == share), "k8s": percent(share)}
        for share in sorted({float(load) for load in loads.values()})
    ]
    return {"default": percent(default), "wikis": wikis}


def debug_conf(facts, groups):
    backends = {}
    for row in table("debug-backends.tsv"):
        is_then = row["from"] <= facts["debug"] and (row["until"] == "-" or row["until"] > facts["debug"])
        if is_then and "header" in row["seen_in"]:
            backends[row["alias"]] = {"group": group_of(groups, "%s:%s" % (row["host"], row["port"]))}
    for name, hosts in facts.get("debug_limit", {}).items():
        backends[name].update(hosts=hosts, refused=403)
    conf = {"backends": backends, "unknown": 400}
    if facts.get("debug_cookie"):
        conf["cookie"] = "X-Wikimedia-Debug"
    return conf


def multi_dc_conf(facts, edge):
    modes = facts["multi_dc"]

    def mode(load):
        conf = {"mode": load["mode"]}
        if "load" in load:
            conf["share"] = percent(load["load"])
        return conf

    conf = mode(modes["default"])
    conf["primary_if"] = edge["routers"]["mediawiki"]["multi_dc"]["primary_if"]
    conf["session_cookies"] = ["*Session", "*session", "*Token"]
    if "domains" in modes:
        conf["hosts"] = {host: mode({**modes["default"], **load}) for host, load in modes["domains"].items()}
    return conf


def configuration(facts):
    edge = yaml.safe_load((h.ROOT / "conf" / "edge.yaml").read_text())
    groups = {name: {"hosts": {"ro": ro, "rw": rw}, "port": port} for name, (ro, rw, port) in PAIRS.items()}
    return {
        "listeners": [
            {
                "name": "main",
                "bind": ["127.0.0.1:%d" % ports.free_port()],
                "router": "mediawiki",
                "trusted_proxies": ["127.0.0.0/8"],
            }
        ],
        "admin": {"bind": "127.0.0.1:%d" % ports.free_port()},
        "datacenters": {"local": "codfw", "primary": "eqiad"},
        "routers": {
            "mediawiki": {
                "services": {
                    "web": {"legacy": "appservers", "k8s": "mw-web"},
                    "api": {"legacy": "api-appservers", "k8s": "mw-api-ext"},
                },
                "rules": mapping_rules(groups),
                "debug": debug_conf(facts, groups),
                "split": split_conf(facts["split"]),
                "sticky": {"key": ["client-ip"], "salt": "cases"},
                "multi_dc": multi_dc_conf(facts, edge),
            }
        },
        "groups": groups,
    }


# --- from the rows to cases --------------------------------------------------------------------------


def given(text):
    return None if text == "-" else text


def expectations(row):
    targets = [target for target in (given(row["target"]), given(row["k8s_target"])) if target]
    expect = {"status": int(row["status"]) if given(row["status"]) else None}
    if targets:
        expect["target"] = targets
    if row["side"] in ("legacy", "k8s", "split"):
        expect["side"] = row["side"]
    else:
        expect["side"] = "legacy" if row["side"] == "dc-split" else None
    if row["side"] == "debug":
        expect["why"] = "debug"
    if row["side"] == "split":
        expect["share"] = percent(row["share"])
    for key in ("path_sent", "host_sent"):
        if given(row[key]):
            expect[key] = row[key]
    return expect


def case(row):
    return {
        "name": "%s: %s" % (row["id"], row["why"]),
        "request": "%s %s" % (row["method"], row["url"]),
        "http": row["http"],
        "headers": json.loads(row["headers"]),
        "expect": expectations(row),
    }


def of_config(name):
    return [row for row in rows() if row["config"] == name]


NAMES = sorted({row["config"] for row in rows()})


@pytest.mark.parametrize("name", NAMES)
def test_the_recorded_cases_pass_check(tmp_path, name):
    (tmp_path / "edge.yaml").write_text(yaml.safe_dump(configuration(configs()[name]), sort_keys=False))
    (tmp_path / "cases.yaml").write_text(yaml.safe_dump({"cases": [case(row) for row in of_config(name)]}, sort_keys=False))
    done = h.run("check", "-q", "-c", tmp_path / "edge.yaml", "--tests", tmp_path / "cases.yaml")
    assert done.returncode == 0, done.stdout + done.stderr


# --- through the proxy -------------------------------------------------------------------------------


class Stubs:
    """An address on loopback for every host name of a configuration, and an origin behind every target."""

    def __init__(self, config, upstream):
        self.names = {}  # "127.…:port" -> "host:port"
        self.upstream = upstream
        for group in config["groups"].values():
            port = ports.free_port()
            if "endpoints" in group:
                group["endpoints"] = [self.stub(target, port) for target in group["endpoints"]]
                continue
            real = group["port"]
            group["port"] = port
            group["hosts"] = {
                use: self.stub("%s:%d" % (host, real), port).rsplit(":", 1)[0] for use, host in group["hosts"].items()
            }

    def stub(self, target, port):
        address = "127.1.%d.%d:%d" % (len(self.names) // 250, len(self.names) % 250 + 1, port)
        self.names[address] = target
        return address

    def listen(self, targets):
        """Origins are threads: only for those that somebody will be sent to."""
        for address, target in self.names.items():
            if target in targets:
                host, port = address.rsplit(":", 1)
                self.upstream(o.echo(target), host=host, port=int(port))


def questions(row):
    """The row as lines for weir route --stdin: for each client, if chance decides."""
    clients = CLIENTS if row["side"] in ("split", "dc-split") else CLIENTS[:1]
    return [
        {
            "method": row["method"],
            "url": row["url"],
            "headers": json.loads(row["headers"]),
            "http": row["http"],
            "client": client,
            "trusted": True,
        }
        for client in clients
    ]


def as_bytes(question):
    url = question["url"]
    rest = url.split("://", 1)[1]
    authority, slash, path = rest.partition("/")
    headers = dict(question["headers"])
    host = headers.pop("Host", authority)
    hosts = [] if host is None else host if isinstance(host, list) else [host]
    lines = ["%s /%s HTTP/%s" % (question["method"], path, question["http"])]
    lines += ["Host: " + one for one in hosts]
    lines += ["%s: %s" % item for item in headers.items()]
    lines += ["X-Forwarded-For: " + question["client"], "Connection: close"]
    if question["method"] in ("POST", "PUT"):
        lines.append("Content-Length: 0")
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


@pytest.mark.parametrize("name", NAMES)
def test_the_proxy_answers_as_the_tools_do(weir, upstream, name):
    config = configuration(configs()[name])
    stubs = Stubs(config, upstream)
    asked = [(row, question) for row in of_config(name) for question in questions(row)]
    wanted = {row[key] for row, _ in asked for key in ("target", "k8s_target")}
    stubs.listen(wanted)
    w = weir(config={key: value for key, value in config.items() if key != "admin"})
    lines = "".join(json.dumps(question) + "\n" for _, question in asked)
    done = h.run("route", "-c", w.config_file, "--stdin", stdin=lines)
    assert done.returncode == 0, done.stderr
    decisions = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(decisions) == len(asked)
    seen = {}
    for (row, question), decision in zip(asked, decisions):
        response = w.exchange(as_bytes(question))
        if given(row["status"]):
            assert response.status == decision["status"] == int(row["status"]), row
            continue
        assert response.status == 200, (row, response.body)
        page = json.loads(response.body)
        assert page["name"] == stubs.names[decision["target"]], (row, question)
        assert page["name"] in (row["target"], row["k8s_target"]), row
        seen.setdefault(row["id"], set()).add(page["name"])
        sent = {"path_sent": page["target"], "host_sent": dict((name.lower(), value) for name, value in page["headers"])["host"]}
        for key in ("path_sent", "host_sent"):
            if given(row[key]):
                assert sent[key] == row[key], row
    for row in of_config(name):
        if row["side"] == "split" and float(row["share"]) == 0.5:
            assert seen[row["id"]] == {row["target"], row["k8s_target"]}
