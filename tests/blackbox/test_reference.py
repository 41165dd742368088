"""The reference of the configuration is complete and true: docs/reference/keys.yaml against the loader's tables in src/config."""

import ast
import importlib.util
import os
import re
import shutil
import subprocess

import pytest
import yaml

from harness import weir as h

CONFIG = h.ROOT / "src" / "config"
REFERENCE = yaml.safe_load((h.ROOT / "docs" / "reference" / "keys.yaml").read_text())
SECTIONS = REFERENCE["sections"]
BY_TITLE = {section["title"]: section for section in SECTIONS}
# Tables that are not of the configuration: cases.c reads the files of `weir check --tests`, which weir(1) describes.
OTHER_FILES = {"cases.c"}

ROW = re.compile(r'\{\s*"([a-z0-9_]+)",\s*(load_\w+),([^{}]*?),\s*(true|false),?\s*\}')
HEADER_ROW = re.compile(r'\{\s*"([a-z0-9_]+)",\s*HEADER_OP_\w+,\s*(true|false),?\s*\}')


def sources():
    files = sorted(CONFIG.glob("*.[ch]"))
    return {file.name: file.read_text().replace("\\\n", "\n") for file in files if file.name not in OTHER_FILES}


def tables():
    """Each table of keys in the loader: rows as {key: (loader, place in the struct, is required)}."""
    found = []
    for name, text in sources().items():
        last_end, rows = None, None
        for match in ROW.finditer(text):
            # Rows of one table follow each other with nothing but layout between them.
            if rows is None or re.sub(r"[\s,{}]|/\*.*?\*/", "", text[last_end : match.start()]) != "":
                rows = {}
                found.append((name, rows))
            key, load, place, required = match.groups()
            rows[key] = (load, place.strip(), required == "true")
            last_end = match.end()
    return found


def header_tables():
    """The operations of header rules, in the same form: they have tables of their own."""
    found = []
    for text in sources().values():
        for body in re.findall(r"\[\]\s*=\s*\{(.*?)\};", text, re.S):
            rows = {key for key, _ in HEADER_ROW.findall(body)}
            if rows:
                found.append(rows)
    return found


def documented(section):
    return {name: key["default"] == "required" for name, key in section["keys"].items()}


# --- complete ----------------------------------------------------------------------------------------


def test_the_manual_and_the_page_are_generated_from_the_reference():
    path = h.ROOT / "docs" / "reference" / "generate.py"
    spec = importlib.util.spec_from_file_location("generate", path)
    generate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generate)
    for path, content in generate.outputs().items():
        assert path.read_text() == content, "%s is not up to date: run ./dev reference" % path.name


def test_every_key_of_the_loader_is_in_the_reference_and_the_reverse():
    wanted = [(section["title"], documented(section)) for section in SECTIONS if section.get("checked", True)]
    loaded = [(file, {key: row[2] for key, row in rows.items()}) for file, rows in tables()]
    assert len(loaded) > 30, "the rows of the loader's tables were not recognised"
    loaded += [("header rules", dict.fromkeys(rows, False)) for rows in header_tables()]
    missing = [table for table in loaded if table[1] not in [keys for _, keys in wanted]]
    invented = [section for section in wanted if section[1] not in [keys for _, keys in loaded]]
    assert not missing and not invented, "tables without a section: %s\nsections without a table: %s" % (missing, invented)


def release(text):
    return [int(part) for part in text.split(".")]


def test_every_key_has_all_that_a_reader_needs():
    version = re.search(r"project\(weir VERSION ([0-9.]+)", (h.ROOT / "CMakeLists.txt").read_text())[1]
    for section in SECTIONS:
        for name, key in section["keys"].items():
            place = (section["title"], name)
            assert {"type", "default", "example", "text"} <= set(key) <= {"type", "default", "example", "text", "values", "see", "since"}, place
            assert all(isinstance(value, str) and value for value in key.values()), place
            assert key.get("see", section["title"]) in BY_TITLE, place
            assert key["text"].rstrip().endswith("."), place
            assert release(key.get("since", REFERENCE["since"])) <= release(version), place
            assert name in yaml.safe_load(key["example"]), place


