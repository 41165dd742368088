"""weir route by the line, from a wiki's name and at the prompt."""

import json
import os
import pty
import re
import subprocess
import time

import pytest

from harness import weir as h

EDGE = h.ROOT / "conf" / "edge.yaml"


def answers(*lines, arguments=()):
    text = "".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines)
    done = h.run("route", "-c", EDGE, "--stdin", *arguments, stdin=text)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


KEYS = ["status", "service", "side", "group", "target", "datacenter", "share", "bucket", "rule", "why", "dc_why", "primary_if"]


def test_a_line_in_a_line_out():
    (answer,) = answers({"method": "POST", "url": "https://aa.wikipedia.org/w/api.php", "headers": {}, "client": "192.0.2.1"})
    assert list(answer) == KEYS
    assert answer["target"] == "mw-api-ext.discovery.wmnet:4447" and answer["share"] == 1
    assert (answer["status"], answer["service"], answer["side"], answer["datacenter"]) == (None, "api", "k8s", "eqiad")
    assert (answer["rule"], answer["why"]) == ("api", "split_list")


def test_a_bad_line_is_answered_and_the_next_one_read():
    bad = ["nonsense", "", "{", '{"url":"a","url":"b"}', '{"url":"https://a/","client":"x"}', "[]", '{"x":1}']
    got = answers(*bad, {"url": "https://aa.wikipedia.org/"})
    assert [list(one) for one in got[:-1]] == [["error"]] * len(bad)
    assert got[-1]["group"] == "mw-web"


def test_a_line_that_is_too_long_is_answered():
    got = answers('{"url":"https://a/' + "x" * (3 << 20) + '"}', {"url": "https://aa.wikipedia.org/"})
    assert "too long" in got[0]["error"] and got[1]["group"] == "mw-web"


@pytest.mark.parametrize(
    "headers, http, status",
    [
        ({"Host": None}, "1.1", 400),
        ({"Host": None}, "1.0", None),
        ({"Host": ""}, "1.1", 400),
        ({"Host": ""}, "1.0", 400),
        ({"Host": ["a.example", "b.example"]}, "1.1", 400),
        ({"Host": ["a.example"]}, "1.1", None),
        ({"host": "a..b"}, "1.1", 400),
        ({"host": "-:443"}, "1.1", 400),
    ],
)
def test_hosts_are_judged_as_by_the_proxy(headers, http, status):
    (answer,) = answers({"url": "https://x.invalid/", "headers": headers, "http": http})
    assert answer["status"] == status


def test_the_debug_header_is_for_those_who_may():
    debug = {"url": "https://aa.wikipedia.org/", "headers": {"X-Wikimedia-Debug": "1"}}
    groups = [
        answer["group"]
        for answer in answers(
            debug,
            {**debug, "client": "192.0.2.1"},
            {**debug, "client": "10.1.2.3"},
            {**debug, "client": "192.0.2.1", "trusted": True},
            {**debug, "trusted": False},
        )
    ]
    assert groups == ["mwdebug1001", "mw-web", "mwdebug1001", "mwdebug1001", "mw-web"]
    assert answers({**debug, "client": "192.0.2.1"}, arguments=["--trusted"])[0]["group"] == "mwdebug1001"
    assert answers(debug, arguments=["--untrusted"])[0]["group"] == "mw-web"


def test_what_the_proxy_takes_from_strangers_does_not_route(tmp_path):
    conf = tmp_path / "weir.yaml"
    conf.write_text("""
listeners:
  - name: main
    bind: "127.0.0.1:8080"
    router: main
    trusted_proxies: [10.0.0.0/8]
    headers: { request: { remove_untrusted: [X-Choose] } }
groups: { a: { endpoints: ["127.0.0.1:1"] }, b: { endpoints: ["127.0.0.1:2"] } }
routers:
  main:
    rules:
      - { header: { X-Choose: "*" }, group: b }
      - { header: { X-Forwarded-Host: "*" }, group: b }
      - { group: a }
""")
    for field in ("X-Choose: 1", "X-Forwarded-Host: c"):
        for client, group in (("10.0.0.1", "b"), ("192.0.2.1", "a")):
            assert one_answer(conf, "--client", client, "-H", field)["group"] == group, (field, client)


def one_answer(conf, *arguments):
    return json.loads(h.run("route", "-c", conf, *arguments, "--json", "x.example/").stdout)


