"""Files of text that people write: every reader accepts and refuses the same bytes, at the same place."""

import json

import pytest

from harness import weir as h

CONFIG = """\
listeners: [{ name: main, bind: "127.0.0.1:8080", router: r }]
groups:
  old: { endpoints: ["127.0.0.1:8081"] }
  new: { endpoints: ["127.0.0.1:8082"] }
wikis: wikis.txt
routers:
  r:
    services: { web: { legacy: old, k8s: new } }
    rules: [{ include: rules.yaml }]
    split: { default: 4%, wikis: [{ list: closed.txt, k8s: 100% }] }
"""
FILES = {
    "edge.yaml": CONFIG,
    "rules.yaml": "# rules\n- { service: web }\n",
    "wikis.txt": "# wikis\naawiki aa.example -\nbbwiki bb.example bb.m.example\n",
    "closed.txt": "# closed\naawiki\nbb.example\n",
    "cases.yaml": "cases:\n  - request: https://aa.example/\n    expect: { side: k8s }\n  - request: https://bb.example/\n    expect: { side: k8s }\n",
}


def written(tmp_path, **changed):
    for name, text in FILES.items():
        (tmp_path / name).write_bytes(changed.get(name.split(".")[0], text.encode()))
    done = h.run("check", "-c", "edge.yaml", "--tests", "cases.yaml", cwd=tmp_path)
    return done.returncode, (done.stdout + done.stderr).splitlines()


def test_the_plain_files_are_good(tmp_path):
    code, lines = written(tmp_path)
    assert code == 0, lines


ACCEPTED = {
    "byte order mark": lambda text: b"\xef\xbb\xbf" + text,
    "CRLF": lambda text: text.replace(b"\n", b"\r\n"),
    "CR": lambda text: text.replace(b"\n", b"\r"),
    "mark and CRLF": lambda text: b"\xef\xbb\xbf" + text.replace(b"\n", b"\r\n"),
    "no final newline": lambda text: text.rstrip(b"\n"),
    "UTF-8 in a comment": lambda text: text + "# Ä\n".encode(),
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("change", ACCEPTED)
def test_a_harmless_form_is_accepted_everywhere(tmp_path, name, change):
    code, lines = written(tmp_path, **{name.split(".")[0]: ACCEPTED[change](FILES[name].encode())})
    assert code == 0, lines


REFUSED = {
    "Latin-1": (b"# caf\xe9\n", 6, "0xe9"),
    "NUL": (b"# \0\n", 3, "NUL"),
    "form feed": (b"# \x0c\n", 3, "U+000C"),
    "a mark in the middle": (b"\xef\xbb\xbf#\n", 1, "U+FEFF"),
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("change", REFUSED)
def test_a_byte_that_no_text_has_is_reported_at_its_place(tmp_path, name, change):
    added, column, word = REFUSED[change]
    text = FILES[name].encode()
    code, lines = written(tmp_path, **{name.split(".")[0]: text + added})
    place = "%s:%d:%d: " % (name, text.count(b"\n") + 1, column)
    errors = [line for line in lines if not line.endswith(")")]
    assert code == 1 and len(errors) == 1, lines
    assert errors[0].startswith(place) and word in errors[0], lines


def test_utf_16_is_named(tmp_path):
    code, lines = written(tmp_path, closed="aawiki\n".encode("utf-16"))
    assert code == 1 and any(line.startswith("closed.txt:1:1: ") and "UTF-16" in line for line in lines), lines


@pytest.mark.parametrize("name", ["edge", "rules", "cases"])
def test_a_final_document_marker_is_reported_at_its_line(tmp_path, name):
    text = FILES[name + ".yaml"]
    code, lines = written(tmp_path, **{name: (text + "---\n").encode()})
    place = "%s.yaml:%d:1: " % (name, text.count("\n") + 1)
    assert code == 1 and any(line.startswith(place) and "document" in line for line in lines), lines


def test_requests_and_logs_may_begin_with_a_mark(tmp_path):
    written(tmp_path)
    request = "\ufeff" + json.dumps({"url": "https://aa.example/"}) + "\n"
    done = h.run("route", "-c", "edge.yaml", "--stdin", stdin=request, cwd=tmp_path)
    assert json.loads(done.stdout)["side"] == "k8s", done.stdout + done.stderr
    log = "\ufeff" + json.dumps({"method": "GET", "host": "aa.example", "path": "/", "client": "192.0.2.1"}) + "\n"
    (tmp_path / "log").write_text(log)
    done = h.run("diff", "--log", "log", "edge.yaml", "edge.yaml", cwd=tmp_path)
    assert done.returncode == 0 and "1 " in done.stdout, done.stdout + done.stderr
