"""One decision: the proxy over HTTP/1.1 and over HTTP/2, `weir route`, `weir route --stdin`,
`weir check --tests`, `weir diff --log` and libweir-route give the same answer to random requests on
random routers.

WEIR_DECISION_ROUTERS is the number of routers, WEIR_DECISION_SEED the first of their seeds."""

import collections
import json
import os
import random
import re

import pytest

from harness import origin as o
from harness import ports, random_routes, route_library
from harness.client import request_bytes
from harness.weir import run

ROUTERS = int(os.environ.get("WEIR_DECISION_ROUTERS", "60"))
SEED = int(os.environ.get("WEIR_DECISION_SEED", "1"))
REQUESTS = 120  # for each router
ALONE = 6  # of these, so many are asked one by one with `weir route`
CLIENT = "127.0.0.1"

Decision = collections.namedtuple("Decision", "status rule service side group datacenter share bucket why")
Sent = collections.namedtuple("Sent", "target host")  # what the upstream gets


def refused(status):
    """Refused before any rule: only the status is compared."""
    return Decision(status, *[None] * 8)


def of_parts(status, rule, service, side, group, datacenter, share, bucket, why):
    if why in ("bad_path", "bad_host", "odd_name", "bad_connection", "-"):
        return refused(status)
    has_share = why.startswith("split_")
    return Decision(
        status if group is None else None,
        rule,
        service,
        side,
        group,
        datacenter,
        share if has_share else None,
        bucket if has_share or why == "weights" else None,
        why,
    )


# --- the seven ways ----------------------------------------------------------------------------------


def of_response(answer):
    if answer.status is None:
        return refused(400)  # the stream was reset: a malformed request (RFC 9113 section 8.1.1)
    told = answer.header("x-decision").split(" ")
    service, side, group, datacenter = [None if word == "-" else word for word in told[:4]]
    share, bucket = int(told[4]), int(told[5])
    return of_parts(answer.status, answer.header("x-rule"), service, side, group, datacenter, share, bucket, told[6])


def sent_of(answer):
    """The request as the upstream received it; None when it received none."""
    if answer.header("content-type") != "application/json" or not answer.body:
        return None
    got = json.loads(answer.body)
    return Sent(got["target"], dict((name.lower(), value) for name, value in got["headers"]).get("host") or None)


class Wire:
    """Asks the proxy on one connection, and on a new one when weir has closed it: (Decision, Sent)."""

    def __init__(self, connect):
        self.connect, self.client = connect, None

    def ask(self, request):
        for _ in range(2):
            if self.client is None:
                self.client = self.connect()
            try:
                answer = request(self.client)
            except (OSError, EOFError, AssertionError):
                self.client.close()
                self.client = None
                continue
            if answer.header("connection") == "close":
                self.client.close()
                self.client = None
            return of_response(answer), sent_of(answer)
        raise AssertionError("weir gives no answer")


def body_of(method):
    return b"" if method in ("POST", "PUT") else None


def raw(text):
    """Text in UTF-8, each byte as one character."""
    return text.encode().decode("latin-1")


def request_h1(client, target, host, request):
    method, _, _, fields, _ = request
    version = "1.0" if host is None else "1.1"
    client.send(request_bytes(raw(target), method, host, fields, body_of(method), version))
    return client.read(method)


def ask_h1(weir, requests):
    wire = Wire(weir.connect)
    return [
        wire.ask(lambda client, r=r: request_h1(client, r[2], r[1], r))
        for r in requests
    ]


def ask_h1_absolute(weir, requests):
    """The target names the host, and Host another one, which does not count (RFC 9112 section 3.2.2)."""
    wire = Wire(weir.connect)
    return [
        wire.ask(lambda client, r=r: request_h1(client, "http://%s%s" % r[1:3], "other.example", r))
        if r[1]
        else (None, None)
        for r in requests
    ]


