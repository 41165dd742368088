"""The documents are correct: the five minutes of the README, and each configuration in README, manuals and conf/."""

import os
import re
import shutil
import signal
import socket
import subprocess
import time

import pytest

from harness import ports
from harness import weir as h

README = (h.ROOT / "README.md").read_text()
CONF = h.ROOT / "conf"


# --- five minutes ------------------------------------------------------------------------------------


def sessions(text):
    """The commands of indented blocks that begin with "$ ", each with the output that follows."""
    commands = []
    for line in text.splitlines():
        if line.startswith("    $ "):
            commands.append([line[6:], []])
        elif line.startswith("    > ") and commands:
            commands[-1][0] += "\n" + line[6:]
        elif line.startswith("    ") and commands:
            commands[-1][1].append(line[4:])
    return commands


@pytest.fixture
def demo(tmp_path):
    """start(*arguments): a running weir demo; what it printed, and its process."""
    started = []

    def start(*arguments):
        out = tmp_path / ("demo-%d" % len(started))
        with open(out, "w") as file:
            process = subprocess.Popen(
                [h.binary(), "demo", *map(str, arguments)],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                env={**os.environ, "TMPDIR": str(tmp_path)},
                start_new_session=True,
            )
        started.append(process)
        end = time.monotonic() + 30
        while "api.php" not in out.read_text() or "aa.m." not in out.read_text():
            assert time.monotonic() < end and process.poll() is None, out.read_text()
            time.sleep(0.05)
        return out.read_text(), process

    yield start
    for process in started:
        process.send_signal(signal.SIGTERM)
    assert [process.wait(40) for process in started] == [0] * len(started)


def test_the_five_minutes_of_the_readme(demo, tmp_path):
    port = ports.free_port()
    printed, process = demo("--quiet", "--port", port)
    directory = re.search(r"(/\S+)/demo\.yaml", printed)[1]
    bin_directory = tmp_path / "bin"
    bin_directory.mkdir()
    (bin_directory / "weir").symlink_to(os.path.abspath(h.binary()))
    minutes = README.split("## Five minutes")[1].split("\n## ")[0]
    assert "`./dev run --port 8443`" in minutes
    own = {"8443": str(port), "/tmp/weir-demo-XXXXXX": directory, "4711": str(process.pid)}
    for word in own:
        assert word in minutes
        minutes = minutes.replace(word, own[word])
    steps = sessions(minutes)
    assert len(steps) >= 8
    # One shell runs all of it, in the directory of the sources; a mark ends each step.
    script = "cd %s\n" % h.ROOT + "".join("%s\necho '=== %d'\nsleep 0.5\n" % (command, n) for n, (command, _) in enumerate(steps))
    done = subprocess.run(
        ["bash"],
        input=script,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        universal_newlines=True,
        timeout=120,
        env={**os.environ, "PATH": "%s:%s" % (bin_directory, os.environ["PATH"])},
    )
    rest = done.stdout
    for n, (command, wanted) in enumerate(steps):
        assert "=== %d\n" % n in rest, done.stdout
        got, rest = rest.split("=== %d\n" % n, 1)
        assert got.splitlines() == wanted, command


# --- the demo ----------------------------------------------------------------------------------------


def test_every_command_that_the_demo_prints_works_as_it_is_printed(demo):
    printed, _ = demo("--quiet")
    block = printed.split("Try in another terminal")[1].split("\n", 1)[1]
    commands = [command for command in re.split(r"\n(?=  \S)", block.rstrip("\n")) if command.strip()]
    wanted = ["k8s-web answered", None, "mw-debug answered", "legacy-api answered", "k8s-web answered"]
    assert len(commands) == len(wanted), commands
    for command, words in zip(commands, wanted):
        done = subprocess.run(["bash", "-c", command.strip()], stdout=subprocess.PIPE, universal_newlines=True, timeout=60)
        assert (words in done.stdout) if words else 0 < int(done.stdout) < 30, (command, done.stdout)


