"""weir check, weir route and help: the commands that print a result and exit."""

import json

import pytest

from harness import weir as h


@pytest.fixture
def check(tmp_path):
    """check(text): the exit code and the output lines of weir check."""

    def run(text, **files):
        path = tmp_path / "edge.yaml"
        path.write_text(text)
        done = h.run("check", "-c", path)
        return done.returncode, (done.stdout + done.stderr).replace(str(tmp_path) + "/", "").splitlines()

    return run


GOOD = """\
listeners:
  - { name: main, bind: ["127.0.0.1:8080"], router: mediawiki }
groups:
  appservers: { endpoints: ["127.0.0.1:8081"] }
  mw-web: { endpoints: ["127.0.0.1:8082"] }
  mw-debug: { endpoints: ["127.0.0.1:8083"] }
routers:
  mediawiki:
    services:
      web: { legacy: appservers, k8s: mw-web }
    rules:
      - { service: web }
    debug: { backends: { k8s-experimental: mw-debug } }
    split:
      default: 4%
      wikis:
        - { hosts: [test.wikipedia.org], k8s: 100% }
"""


def test_a_good_configuration_passes(check):
    code, lines = check(GOOD)
    assert code == 0, lines


# what is changed in GOOD, and the place and words of the complaint
WRONG = {
    "unknown group": ("k8s: mw-web }", "k8s: mw-wbe }", "edge.yaml:10:", ['"mw-wbe"', 'did you mean "mw-web"?']),
    "unknown key": ("bind:", "bund:", "edge.yaml:2:", ['"bund"', '"bind"']),
    "unknown service": ("{ service: web }", "{ service: wbe }", "edge.yaml:12:", ['"wbe"', '"web"']),
    "unknown router": ("router: mediawiki }", "router: mediwiki }", "edge.yaml:2:", ['"mediwiki"', '"mediawiki"']),
    "share above 100": ("default: 4%", "default: 140%", "edge.yaml:15:", ["140%"]),
    "share that is text": ("default: 4%", "default: some", "edge.yaml:15:", ["some"]),
    "negative share": ("default: 4%", "default: -1%", "edge.yaml:15:", ["-1%"]),
    "share finer than 0.001 %": ("default: 4%", "default: 0.0001%", "edge.yaml:15:", ["0.0001%"]),
    "bad address": ('"127.0.0.1:8080"', '"127.0.0.1:99999"', "edge.yaml:2:", ["127.0.0.1:99999"]),
    "bad host": ("test.wikipedia.org", "'test wikipedia'", "edge.yaml:17:", ["test wikipedia"]),
    "not yaml": ("listeners:", "listeners: [", "edge.yaml:", []),
    "a list where a map belongs": ("groups:\n", "groups: []\nother:\n", "edge.yaml:3:", []),
    "missing router": ("router: mediawiki }", "}", "edge.yaml:2:", []),
}


@pytest.mark.parametrize("name", WRONG)
def test_an_error_names_the_place_and_what_was_expected(check, name):
    old, new, place, words = WRONG[name]
    assert old in GOOD
    code, lines = check(GOOD.replace(old, new, 1))
    assert code == 1
    matching = [line for line in lines if line.startswith(place)]
    assert matching, lines
    column = matching[0].split(":")[2]
    assert column.isdigit() and int(column) >= 1
    assert any(all(word in line for word in words) for line in matching), lines


def test_all_errors_are_reported_not_only_the_first(check):
    text = GOOD.replace("default: 4%", "default: 140%").replace("k8s: mw-web }", "k8s: nowhere }").replace("bind:", "bund:")
    code, lines = check(text)
    assert code == 1
    for place in ("edge.yaml:2:", "edge.yaml:10:", "edge.yaml:15:"):
        assert any(line.startswith(place) for line in lines), lines


def test_a_host_with_two_shares_is_an_error_that_names_both_lines(check):
    text = GOOD + "        - { hosts: [test.wikipedia.org], k8s: 0% }\n"
    code, lines = check(text)
    assert code == 1
    assert any("edge.yaml:18" in line and "17" in line and "test.wikipedia.org" in line for line in lines), lines


def test_a_host_in_two_lists_with_different_shares_is_an_error(check, tmp_path):
    (tmp_path / "a.list").write_text("x.wikipedia.org\n")
    (tmp_path / "b.list").write_text("y.wikipedia.org\nx.wikipedia.org\n")
    text = GOOD + "        - { list: a.list, k8s: 0% }\n        - { list: b.list, k8s: 100% }\n"
    code, lines = check(text)
    assert code == 1
    assert any("x.wikipedia.org" in line for line in lines), lines


def test_a_host_that_overrides_a_list_is_a_note(check, tmp_path):
    (tmp_path / "closed.list").write_text("test.wikipedia.org\nx.wikipedia.org\n")
    code, lines = check(GOOD + "        - { list: closed.list, k8s: 0% }\n")
    assert code == 0, lines
    assert any("test.wikipedia.org" in line for line in lines), lines


