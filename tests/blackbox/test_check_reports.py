"""weir check: warnings, --strict, --json, and unused hosts."""

import json
import time

import pytest

from harness import ports
from harness import weir as h

GOOD = """\
listeners:
  - { name: main, bind: "127.0.0.1:8080", router: r }
groups:
  old: { endpoints: ["127.0.0.1:8081"] }
  new: { endpoints: ["127.0.0.1:8082"] }
wikis: wikis.txt
routers:
  r:
    services: { web: { legacy: old, k8s: new } }
    rules:
      - { name: special, host: "*.special.example", group: old }
      - { name: web, service: web }
    split:
      default: 4%
      wikis:
        - { list: closed.txt, k8s: 100% }
"""
WIKIS = "aawiki aa.example aa.m.example\nbbwiki bb.example -\nccwiki cc.special.example -\n"


@pytest.fixture
def check(tmp_path):
    def run(text=GOOD, *arguments, closed="aawiki\n", wikis=WIKIS):
        (tmp_path / "edge.yaml").write_text(text)
        (tmp_path / "closed.txt").write_text(closed)
        (tmp_path / "wikis.txt").write_text(wikis)
        return h.run("check", "-c", "edge.yaml", *arguments, cwd=tmp_path)

    return run


def test_a_warning_does_not_fail_a_check_unless_it_is_strict(check):
    shadowed = GOOD.replace("      - { name: web,", "      - { name: first, path: /, group: old }\n      - { name: web,")
    done = check(shadowed)
    assert done.returncode == 0 and "warning: rule \"web\" can never match" in done.stderr, done.stderr
    assert check(shadowed, "--strict").returncode == 1
    assert check(GOOD, "--strict").returncode == 0


def test_a_share_that_a_rule_makes_void_is_reported(check):
    done = check(closed="aawiki\ncc.special.example\n")
    assert "closed.txt:2:1: warning: the share of \"cc.special.example\" never applies: rule \"special\"" in done.stderr


def test_a_host_that_no_wiki_has_is_reported(check):
    done = check(closed="aawiki\naaa.example\nx.special.example\n")
    assert "closed.txt:2:1: warning: \"aaa.example\" has a share, but no wiki" in done.stderr, done.stderr
    assert "no wiki" not in done.stderr.replace("aaa.example", "", 1).split("no wiki", 1)[1], done.stderr


def test_coverage_reports_hosts_that_no_rule_and_no_list_names(check):
    done = check(GOOD, "--coverage")
    assert done.returncode == 0
    assert [line for line in done.stdout.splitlines() if "no rule and no list" in line] == [
        "wikis.txt:2:1: no rule and no list names bb.example (bbwiki)"
    ]


def test_json_has_what_the_lines_say(check, tmp_path):
    (tmp_path / "cases.yaml").write_text("cases:\n  - request: https://aa.example/\n    expect: { side: legacy }\n")
    done = check(GOOD, "--json", "--tests", "cases.yaml", "--coverage", closed="aawiki\naaa.example\n")
    answer = json.loads(done.stdout)
    assert done.returncode == 1 and not done.stderr
    assert (answer["config"], answer["ok"], answer["errors"], answer["warnings"], answer["failed_cases"]) == ("edge.yaml", False, 0, 1, 1)
    kinds = [report["kind"] for report in answer["reports"]]
    assert kinds.count("warning") == 1 and kinds.count("case") == 1 and kinds.count("coverage") >= 2
    warning = next(report for report in answer["reports"] if report["kind"] == "warning")
    assert (warning["file"], warning["line"], warning["column"]) == ("closed.txt", 2, 1)
    case = next(report for report in answer["reports"] if report["kind"] == "case")
    assert (case["file"], case["line"]) == ("cases.yaml", 3) and "expected legacy, got k8s" in case["text"]


def test_json_of_errors_and_certificates(check):
    done = check(GOOD.replace("k8s: new", "k8s: nwe"), "--json")
    report = json.loads(done.stdout)
    assert done.returncode == 1 and report["errors"] == 1 and not report["ok"]
    assert report["reports"][0]["line"] == 9 and '"nwe"' in report["reports"][0]["text"]
    tls = 'router: r, tls: { certificates: [{ chain: "a b:c.pem", key: k }] }'
    done = check(GOOD.replace("router: r", tls, 1), "--json")
    report = json.loads(done.stdout)["reports"][0]
    assert (report["kind"], report["file"], report["line"]) == ("error", "edge.yaml", 2) and "a b:c.pem" in report["text"]


@pytest.mark.parametrize("text", ["", "\n", "# all of them\n", "\ufeff# none\r\n"])
def test_an_empty_list_is_an_error_unless_it_is_allowed(check, text):
    done = check(closed=text)
    assert done.returncode == 1 and "edge.yaml:16:19: \"closed.txt\" has no names" in done.stderr, done.stderr
    assert len(done.stderr.splitlines()) == 1
    allowed = GOOD.replace("list: closed.txt,", "list: closed.txt, empty: allowed,")
    assert check(allowed, closed=text).returncode == 0
    assert "expected allowed" in check(allowed.replace("empty: allowed", "empty: yes"), closed=text).stderr