def ask_h2(weir, requests):
    wire = Wire(weir.connect_h2)
    return [
        wire.ask(lambda client, r=r: client.request(r[2], method=r[0], authority=r[1], fields=r[3]))
        if r[4]
        else (None, None)
        for r in requests
    ]


def of_json(text):
    told = json.loads(text)
    assert "error" not in told, text
    share = None if told["share"] is None else round(told["share"] * 100000)
    parts = [told[key] for key in ("status", "rule", "service", "side", "group", "datacenter")]
    return of_parts(*parts, share, told["bucket"], told["why"])


def headers_of(fields):
    headers = {}
    for name, value in fields:
        headers.setdefault(name, []).append(value)
    return headers


def url_of(request):
    return "http://%s%s" % (request[1] or "nohost.example", request[2])


def question_of(request):
    method, host, _, fields, _ = request
    question = {"method": method, "url": url_of(request), "headers": headers_of(fields), "client": CLIENT}
    if host is None:
        question["http"] = "1.0"
        question["headers"]["Host"] = None
    return question


def ask_stdin(weir, requests):
    lines = [json.dumps(question_of(request)) for request in requests]
    done = run("route", "-c", weir.config_file, "--stdin", stdin="\n".join(lines) + "\n")
    assert done.returncode == 0, done.stderr
    return [of_json(line) for line in done.stdout.splitlines()]


def ask_alone(weir, request):
    method, host, _, fields, _ = request
    arguments = ["-X", method, "--client", CLIENT] + ([] if host else ["--http1.0", "-H", "Host:"])
    for name, value in fields:
        arguments += ["-H", "%s: %s" % (name, value)]
    done = run("route", "-c", weir.config_file, "--json", *arguments, url_of(request))
    assert done.returncode == 0, done.stderr
    return of_json(done.stdout)


def ask_library(weir, requests, is_trusted):
    routing = route_library.Routing(weir.config_file)
    decisions = []
    for method, host, target, fields, _ in requests:
        if is_trusted and {"X-Forwarded-For", "Forwarded"} & {name for name, _ in fields}:
            decisions.append((None, None))  # who the client is its caller says
            continue
        got, sent = routing.decide(method, host or "", raw(target), fields, CLIENT, is_trusted)
        words = [str(word) or None for word in (got.rule, got.service, got.group, got.datacenter)]
        side = (None, "legacy", "k8s")[got.side]
        decisions.append(
            (
                of_parts(got.status, words[0], words[1], side, words[2], words[3], got.share, got.bucket, str(got.why)),
                Sent(sent[0], sent[1] or None) if got.group.len else None,
            )
        )
    routing.close()
    return decisions


def expectations(decision, sent):
    if decision.why is None:
        return {"status": str(decision.status), "group": "none", "rule": "none"}
    keys = ("status", "rule", "service", "side", "group", "datacenter", "why")
    expect = {key: "none" if getattr(decision, key) is None else str(getattr(decision, key)) for key in keys}
    expect["share"] = "none" if decision.share is None else "%.3f%%" % (decision.share / 1000)
    if sent is not None:
        expect["path_sent"] = sent.target
        if sent.host is not None:
            expect["host_sent"] = sent.host
    return expect


def check_cases(weir, requests, decisions, sents):
    """The cases that `weir check --tests` reports as failed: [(index, message)]."""
    cases = [
        dict(question_of(request), name="case %d" % i, expect=expectations(decisions[i], sents[i]))
        for i, request in enumerate(requests)
    ]
    for case in cases:
        case["request"] = "%s %s" % (case.pop("method"), case.pop("url"))
    file = weir.directory / "cases.yaml"
    file.write_text("cases:\n" + "".join("- %s\n" % json.dumps(case) for case in cases))
    done = run("check", "-c", weir.config_file, "--tests", file)
    failed = re.findall(r"FAILED case (\d+)\n((?:    .*\n|  .*\n)*)", done.stdout)
    assert (done.returncode == 0) == (not failed), done.stdout + done.stderr
    return [(int(number), text) for number, text in failed]


