"""weir import: the Lua table of the original split and lists of database names, as YAML with doubts."""

import csv

import pytest
import yaml

from harness import weir as h

DATA = h.ROOT.parent / "shared" / "data" / "wikimedia"

LUA = """\
-- Loads per host: 0 or false is legacy, 1 or true is k8s.
return {
    ["default"] = 0.04, -- T341780
    -- excluded
    ["www.wikidata.org"] = 0,
    ['commons.wikimedia.org'] = false,
    ["test-commons.wikimedia.org"] = 0,
    -- closed
    ["aa.wikipedia.org"] = 1,
    ["test-commons.wikimedia.org"] = 1,
    ["de.m.wikipedia.org"] = 1,
    ["m.mediawiki.org"] = true,
    ["nobody.example.org"] = 1,
    ["EN.wikipedia.org"] = 1,
    ["aa.wikibooks.org:443"] = 1,
    ["ab.wikipedia.org"] = 1.5,
    ["ace.wikipedia.org"] = "some",
    something else
}
"""

WIKIS = """\
aawiki aa.wikipedia.org aa.m.wikipedia.org
abwiki ab.wikipedia.org ab.m.wikipedia.org
acewiki ace.wikipedia.org ace.m.wikipedia.org
commonswiki commons.wikimedia.org commons.m.wikimedia.org
mediawikiwiki www.mediawiki.org m.mediawiki.org
testcommonswiki test-commons.wikimedia.org -
wikidatawiki www.wikidata.org m.wikidata.org
"""

WHOLE = """\
listeners:
  - { name: main, bind: ["127.0.0.1:8080"], router: mediawiki }
wikis: wikis.txt
groups:
  appservers: { endpoints: ["127.0.0.1:8081"] }
  mw-web: { endpoints: ["127.0.0.1:8082"] }
routers:
  mediawiki:
    services: { web: { legacy: appservers, k8s: mw-web } }
    rules: [{ service: web }]
    split: { include: split.yaml }
"""


def imported(tmp_path, lua, *more, wikis=WIKIS):
    (tmp_path / "table.lua.conf").write_text(lua)
    (tmp_path / "wikis.txt").write_text(wikis)
    return h.run("import", "--wikis", "wikis.txt", "table.lua.conf", *more, cwd=tmp_path)


def shares(text):
    split = yaml.safe_load(text)["split"]
    return split["default"], {host: item["k8s"] for item in split["wikis"] for host in item.get("hosts", ())}


def doubts(done):
    return [line for line in done.stdout.splitlines() if line.startswith("# DOUBT: ")]


def test_the_table_becomes_yaml(tmp_path):
    default, hosts = shares(imported(tmp_path, LUA).stdout)
    assert default == "4%"
    assert hosts == {
        "www.wikidata.org": "0%",
        "commons.wikimedia.org": "0%",
        "aa.wikipedia.org": "100%",
        "test-commons.wikimedia.org": "100%",
        "m.mediawiki.org": "100%",
        "nobody.example.org": "100%",
        "ab.wikipedia.org": "100%",
    }


@pytest.mark.parametrize(
    "words",
    [
        ["test-commons.wikimedia.org", "twice", "0 (table.lua.conf:7)", "1 (table.lua.conf:10)"],
        ["de.m.wikipedia.org", "table.lua.conf:11", "never found"],
        ["nobody.example.org", "table.lua.conf:13", "no wiki"],
        ["EN.wikipedia.org", "table.lua.conf:14", "lower-cased"],
        ["aa.wikibooks.org:443", "table.lua.conf:15", "not a host name"],
        ["ab.wikipedia.org", "table.lua.conf:16", "1.5", "outside"],
        ["ace.wikipedia.org", "table.lua.conf:17", "not a share"],
        ["table.lua.conf:18", "something else"],
    ],
)
def test_what_is_doubtful_is_said(tmp_path, words):
    done = imported(tmp_path, LUA)
    assert done.returncode == 1
    assert [line for line in doubts(done) if all(word in line for word in words)], doubts(done)


def test_without_doubts_there_are_none(tmp_path):
    done = imported(tmp_path, 'return {\n  ["default"] = 0.5,\n  ["aa.wikipedia.org"] = 1,\n}\n')
    assert done.returncode == 0 and not doubts(done), done.stdout
    assert shares(done.stdout) == ("50%", {"aa.wikipedia.org": "100%"})


def test_a_missing_default_is_a_doubt(tmp_path):
    done = imported(tmp_path, 'return { ["aa.wikipedia.org"] = 1 }\n')
    assert shares(done.stdout) == ("0%", {"aa.wikipedia.org": "100%"})
    assert any("no default" in line for line in doubts(done))


def test_lists_are_named_and_looked_at(tmp_path):
    (tmp_path / "closed.dblist").write_text("# closed\naawiki\nwikidatawiki\nnosuchwiki\n")
    done = imported(tmp_path, LUA, "closed.dblist=100%")
    lists = [item for item in yaml.safe_load(done.stdout)["split"]["wikis"] if "list" in item]
    assert lists == [{"list": "closed.dblist", "k8s": "100%"}]
    assert any("nosuchwiki" in line and "closed.dblist:4" in line for line in doubts(done))
    assert any("wikidatawiki" in line and "wins" in line for line in doubts(done))
    assert not any("aawiki" in line for line in doubts(done))


def test_what_comes_out_goes_in(tmp_path):
    (tmp_path / "closed.dblist").write_text("aawiki\n")
    done = imported(tmp_path, LUA, "closed.dblist=100%")
    (tmp_path / "split.yaml").write_text("\n".join(l[2:] for l in done.stdout.split("split:\n", 1)[1].splitlines()) + "\n")
    (tmp_path / "edge.yaml").write_text(WHOLE)
    checked = h.run("check", "-c", tmp_path / "edge.yaml")
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.skipif(not DATA.exists(), reason="the recorded table is not here")
def test_the_table_of_2023_09_01(tmp_path):
    with open(DATA / "split-2023-09-01.tsv", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    lua = "return {\n" + "".join('    ["%s"] = %s,\n' % (row["domain"], row["load"]) for row in rows) + "}\n"
    done = imported(tmp_path, lua, wikis=(h.ROOT / "conf" / "wikis.txt").read_text())
    default, hosts = shares(done.stdout)
    assert default == "4%" and len(hosts) == 148
    twice = [line for line in doubts(done) if "twice" in line]
    assert len(twice) == 1 and "test-commons.wikimedia.org" in twice[0], doubts(done)


@pytest.mark.parametrize("arguments", [[], ["nowhere.lua"], ["--nonsense"], ["closed.dblist=140%"]])
def test_a_wrong_call_is_explained(arguments, tmp_path):
    done = h.run("import", *arguments, cwd=tmp_path)
    assert done.returncode in (1, 2) and done.stderr and not done.stdout