@pytest.mark.parametrize("mode, answer", [("drop", (None, "a")), ("keep", (None, "b")), ("reject", (400, None))])
def test_odd_names_route_as_in_the_proxy(tmp_path, mode, answer):
    conf = tmp_path / "weir.yaml"
    conf.write_text(f"""
listeners: [{{ name: main, bind: "127.0.0.1:8080", router: main, odd_names: {mode} }}]
groups: {{ a: {{ endpoints: ["127.0.0.1:1"] }}, b: {{ endpoints: ["127.0.0.1:2"] }} }}
routers:
  main:
    rules:
      - {{ header: {{ X_Choose: "*" }}, group: b }}
      - {{ group: a }}
""")
    got = one_answer(conf, "-H", "X_Choose: 1")
    assert (got["status"], got["group"]) == answer
    assert got["why"] == ("odd_name" if mode == "reject" else "plain")


def test_answers_come_while_the_pipe_is_open():
    command = [h.binary(), "route", "-c", str(EDGE), "--stdin"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        for _ in range(3):
            process.stdin.write(b'{"url":"https://aa.wikipedia.org/"}\n')
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["group"] == "mw-web"
        process.stdin.close()
        assert process.wait(10) == 0


def test_a_wiki_by_its_name_in_another_datacenter():
    trace = h.run("route", "-c", EDGE, "-w", "aawiki", "-d", "eqiad", "/wiki/X").stdout
    assert trace.startswith("GET aa.wikipedia.org/wiki/X\n")
    assert "eqiad (local and primary)" in trace and "is in list" in trace and "closed.txt:" in trace
    assert h.run("route", "-c", EDGE, "-w", "nowiki-at-all").returncode == 2
    assert h.run("route", "-c", EDGE, "-d", "nowhere", "aa.wikipedia.org").returncode == 2


def test_a_trace_has_every_step():
    trace = h.run("route", "-c", EDGE, "--client", "192.0.2.1", "https://en.m.wikipedia.org/w/api.php").stdout
    for words in ("enwiki, mobile", "rule        api", "service     api, split", "codfw (local)", "4% on k8s: the default",
                  "\u2265 4 %, from the client's address", "target ", "least request", "response 180s"):
        assert words in trace, trace


@pytest.mark.parametrize("share", ["4%", "0.001%", "71.5%", "50%", "99.999%"])
def test_a_trace_compares_percentages_that_agree_with_the_decision(tmp_path, share):
    (tmp_path / "edge.yaml").write_text(open(EDGE).read().replace("default: 4%", "default: " + share))
    for name in ("wikis.txt", "lists", "sites"):
        (tmp_path / name).symlink_to(h.ROOT / "conf" / name)
    for client in range(1, 40):
        done = h.run("route", "-v", "-c", tmp_path / "edge.yaml", "--client", "192.0.2.%d" % client, "https://de.wikipedia.org/")
        line = next(line for line in done.stdout.splitlines() if line.startswith("  bucket"))
        found = re.match(r"  bucket      ([\d.]+) % ([<\u2265]) ([\d.]+) %, .*  \(bucket (\d+), threshold (\d+) of 4294967296\)$", line)
        assert found, line
        is_below = int(found[4]) < int(found[5])
        assert (found[2] == "<") == is_below == (float(found[1]) < float(found[3])), line
        assert float(found[3]) == float(share[:-1])
        assert ("side        k8s" in done.stdout) == is_below


def test_the_prompt_works_in_a_pipe():
    text = "https://aa.wikipedia.org/wiki/X\nPOST aa.wikipedia.org/w/api.php -H 'X-Wikimedia-Debug: backend=1'\nhelp\njson on\naa.wikipedia.org\n"
    done = h.run("route", "-c", EDGE, stdin=text)
    assert done.returncode == 0, done.stderr
    assert "group       mw-web" in done.stdout and "backend 1" in done.stdout and "One request per line" in done.stdout
    assert json.loads(done.stdout.splitlines()[-1])["group"] == "mw-web"


def test_an_invalid_line_is_reported():
    done = h.run("route", "-c", EDGE, stdin="a b\nx -H\n'open\n")
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 3 and not done.stdout


def test_a_terminal_gets_a_prompt_completion_and_history(tmp_path):
    master, slave = pty.openpty()
    environment = {**os.environ, "HOME": str(tmp_path), "TERM": "dumb"}
    process = subprocess.Popen([h.binary(), "route", "-c", str(EDGE)], stdin=slave, stdout=slave, stderr=slave, env=environment)
    os.close(slave)
    seen = b""

    def read_until(words):
        nonlocal seen
        end = time.monotonic() + 10
        while words not in seen:
            assert time.monotonic() < end, seen
            seen += os.read(master, 4096)

    try:
        read_until(b"weir> ")
        os.write(master, b"zh-min-nan.wikib\t/wiki/X\n")  # the host alone is completed: a path may follow
        read_until(b"GET zh-min-nan.wikibooks.org/wiki/X")
        read_until(b"why         split_list")
        os.write(master, b"quit\n")
        assert process.wait(10) == 0
    finally:
        if process.poll() is None:
            process.kill()
        os.close(master)
    assert "zh-min-nan" in (tmp_path / ".weir_history").read_text()