def test_the_demo_fits_a_terminal_of_80_by_24(tmp_path):
    tmux = shutil.which("tmux")
    if tmux is None:
        pytest.skip("no tmux here")
    name = "weir-%d" % os.getpid()
    port = ports.free_port()
    environment = {**os.environ, "TMPDIR": str(tmp_path)}

    def run(*arguments):
        return subprocess.run([tmux, "-L", name, *arguments], stdout=subprocess.PIPE, universal_newlines=True, env=environment, timeout=30).stdout

    run("new-session", "-d", "-x", "80", "-y", "24", "%s demo --port %d" % (h.binary(), port))
    try:
        end = time.monotonic() + 30
        while "mw-debug " not in (screen := run("capture-pane", "-p")):
            assert time.monotonic() < end, screen
            time.sleep(0.2)
        for path in ("wiki/X", "w/api.php"):
            url = "https://de.wikipedia.org/" + path
            subprocess.run(["curl", "-sk", "--connect-to", "::127.0.0.1:%d" % port, url], stdout=subprocess.DEVNULL, timeout=30)
        while not re.search(r"^  api +1 ", screen := run("capture-pane", "-p"), re.M):
            assert time.monotonic() < end, screen
            time.sleep(0.2)
    finally:
        run("kill-server")
    lines = screen.splitlines()
    assert lines[0].startswith("weir demo: https://127.0.0.1:%d " % port), screen
    assert "/demo.yaml" in screen and "kill -HUP" in screen.replace("\n", "") and "api.php" in screen and "k8s observed" in screen


def test_a_port_in_use_names_the_option(demo):
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        held.listen()
        port = held.getsockname()[1]
        done = h.run("demo", "--port", port)
    assert done.returncode == 1 and "--port" in done.stderr and str(port) in done.stderr and "demo.yaml" not in done.stderr
    printed, _ = demo("--quiet")
    taken = re.search(r"https://127\.0\.0\.1:(\d+)", printed)[1]
    done = h.run("demo", "--port", taken)  # another weir's port is not shared
    assert done.returncode == 1 and "--port" in done.stderr


def test_the_demo_leaves_nothing_behind(tmp_path):
    before = set(tmp_path.iterdir())
    done = subprocess.run([h.binary(), "demo", "--quiet", "--seconds", "1"], env={**os.environ, "TMPDIR": str(tmp_path)}, stdout=subprocess.DEVNULL, timeout=60)
    assert done.returncode == 0 and set(tmp_path.iterdir()) == before