def test_a_missing_list_is_an_error(check):
    code, lines = check(GOOD + "        - { list: nowhere.list, k8s: 0% }\n")
    assert code == 1
    assert any(line.startswith("edge.yaml:18:") and "nowhere.list" in line for line in lines), lines


def test_two_listeners_on_one_address_are_an_error(check):
    second = '  - { name: second, bind: ["127.0.0.1:8080"], router: mediawiki }\n'
    code, lines = check(GOOD.replace("groups:\n", second + "groups:\n", 1))
    assert code == 1
    assert any("127.0.0.1:8080" in line for line in lines), lines


def test_a_key_given_twice_is_an_error(check):
    code, lines = check(GOOD.replace("      default: 4%\n", "      default: 4%\n      default: 5%\n"))
    assert code == 1
    assert any(line.startswith("edge.yaml:16:") for line in lines), lines


@pytest.mark.parametrize("share", ["4%", "0.04", "100%", "1", "0", "true", "false", "0.005%", "12.345%"])
def test_shares_may_be_written_in_several_ways(check, share):
    code, lines = check(GOOD.replace("default: 4%", "default: " + share))
    assert code == 0, lines


def test_certificates_are_looked_at(check, tmp_path, ca, leaf):
    other = ca.leaf("other.example")
    tls = 'bind: ["127.0.0.1:8080"], tls: { certificates: [{ chain: %s, key: %s }] }'
    plain = 'bind: ["127.0.0.1:8080"]'
    assert check(GOOD.replace(plain, tls % (leaf.chain, leaf.key)))[0] == 0
    for chain, key, word in [
        ("nowhere.pem", leaf.key, "nowhere.pem"),
        (leaf.chain, "nowhere.key", "nowhere.key"),
        (leaf.chain, other.key, "key"),
        (leaf.key, leaf.key, "certificate"),
    ]:
        code, lines = check(GOOD.replace(plain, tls % (chain, key)))
        assert code == 1
        assert any(line.startswith("edge.yaml:2:") and word in line for line in lines), lines


def test_check_reports_what_a_start_would_refuse(check, tmp_path):
    (tmp_path / "junk.pem").write_text("junk\n")
    group = 'appservers: { endpoints: ["127.0.0.1:8081"]'
    for old, new, word in [
        (group, group + ", tls: { ca: %s/junk.pem }" % tmp_path, "edge.yaml:4:"),
        (group, group + ", tls: { ciphers: NONSENSE }", "edge.yaml:4:"),
        ("groups:", "ticket_keys: [%s/junk.pem]\ngroups:" % tmp_path, "ticket_keys"),
    ]:
        code, lines = check(GOOD.replace(old, new))
        assert code == 1, lines
        assert any(line.startswith(word) for line in lines), lines


def test_an_expired_certificate_is_reported(check, ca):
    old = ca.leaf("wiki.example", days=-10)
    tls = 'bind: ["127.0.0.1:8080"], tls: { certificates: [{ chain: %s, key: %s }] }' % (old.chain, old.key)
    _, lines = check(GOOD.replace('bind: ["127.0.0.1:8080"]', tls))
    assert any("expired" in line for line in lines), lines


def test_the_shipped_configurations_pass():
    conf = h.ROOT / "conf"
    shipped = sorted(conf.glob("*.yaml"))
    assert {path.name for path in shipped} >= {"demo.yaml", "edge.yaml", "sidecar.yaml"}
    for name in ("demo.yaml", "edge.yaml", "sidecar.yaml"):
        done = h.run("check", "-c", conf / name)
        # Certificates of a real site are not in the repository; everything else has to be right.
        errors = [
            line
            for line in (done.stdout + done.stderr).splitlines()
            if ": note:" not in line and "cannot read" not in line
        ]
        assert done.returncode == 0 or not [line for line in errors if name + ":" in line], errors


# --- cases -------------------------------------------------------------------------------------------

CASES = """\
cases:
  - name: the test wiki is on Kubernetes
    request: GET https://test.wikipedia.org/wiki/X
    expect: { side: k8s, share: 100%, group: mw-web }
  - request: https://en.wikipedia.org/wiki/X
    expect: { side: split, share: 0.04, group: [mw-web, appservers], status: null }
"""


@pytest.fixture
def cases(tmp_path):
    """cases(text, *arguments): the exit code and the lines of weir check --tests on GOOD."""

    def run(text, *arguments, config=GOOD):
        (tmp_path / "edge.yaml").write_text(config)
        (tmp_path / "cases.yaml").write_text(text)
        done = h.run("check", "-c", tmp_path / "edge.yaml", "--tests", tmp_path / "cases.yaml", *arguments)
        return done.returncode, (done.stdout + done.stderr).replace(str(tmp_path) + "/", "").splitlines()

    return run


def test_cases_that_hold(cases):
    code, lines = cases(CASES)
    assert code == 0 and "cases.yaml: ok (2 cases)" in lines, lines


