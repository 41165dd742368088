"""weir diff: the changes, and the hosts and requests that they affect."""

import json

import pytest

from harness import weir as h

OLD = """\
listeners:
  - { name: main, bind: ["127.0.0.1:8080"], router: mediawiki }
groups:
  appservers: { endpoints: ["127.0.0.1:8081"] }
  mw-web: { endpoints: ["127.0.0.1:8082"] }
  other: { endpoints: ["127.0.0.1:8083"] }
routers:
  mediawiki:
    services:
      web: { legacy: appservers, k8s: mw-web }
    rules:
      - { name: web, service: web }
    sticky: { key: [client-ip], salt: a }
    split:
      default: 4%
      wikis:
        - { hosts: [test.wikipedia.org], k8s: 100% }
        - { hosts: [vote.wikimedia.org], k8s: 0% }
"""


@pytest.fixture
def diff(tmp_path):
    """diff(new): the exit code and the lines of weir diff from OLD to that."""

    def run(new, *arguments, stdin=None):
        (tmp_path / "old.yaml").write_text(OLD)
        (tmp_path / "new.yaml").write_text(new)
        done = h.run("diff", *arguments, "old.yaml", "new.yaml", stdin=stdin, cwd=tmp_path)
        return done.returncode, (done.stdout + done.stderr).splitlines()

    return run


def test_nothing_changes(diff):
    assert diff(OLD) == (0, ["nothing changes"])
    assert diff("# a comment\n" + OLD.replace("default: 4%", "default: 0.04"))[0] == 0


def test_shares_are_compared_host_by_host(diff):
    code, lines = diff(OLD.replace("default: 4%", "default: 5%").replace("k8s: 0%", "k8s: 15%"))
    assert code == 1
    text = "\n".join(line.strip() for line in lines)
    assert "0% -> 15%  1 host\nvote.wikimedia.org" in text, text
    assert "4% -> 5%  1 host\nevery host that is in no list" in text, text
    assert "test.wikipedia.org" not in text


def test_a_share_that_is_written_elsewhere_does_not_change(diff, tmp_path):
    (tmp_path / "pinned.list").write_text("test.wikipedia.org\n")
    code, lines = diff(OLD.replace("hosts: [test.wikipedia.org]", "list: pinned.list"))
    assert (code, lines) == (0, ["nothing changes"])


@pytest.mark.parametrize(
    "old, new, words",
    [
        ("127.0.0.1:8080", "127.0.0.1:8090", ["~ listeners[main].bind", "[127.0.0.1:8080] -> [127.0.0.1:8090]"]),
        ("127.0.0.1:8082", "127.0.0.1:8092", ["~ groups.mw-web.endpoints"]),
        ("  other: {", "  another: {", ["+ groups.another.endpoints"]),
        ("{ name: web, service: web }", "{ name: web, service: web }\n      - { name: x, host: x.org, group: other }", ["+ routers.mediawiki.rules[x].host"]),
        ("salt: a", "salt: b", ["~ routers.mediawiki.sticky.salt", "a -> b"]),
    ],
)
def test_keys_that_change_are_named(diff, old, new, words):
    assert old in OLD
    code, lines = diff(OLD.replace(old, new, 1))
    assert code == 1
    assert any(all(word in line for word in words) for line in lines), lines


def json_line(host, client, path="/wiki/X", why="split_default", bucket=None):
    entry = {"time": "2023-09-01T00:00:00.000Z", "client": client, "method": "GET", "host": host, "path": path, "status": 200, "why": why}
    if bucket is not None:
        entry.update(share=4.0, bucket=bucket)
    return json.dumps(entry, separators=(",", ":")) + "\n"


def combined_line(client, target="/wiki/X", vhost=""):
    return '%s%s - - [01/Sep/2023:00:00:00 +0000] "GET %s HTTP/1.1" 200 1 "-" "curl"\n' % (vhost, client, target)


CLIENTS = ["192.0.2.%d" % n for n in range(200)]
UP = OLD.replace("default: 4%", "default: 50%")


def moved(lines):
    (line,) = [line for line in lines if line.startswith("log ")]
    words = line.split()
    return int(words[2]), int(words[4])


def decided(config, tmp_path, clients):
    (tmp_path / "one.yaml").write_text(config)
    text = "".join('{"url":"https://en.wikipedia.org/wiki/X","client":"%s"}\n' % client for client in clients)
    done = h.run("route", "-c", tmp_path / "one.yaml", "--stdin", stdin=text)
    return [json.loads(line)["group"] for line in done.stdout.splitlines()]


FORMATS = {
    "json": lambda client: json_line("en.wikipedia.org", client),
    "vhost": lambda client: combined_line(client, vhost="en.wikipedia.org:443 "),
    "absolute": lambda client: combined_line(client, target="https://en.wikipedia.org/wiki/X"),
}


@pytest.mark.parametrize("name", FORMATS)
def test_a_log_moves_exactly_the_clients_that_move(diff, tmp_path, name):
    before, after = decided(OLD, tmp_path, CLIENTS), decided(UP, tmp_path, CLIENTS)
    expected = sum(1 for a, b in zip(before, after) if a != b)
    assert expected > 50
    code, lines = diff(UP, "--log", "-", stdin="".join(map(FORMATS[name], CLIENTS)))
    assert code == 1 and moved(lines) == (expected, len(CLIENTS)), lines
    table = {line.split(":")[1].split()[0]: line.split() for line in lines if line.startswith("    web: ") and "->" not in line}
    assert int(table["mw-web"][2]) == before.count("mw-web") and int(table["mw-web"][4]) == after.count("mw-web")


def test_the_bucket_of_the_log_is_believed(diff):
    text = "".join(json_line("en.wikipedia.org", "192.0.2.1", bucket=n * 2**32 // 100) for n in range(100))
    code, lines = diff(UP, "--log", "-", stdin=text)
    assert moved(lines) == (46, 100), lines


def test_combined_lines_need_a_host(diff):
    text = "".join(map(combined_line, CLIENTS))
    assert any("without a host" in line and "200" in line for line in diff(UP, "--log", "-", stdin=text)[1])
    assert moved(diff(UP, "--log", "-", "--host", "test.wikipedia.org", stdin=text)[1]) == (0, 200)


def test_what_cannot_be_replayed_is_counted(diff):
    text = json_line("en.wikipedia.org", "192.0.2.1", why="debug") + "nonsense\n" + '{"x":1}\n' + json_line("a.example", "192.0.2.1")
    code, lines = diff(UP, "--log", "-", stdin=text)
    assert moved(lines)[1] == 1
    assert any("1  with a debug header" in line for line in lines), lines
    assert any("2  lines that are not" in line for line in lines), lines


def test_escaped_lines_read_the_same(diff):
    plain, escaped = json_line("en.wikipedia.org", "192.0.2.1"), json_line("en.wikipedia.org", "192.0.2.1", path='/wiki/"X')
    assert moved(diff(OLD, "--log", "-", stdin=plain + escaped)[1]) == (0, 2)


def test_another_target_of_the_same_group_is_a_move(diff):
    code, lines = diff(OLD.replace("127.0.0.1:8081", "127.0.0.1:8091"), "--log", "-", stdin=json_line("vote.wikimedia.org", "192.0.2.1"))
    assert moved(lines) == (1, 1)
    assert any("another target" in line for line in lines)


def test_errors_are_not_differences(diff, tmp_path):
    assert diff(OLD.replace("default: 4%", "default: 140%"))[0] == 2
    assert diff(UP, "--log", "nowhere.log")[0] == 2
    assert h.run("diff", tmp_path / "one.yaml").returncode == 2