@pytest.mark.parametrize("text", ["", "# all of them\n"])
def test_an_empty_table_of_wikis_is_an_error_unless_it_is_allowed(check, text):
    done = check(wikis=text, closed="a.example\n")
    assert done.returncode == 1 and "edge.yaml:6:8: \"wikis.txt\" has no names" in done.stderr, done.stderr
    allowed = GOOD.replace("wikis: wikis.txt", "wikis: { file: wikis.txt, empty: allowed }")
    assert check(allowed, wikis=text, closed="a.example\n").returncode == 0
    assert check(allowed).returncode == 0


def test_a_list_that_shrank_is_a_warning_at_reload(weir, upstream, tmp_path):
    group = {"endpoints": [upstream().address]}
    (tmp_path / "closed.txt").write_text("".join("w%d.example\n" % n for n in range(10)))
    split = {"wikis": [{"list": str(tmp_path / "closed.txt"), "k8s": "100%"}]}
    w = weir(
        config={
            "listeners": [{"name": "main", "bind": ["127.0.0.1:%d" % ports.free_port()], "router": "r"}],
            "groups": {"old": group, "new": group},
            "routers": {"r": {"services": {"web": {"legacy": "old", "k8s": "new"}}, "rules": [{"service": "web"}], "split": split}},
        }
    )
    for names, is_told in [(9, False), (6, True), (6, False), (20, False)]:
        (tmp_path / "closed.txt").write_text("".join("w%d.example\n" % n for n in range(names)))
        w.reload()
        last = json.loads(w.admin("/config/status")[1])["last_reload"]
        assert last["successful"]
        assert any("had 9 names and has 6" in line for line in last["warnings"]) == is_told, last
    assert w.log.count("had 9 names and has 6") == 1
    (tmp_path / "closed.txt").write_text("")
    w.reload(good=False)


def test_a_large_configuration_is_checked_quickly(check):
    rules = "".join('      - { name: r%d, host: [%s], path: /x, group: old }\n' % (n, ", ".join("h%d-%d.example" % (n, m) for m in range(100))) for n in range(1000))
    hosts = "".join("h%d-%d.example\n" % (n, m) for n in range(1000) for m in range(100))
    start = time.monotonic()
    done = check(GOOD.replace("      - { name: special", rules + "      - { name: special"), "--coverage", closed=hosts)
    assert done.returncode == 0, done.stderr[:2000]
    assert time.monotonic() - start < 10


# --- certificates ------------------------------------------------------------------------------------


def tls(text, certificate, *more):
    files = ", ".join("{ chain: %s, key: %s }" % (one.chain, one.key) for one in (certificate, *more))
    return text.replace("router: r }", "router: r, tls: { certificates: [%s] } }" % files, 1)


def test_a_missing_intermediate_is_a_warning(check, ca, tmp_path):
    (tmp_path / "middle").mkdir()
    leaf = ca.intermediate(tmp_path / "middle", "middle").leaf("aa.example", "*.special.example")
    whole = open(leaf.chain).read()
    done = check(tls(GOOD, leaf))
    assert "missing" not in done.stderr, done.stderr
    first = whole[: whole.index("-----END CERTIFICATE-----")] + "-----END CERTIFICATE-----\n"
    with open(leaf.chain, "w") as file:
        file.write(first)
    done = check(tls(GOOD, leaf))
    assert done.returncode == 0
    assert "edge.yaml:2:" in done.stderr and "warning:" in done.stderr and "intermediate certificate missing" in done.stderr, done.stderr
    # An authority that the configuration names is known.
    direct = ca.leaf("aa.example", "bb.example")
    known = tls(GOOD, direct).replace('old: { endpoints: ["127.0.0.1:8081"] }', 'old: { endpoints: ["127.0.0.1:8081"], tls: { ca: %s } }' % ca.file)
    assert "missing" not in check(known).stderr


@pytest.mark.parametrize(
    "names, is_covered",
    [
        (["aa.example"], True),
        (["*.example"], True),
        (["bb.example"], False),
        (["*.aa.example", "example"], False),
    ],
)
def test_a_host_that_no_certificate_covers_is_a_warning(check, ca, names, is_covered):
    done = check(tls(GOOD, ca.leaf(*names)))
    assert done.returncode == 0
    warning = 'closed.txt:1:1: warning: listener "main" has no certificate for "aa.example"'
    assert (warning in done.stderr) != is_covered, done.stderr


def test_a_second_certificate_covers_too_and_others_are_counted(check, ca):
    done = check(tls(GOOD, ca.leaf("*.other.example"), ca.leaf("aa.example")))
    assert "has no certificate" not in done.stderr
    done = check(tls(GOOD, ca.leaf("*.other.example")), closed="aawiki\nbbwiki\n")
    assert 'for "aa.example" and 1 more hosts' in done.stderr, done.stderr


def test_a_missing_directory_of_certificates_is_one_error(check):
    files = "{ chain: nowhere/a.pem, key: nowhere/a.key }, { chain: nowhere/b.pem, key: nowhere/b.key }"
    done = check(GOOD.replace("router: r }", "router: r, tls: { certificates: [%s] } }" % files, 1))
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1 and "there is no directory nowhere" in done.stderr, done.stderr