def test_a_case_that_fails_says_where_what_was_expected_and_what_came(cases):
    code, lines = cases(CASES, config=GOOD.replace("k8s: 100%", "k8s: 50%"))
    assert code == 1
    assert "cases.yaml:2:5: FAILED the test wiki is on Kubernetes" in lines, lines
    at = next(n for n, line in enumerate(lines) if line.startswith("  side"))
    assert "cases.yaml:4:21" in lines[at]
    assert lines[at + 1].split() == ["expected", "k8s"]
    assert set(lines[at + 2].split()) == {"got", "k8s", "or", "legacy"}
    assert lines[-1] == "cases.yaml: 1 of 2 cases failed"


@pytest.mark.parametrize(
    "old, new, place, word",
    [
        ("side: k8s", "sied: k8s", "cases.yaml:4:", '"side"'),
        ("share: 100%", "share: 101%", "cases.yaml:4:", "101%"),
        ("expect: { side: k8s, share: 100%, group: mw-web }", "expect: {}", "cases.yaml:4:", "expect"),
        ("request: GET", "requset: GET", "cases.yaml:3:", '"request"'),
        ("https://test.wikipedia.org/wiki/X", "https://test.wikipedia.org/a b", "cases.yaml:2:", "FAILED"),
    ],
)
def test_an_invalid_case_is_reported(cases, old, new, place, word):
    assert old in CASES
    code, lines = cases(CASES.replace(old, new))
    assert code == 1
    assert any(line.startswith(place) and word in line for line in lines), lines


def test_coverage_lists_what_no_case_reaches(cases):
    code, lines = cases(CASES.split("  - request")[0], "--coverage")
    assert code == 0
    missing = [line for line in lines if "no case reaches" in line]
    assert [line.split(":")[1] for line in missing] == ["15", "13"], lines
    assert "k8s-experimental" in missing[1]


def test_cases_may_name_client_trust_and_version(cases):
    text = """\
cases:
  - request: GET https://x.invalid/
    http: "1.0"
    headers: { Host: null }
    expect: { side: legacy, why: no_host }
  - request: GET https://x.invalid/
    headers: { Host: [a.example, b.example] }
    expect: { status: 400 }
  - request: GET https://test.wikipedia.org/
    trusted: false
    headers: { X-Wikimedia-Debug: nonsense }
    expect: { group: mw-web }
  - request: GET https://test.wikipedia.org/
    client: 192.0.2.1
    headers: { X-Wikimedia-Debug: nonsense }
    expect: { group: mw-web }
  - request: GET https://test.wikipedia.org/
    headers: { X-Wikimedia-Debug: nonsense }
    expect: { group: none, status: 400 }
"""
    code, lines = cases(text)
    assert code == 0, lines


def test_the_promises_of_the_shipped_edge_hold():
    conf = h.ROOT / "conf"
    done = h.run("check", "-q", "--no-certificates", "-c", conf / "edge.yaml", "--tests", conf / "edge.tests.yaml")
    assert done.returncode == 0, done.stdout + done.stderr


# --- route -------------------------------------------------------------------------------------------


def route(tmp_path, *arguments):
    path = tmp_path / "edge.yaml"
    path.write_text(GOOD)
    return h.run("route", "-c", path, *arguments)


def test_route_prints_the_group_and_the_reason(tmp_path):
    done = route(tmp_path, "https://test.wikipedia.org/wiki/X")
    assert done.returncode == 0
    assert "mw-web" in done.stdout and "test.wikipedia.org" in done.stdout


def test_route_as_json(tmp_path):
    answer = json.loads(route(tmp_path, "--json", "https://test.wikipedia.org/wiki/X").stdout)
    assert (answer["service"], answer["side"], answer["group"]) == ("web", "k8s", "mw-web")


def test_route_honours_the_debug_header(tmp_path):
    done = route(tmp_path, "--json", "-H", "X-Wikimedia-Debug: backend=k8s-experimental", "https://en.wikipedia.org/")
    assert json.loads(done.stdout)["group"] == "mw-debug"


def test_route_prints_an_answer_without_a_group(tmp_path):
    done = route(tmp_path, "--json", "-H", "X-Wikimedia-Debug: nowhere", "https://en.wikipedia.org/")
    assert json.loads(done.stdout)["status"] == 400


# --- help --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["check", "--help"], ["route", "--help"], ["diff", "--help"], ["import", "--help"], ["demo", "--help"]])
def test_help_is_for_people(arguments):
    done = h.run(*arguments)
    assert done.returncode == 0 and "weir" in done.stdout and len(done.stdout) > 100 and not done.stderr
    assert all(len(line) <= 100 for line in done.stdout.splitlines())


def test_version_prints_the_version():
    done = h.run("--version")
    assert done.returncode == 0 and done.stdout.startswith("weir ")


@pytest.mark.parametrize("arguments", [[], ["nonsense"], ["run"], ["run", "--nonsense"], ["check", "-c"]])
def test_a_wrong_command_line_is_explained(arguments):
    done = h.run(*arguments)
    assert done.returncode != 0 and done.stderr and not done.stdout
