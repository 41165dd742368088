"""weir import: the Lua table of the original split and lists of database names, as YAML with doubts."""

import csv
import os

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
    "en.wikipedia.org",
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
    SPLIT
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
        ["table.lua.conf:18", "en.wikipedia.org", "no key"],
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


@pytest.mark.parametrize("split", [None, "split: { include: split.yaml }"])
def test_the_output_can_be_included_as_it_says(tmp_path, split):
    (tmp_path / "closed.dblist").write_text("aawiki\n")
    done = imported(tmp_path, LUA, "closed.dblist=100%")
    (tmp_path / "split.yaml").write_text(done.stdout)
    hint = [line for line in done.stdout.splitlines() if "include:" in line]
    assert len(hint) == 1, done.stdout
    (tmp_path / "edge.yaml").write_text(WHOLE.replace("SPLIT", split or hint[0].lstrip("# ")))
    checked = h.run("check", "-c", tmp_path / "edge.yaml")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    answer = h.run("route", "--json", "-c", tmp_path / "edge.yaml", "https://aa.wikipedia.org/")
    assert '"share":"100' in answer.stdout or '"share":1' in answer.stdout, answer.stdout


# Every form of comment, text and number that Lua has. Each table says: default 4 %, aa.wikipedia.org 100 %.
FORMS = {
    "long comment": '--[==[ a ]] b\n ["www.wikidata.org"] = 1, ]==]\n["aa.wikipedia.org"] = 1',
    "long comment, level 0": '--[[ ["www.wikidata.org"] = 1, ]] ["aa.wikipedia.org"] = 1',
    "comment that is not long": '--[=x [[\n["aa.wikipedia.org"] = 1',
    "long comment between": '["aa.wikipedia.org"] --[=[\n]]]=] = --[[x]] 1',
    "commented line": '-- ["www.wikidata.org"] = 1,\n["aa.wikipedia.org"] = 1, -- ["x.example"] = 1\n',
    "long string": "[ [[aa.wikipedia.org]] ] = 1",
    "long string of level 2": "[ [==[\naa.wikipedia.org]==] ] = 1",
    "comment mark in a string": '["aa.wikipedia.org"] = 1, ["--[[x"] = nil, y = nil',
    "hex escape": r"""['\x61a.wikipedia.org'] = 1""",
    "decimal escape": r"""["a\97.wikipedia\46org"] = 1""",
    "unicode escape": r"""["\u{61}a.wikipedia.org"] = 1""",
    "skipped white space": '["aa.\\z\n     wikipedia.org"] = 1',
    "boolean": '["aa.wikipedia.org"] = true',
    "exponent": '["aa.wikipedia.org"] = 10e-1',
    "hexadecimal": '["aa.wikipedia.org"] = 0x1',
    "hexadecimal float": '["aa.wikipedia.org"] = 0x.8p1',
    "semicolon": '["aa.wikipedia.org"] = 1;',
    "many on a line": '["aa.wikipedia.org"]=1,["x.y"]=nil;',
    "over several lines": '[\n"aa.wikipedia.org"\n]\n=\n1',
}
FRAMES = ["return { default = .04, %s }", "local t <const> = {\n default = 4e-2;\n %s\n}\nreturn t", "wmf.split = { default = 0x.0a3d70a3d70a4, %s };"]


@pytest.mark.parametrize("frame", range(len(FRAMES)))
@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_lua_is_read(tmp_path, form, frame):
    done = imported(tmp_path, FRAMES[frame] % FORMS[form])
    assert shares(done.stdout) == ("4%", {"aa.wikipedia.org": "100%"}), done.stdout + done.stderr


@pytest.mark.parametrize("end", ["\r\n", "\r"])
def test_line_ends_do_not_matter(tmp_path, end):
    done = imported(tmp_path, LUA.replace("\n", end))
    assert done.stdout == imported(tmp_path, LUA).stdout


# What cannot be read stops the import: the table, and the place.
UNREADABLE = {
    "no comma": ('return {\n  a = 1\n  b = 2\n}', "3:3"),
    "an expression": ('return {\n  a = 4 / 100,\n}', "2:9"),
    "a variable": ('return {\n  a = share,\n}', "2:7"),
    "a call": ('return {\n  a = f(1),\n}', "2:7"),
    "words": ("return {\n  something else\n}", "2:13"),
    "two tables": ("return { a = 1 }, { b = 1 }", "1:17"),
    "code": ("local t = {}\nt.a = 1\nreturn t", "2:1"),
    "another name": ("local t = { a = 1 }\nreturn u", "2:8"),
    "an open comment": ("return {\n --[==[ ]] ]=]\n}", "2:2"),
    "an open string": ('return {\n ["a] = 1,\n}', "2:3"),
    "an open long string": ("return {\n [ [[a] ] = 1,\n}", "2:4"),
    "an open table": ("return {\n a = 1,", "2:8"),
    "a bad escape": ('return {\n ["\\q"] = 1,\n}', "2:3"),
    "a byte escape above 255": ('return {\n ["\\256"] = 1,\n}', "2:3"),
    "a bad number": ("return {\n a = 0.0.4,\n}", "2:6"),
    "a number with a unit": ("return {\n a = 4x,\n}", "2:6"),
    "Latin-1": (b"return {\n -- caf\xe9\n}", "2:8"),
    "a deep table": ("return { a = " + "{" * 5000 + "}" * 5000 + " }", "1:46"),
}


@pytest.mark.parametrize("what", UNREADABLE)
def test_what_cannot_be_read_stops_the_import(tmp_path, what):
    text, place = UNREADABLE[what]
    (tmp_path / "t.lua").write_bytes(text if isinstance(text, bytes) else text.encode())
    done = h.run("import", "t.lua", cwd=tmp_path)
    assert done.returncode == 1 and not done.stdout
    assert done.stderr.startswith("weir import: t.lua:%s: " % place), done.stderr


@pytest.mark.parametrize("path, cause", [("/dev/null", "is empty"), (".", "Is a directory"), ("nowhere", "No such file"), ("blank", "is empty")])
def test_a_file_that_cannot_be_read_says_why(tmp_path, path, cause):
    (tmp_path / "blank").write_text(" ")
    for arguments in ([path], ["--wikis", path, "blank"]):
        done = h.run("import", *arguments, cwd=tmp_path)
        assert done.returncode == 1 and cause in done.stderr and path in done.stderr, done.stderr


@pytest.mark.skipif(os.getuid() == 0, reason="root may read everything")
def test_a_file_without_permission_says_so(tmp_path):
    (tmp_path / "t.lua").write_text("return {}")
    (tmp_path / "t.lua").chmod(0)
    assert "Permission denied" in h.run("import", "t.lua", cwd=tmp_path).stderr


def test_a_broken_table_of_wikis_stops_the_import(tmp_path):
    done = imported(tmp_path, LUA, wikis="aawiki aa.wikipedia.org\nbbwiki\n")
    assert done.returncode == 1 and "wikis.txt:2:1: " in done.stderr and not done.stdout


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