# --- true --------------------------------------------------------------------------------------------

UNITS = {"ms": 1, "s": 1000, "m": 60000, "h": 3600000, "B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "%": 1000, "": 1}


def value_of(text):
    """A default of the reference as the number that the loader stores: milliseconds, bytes, 0.001 %, 0 or 1."""
    if text in ("true", "false"):
        return int(text == "true")
    match = re.match(r"([0-9.]+)(ms|s|m|h|B|KiB|MiB|GiB|%|)(?: \(.*)?$", text)
    return None if match is None else round(float(match[1]) * UNITS[match[2]])


def number_in_c(text):
    """A constant expression in C as a number; None when it is something else."""
    text = re.sub(r"\bSHARE_MAX\b", "100000", text).replace("true", "1").replace("false", "0").replace("/", "//").strip()
    if not re.fullmatch(r"[0-9a-fx<>*/+() -]+", text):
        return None
    return eval(compile(ast.parse(text, mode="eval"), "constant", "eval"), {"__builtins__": {}})


def defaults_in_c(texts, file, member):
    """The constants that the loader assigns to `member`: in the file's defaults, or else in the file, or else in all defaults."""
    defaults = {name: "\n".join(re.findall(r"^static [^;{]*_defaults\(.*?^}", text, re.M | re.S)) for name, text in texts.items()}
    for text in (defaults[file], texts[file], "\n".join(defaults.values())):
        values = re.findall(r"[.>]%s = ([^,;{}]+)[,;}]" % re.escape(member), text)
        numbers = {number for number in map(number_in_c, values) if number is not None}
        if numbers:
            return numbers
    return {0}


def test_the_defaults_of_the_reference_are_those_of_the_loader():
    texts, checked, wrong = sources(), 0, []
    for file, rows in tables():
        section = next(section for section in SECTIONS if section.get("checked", True) and documented(section) == {key: row[2] for key, row in rows.items()})
        for key, (_, place, _) in rows.items():
            member = re.search(r"offsetof\(\s*struct \w+,\s*(?:\w+\.)*(\w+)\s*\)", place)
            stated = value_of(section["keys"][key]["default"])
            if member is None or stated is None:
                continue
            checked += 1
            actual = defaults_in_c(texts, file, member[1])
            if stated not in actual:  # two structs of one file can have a member of this name
                wrong.append((section["title"], key, stated, actual))
    assert not wrong and checked > 70, (checked, wrong)


def test_the_words_of_the_reference_are_those_of_the_loader():
    text, checked = "\n".join(sources().values()), 0
    words_of = {}
    for load, body in re.findall(r"^(?:static )?int (load_\w+)\(.*?\{(.*?)^}", text, re.M | re.S):
        words = re.search(r"words\[\]\s*=\s*\{(.*?)\};", body, re.S)
        if words is not None and "LOAD_WORD" in body:
            words_of.setdefault(load, []).append(set(re.findall(r'"([^"]+)"', words[1])))
    for file, rows in tables():
        section = next(section for section in SECTIONS if section.get("checked", True) and documented(section) == {key: row[2] for key, row in rows.items()})
        for key, (load, _, _) in rows.items():
            values = section["keys"][key].get("values", "").replace('"', "")
            if load not in words_of or not values:
                continue
            stated = set(re.split(r", | or | and ", values))
            assert stated in words_of[load], (section["title"], key, stated, words_of[load])
            checked += 1
    assert checked >= 20, checked


# --- examples ----------------------------------------------------------------------------------------

BASE = """
listeners: [{ name: example, bind: "127.0.0.1:8443", router: main, tls: { certificates: [{ chain: tls/site.pem, key: tls/site.key }] } }]
groups:
  web: { endpoints: ["127.0.0.1:8081"] }
  canary: { endpoints: ["127.0.0.1:8082"] }
  regional: { hosts: { codfw: web-codfw.example.org, eqiad: web-eqiad.example.org }, port: 8080 }
datacenters: { local: codfw, primary: eqiad }
wikis: wikis.txt
routers:
  main:
    services: { site: { legacy: web, k8s: web } }
    rules: [{ service: site }]
    split: { default: 4% }
"""
# Keys that exclude each other: an example with one of them replaces the others.
ALTERNATIVES = [
    {"router", "group"},
    {"endpoints", "hosts"},
    {"service", "group", "answer"},
    {"legacy", "group", "groups"},
    {"k8s", "group", "groups"},
    {"chain", "chain_pem"},
    {"key", "key_pem"},
]
NEW_NAMES = {"backends": "test", "hosts": "www.example.org"}


def load_text(text):
    return yaml.load(text, yaml.BaseLoader)  # all values stay texts, as weir reads them


def add(root, at, new):
    """Adds the keys of `new` to the mapping at the place `at` of a configuration, as in `routers.*.rules[]`."""
    node, key, before = {"root": root}, "root", ""
    for name in re.findall(r"\w+|\*|\[\]", at):
        if name == "[]":
            if not isinstance(node[key], list) or not isinstance(node[key][0], dict):
                node[key] = [{}]
        elif not isinstance(node.get(key) if isinstance(node, dict) else node[key], dict):
            node[key] = {}
        node, key = node[key], 0 if name == "[]" else name
        if name == "*":
            key = next(iter(node), NEW_NAMES.get(before))
        if isinstance(node, dict):
            node.setdefault(key, {})
        before = name
    old = node[key] if isinstance(node[key], dict) else {}
    for names in ALTERNATIVES:
        if at and names & set(new):
            old = {name: value for name, value in old.items() if name not in names}
    node[key] = {**old, **new}
    return root if at else node[key]


def example_of(section, key):
    """A complete configuration with the example of a key in its place."""
    root = load_text(BASE)
    if "base" in section:
        root = add(root, section.get("base_at", section["at"]), load_text(section["base"]))
    return add(root, section["at"], load_text(section["keys"][key]["example"]))


@pytest.fixture(scope="module")
def directory(tmp_path_factory, leaf):
    directory = tmp_path_factory.mktemp("examples")
    shutil.copy(h.ROOT / "conf" / "wikis.txt", directory)
    shutil.copy(h.ROOT / "conf" / "lists" / "closed.txt", directory)
    (directory / "tls").mkdir()
    shutil.copy(leaf.chain, directory / "tls" / "site.pem")
    shutil.copy(leaf.key, directory / "tls" / "site.key")
    for name in ("ticket-new", "ticket-old"):
        (directory / "tls" / (name + ".key")).write_bytes(bytes(range(80)))
    subprocess.run(["touch", directory / "tls" / "site.ocsp"], check=True)
    return directory


@pytest.mark.parametrize("title", BY_TITLE)
def test_each_example_of_the_reference_loads(title, directory, leaf):
    section = BY_TITLE[title]
    variables = {"CHAIN": open(leaf.chain).read(), "KEY": open(leaf.key).read()}
    failed = []
    for key in section["keys"]:
        text = yaml.safe_dump(example_of(section, key), sort_keys=False)
        file = directory / "example.yaml"
        file.write_text(text)
        flags = ["--no-certificates"] if key in ("crl", "ocsp") else []
        done = subprocess.run([h.binary(), "check", *flags, "-c", file], env={**os.environ, **variables}, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, universal_newlines=True, timeout=60)
        if done.returncode != 0:
            failed.append("%s: %s\n%s" % (key, done.stderr, text))
    assert not failed, "\n".join(failed)


@pytest.mark.parametrize("page", ["weir.1", "weir.yaml.5"])
def test_mandoc_has_no_warnings_for_the_manual_pages(page):
    mandoc = shutil.which("mandoc")
    if mandoc is None:
        pytest.skip("no mandoc here")
    done = subprocess.run([mandoc, "-Tlint", "-Wwarning", h.ROOT / "docs" / "man" / page], stdout=subprocess.PIPE, universal_newlines=True, timeout=60)
    assert done.returncode == 0, done.stdout