def test_written_files_are_a_complete_configuration(weir, tmp_path):
    directory = tmp_path / "mine"
    done = h.run("demo", "--write", directory)
    assert done.returncode == 0, done.stderr
    for name in ("demo.yaml", "demo-backends.yaml"):
        done = h.run("check", "--strict", "-c", directory / name)
        assert done.returncode == 0, done.stderr
    again = h.run("demo", "--write", directory)
    assert again.returncode == 1 and "File exists" in again.stderr
    # On free ports: both, a request through TLS, a change and a reload.
    variables = {"WEIR_DEMO_" + name: "127.0.0.1:%d" % ports.free_port() for name in ("TLS", "PLAIN", "ADMIN", "LEGACY_WEB", "LEGACY_API", "K8S_WEB", "K8S_API", "MW_DEBUG")}
    environment = {**os.environ, **variables}
    running = [
        subprocess.Popen([h.binary(), "run", "-c", str(directory / name)], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for name in ("demo-backends.yaml", "demo.yaml")
    ]

    def page(host):
        url = ["-sk", "--connect-to", "::" + variables["WEIR_DEMO_TLS"], "https://%s/wiki/X" % host]
        return subprocess.run(["curl", *url], stdout=subprocess.PIPE, universal_newlines=True, timeout=30).stdout

    def wait_for(host, words):
        end = time.monotonic() + 20
        while words not in (got := page(host)):
            assert time.monotonic() < end, got
            time.sleep(0.1)

    try:
        wait_for("aa.wikipedia.org", "k8s-web answered")
        wait_for("www.wikidata.org", "legacy-web answered")
        text = (directory / "demo.yaml").read_text()
        (directory / "demo.yaml").write_text(text.replace("k8s: 0%", "k8s: 100%"))
        running[1].send_signal(signal.SIGHUP)
        wait_for("www.wikidata.org", "k8s-web answered")
    finally:
        for process in running:
            process.send_signal(signal.SIGTERM)
        assert [process.wait(40) for process in running] == [0, 0]


# --- files -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "SECURITY.md", "docs/architecture.md", "docs/security.md", "docs/performance.md", "bench/README.md"])
def test_the_files_that_a_document_names_exist(page):
    path = h.ROOT / page
    text = re.sub(r"^.*\(new\).*$", "", path.read_text(), flags=re.M)  # of changes on paper
    links = [name for name in re.findall(r"\]\(([^)#:]+?)(?:#[^)]*)?\)", text)]
    missing = [name for name in links if not (path.parent / name).exists()]
    named = re.findall(r"`((?:src/)?(?:[a-z0-9_]+/)+[a-z0-9_]+\.(?:c|h|py|sh|yaml|md))`", text)
    missing += [name for name in named if not any((h.ROOT / base / name).exists() for base in ("", "src", "include"))]
    assert not missing, missing


# --- configurations ----------------------------------------------------------------------------------


def blocks(text, start, end):
    return re.findall("^%s\n(.*?)^%s$" % (start, end), text, re.M | re.S)


def manual(name):
    return (h.ROOT / "docs" / "man" / name).read_text()


def example_files(directory, leaf, lists):
    """What the examples name: a table of wikis, a list, certificates."""
    shutil.copy(CONF / "wikis.txt", directory)
    for name in lists:
        (directory / name).parent.mkdir(exist_ok=True)
        shutil.copy(CONF / "lists" / "closed.txt", directory / name)
    (directory / "tls").mkdir()
    for name in ("unified", "site"):
        shutil.copy(leaf.chain, directory / "tls" / (name + ".pem"))
        shutil.copy(leaf.key, directory / "tls" / (name + ".key"))


def test_the_configuration_of_the_readme_is_good(tmp_path, leaf):
    example_files(tmp_path, leaf, ["lists/closed.txt"])
    examples = blocks(README, "```yaml", "```")
    assert examples
    for text in examples:
        (tmp_path / "edge.yaml").write_text(text)
        done = h.run("check", "-c", tmp_path / "edge.yaml")
        assert done.returncode == 0 and "never" not in done.stderr, done.stderr


def test_the_configurations_of_the_manual_are_good(tmp_path, leaf):
    example_files(tmp_path, leaf, ["closed.txt"])
    examples = blocks(manual("weir.yaml.5"), r"\.Bd -literal", r"\.Ed")
    assert examples
    for text in examples:
        (tmp_path / "edge.yaml").write_text(text)
        done = h.run("check", "-c", tmp_path / "edge.yaml")
        assert done.returncode == 0 and "never" not in done.stderr, done.stderr


def test_the_cases_of_the_manual_and_of_the_help_are_read(tmp_path):
    page = [text for text in blocks(manual("weir.1"), r"\.nf\n\.RS", r"\.RE") if "cases:" in text]
    shown = h.run("check", "--help").stdout
    page.append(re.sub("^  ", "", shown[shown.index("  cases:") : shown.index("Exit status")], flags=re.M))
    for text in page:
        (tmp_path / "cases.yaml").write_text(text.replace("\\(aq", "'"))
        done = h.run("check", "--no-certificates", "-c", CONF / "edge.yaml", "--tests", tmp_path / "cases.yaml")
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", sorted(CONF.glob("*.yaml")), ids=lambda path: path.name)
def test_the_shipped_configurations_are_good(path):
    if path.name.endswith(".tests.yaml"):
        done = h.run("check", "--no-certificates", "-c", CONF / path.name.replace(".tests", ""), "--tests", path)
    else:
        done = h.run("check", "--strict", "--no-certificates", "-c", path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_copied_configuration_reports_one_line_for_each_missing_file(tmp_path):
    shutil.copy(CONF / "edge.yaml", tmp_path)
    done = h.run("check", "-c", tmp_path / "edge.yaml")
    lines = done.stderr.splitlines()
    assert done.returncode == 1 and len(lines) == 4 and all("cannot read" in line for line in lines), done.stderr