def places(decisions):
    """The number of requests for each group, as `weir diff --log` counts them."""
    return collections.Counter(
        "%s: %s" % (d.service, d.group) if d.group is not None else "answer %d" % d.status for d in decisions
    )


def replay(weir, lines):
    log = weir.directory / "some.log"
    log.write_text("".join(line + "\n" for line in lines))
    done = run("diff", weir.config_file, weir.config_file, "--log", log)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = re.findall(r"^ {4}(\S.*?) +(\d+) +[0-9.]+% +(\d+) +[0-9.]+%$", done.stdout, re.M)
    assert all(before == after for _, before, after in rows)
    assert "not asked" not in done.stdout, done.stdout
    return collections.Counter({place: int(count) for place, count, _ in rows})


# --- the test ----------------------------------------------------------------------------------------


def configuration(up, surroundings, made, listener):
    address, port = up.address.rsplit(":", 1)
    config = dict(surroundings)
    config["workers"] = 1
    config["datacenters"] = {"local": "here", "primary": "there"}
    config["listeners"] = [{"name": "main", "bind": ["127.0.0.1:%d" % ports.free_port()], "router": "r", **listener}]
    config["groups"] = {"g%d" % i: {"endpoints": [up.address]} for i in range(5)}
    for group in ("g1", "g2"):
        config["groups"][group] = {"port": int(port), "hosts": {"here": address, "there": address}}
    config["routers"] = {"r": made}
    return config


def describe(config, request, answers):
    rules = json.dumps(config["routers"]["r"], indent=1, ensure_ascii=False)
    listener = json.dumps(config["listeners"][0])
    return "%r\n%s\n%s\n%s" % (request, "\n".join("%-8s %s" % item for item in answers.items()), listener, rules)


def is_in_the_log(request):
    """A log has no fields."""
    return not request[3]


@pytest.mark.parametrize("seed", range(SEED, SEED + ROUTERS))
def test_every_way_to_ask_gives_the_same_decision(weir, upstream, tmp_path, seed):
    rng = random.Random(seed)
    made, listener = random_routes.router(rng), random_routes.listener(rng)
    requests = [random_routes.request(rng, made) for _ in range(REQUESTS)]
    up = upstream(o.echo())
    config = configuration(up, weir.surroundings(tmp_path / "weir-0"), made, listener)
    site = weir(config=config)

    wires = {"h1": ask_h1(site, requests)}
    log = [json.dumps(entry) for entry in site.access_log(count=len(requests))]
    wires["absolute"], wires["h2"] = ask_h1_absolute(site, requests), ask_h2(site, requests)
    if route_library.path():
        wires["library"] = ask_library(site, requests, "trusted_proxies" in listener)
    ways = {way: [decision for decision, _ in got] for way, got in wires.items()}
    h1, sent = ways["h1"], [sent for _, sent in wires["h1"]]
    ways["stdin"] = ask_stdin(site, requests)
    alone = rng.sample(range(REQUESTS), ALONE)
    ways["route"] = [ask_alone(site, r) if i in alone else None for i, r in enumerate(requests)]

    problems = []
    for i, request in enumerate(requests):
        answers = {way: got[i] for way, got in ways.items() if got[i] is not None}
        if len(set(answers.values())) > 1:
            problems.append(describe(config, request, answers))
        upstreams = {way: got[i][1] for way, got in wires.items() if got[i][1] is not None}
        if sent[i] is not None and len(set(upstreams.values())) > 1:
            problems.append(describe(config, request, upstreams))
    for i, text in check_cases(site, requests, h1, sent):
        problems.append(describe(config, requests[i], {"h1": h1[i], "check": text}))
    logged = [i for i, request in enumerate(requests) if is_in_the_log(request) and h1[i].why is not None]
    if not problems:
        assert replay(site, [log[i] for i in logged]) == places(h1[i] for i in logged)
    assert not problems, "%d of %d requests:\n%s" % (len(problems), len(requests), "\n\n".join(problems[:3]))
