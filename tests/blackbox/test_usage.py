"""Usage errors, exit codes, and how errors look on a terminal."""

import os
import pty
import subprocess

import pytest

from harness.weir import binary

COMMANDS = ("run", "check", "route", "diff", "import", "demo")


def call(*words):
    done = subprocess.run([binary(), *words], capture_output=True, text=True, timeout=20, stdin=subprocess.DEVNULL)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_an_unknown_option_is_a_usage_error(command):
    code, out, err = call(command, "--bogus")
    assert (code, out) == (2, "")
    assert err == 'weir %s: unknown option --bogus\nTry "weir %s --help".\n' % (command, command)


@pytest.mark.parametrize("command", COMMANDS)
def test_an_unknown_letter_is_a_usage_error(command):
    code, _, err = call(command, "-Z")
    assert code == 2
    assert err.startswith("weir %s: unknown option -Z\n" % command)


@pytest.mark.parametrize(
    "words, message",
    [
        (("run",), "weir run: missing option: -c FILE"),
        (("run", "-c"), "weir run: option -c needs a value"),
        (("run", "-c", "x", "y"), 'weir run: unexpected argument "y"'),
        (("run", "-c", "x", "--log-level", "loud"), 'weir run: unknown log level "loud"; expected error, warn, info or debug'),
        (("check",), "weir check: missing option: -c FILE"),
        (("check", "--config"), "weir check: option --config needs a value"),
        (("route", "https://a/"), "weir route: missing option: -c FILE"),
        (("route", "-c", "x", "/a", "/b"), 'weir route: unexpected argument: "/b"'),
        (("diff", "one"), "weir diff: expected two arguments, OLD and NEW, got 1"),
        (("import",), "weir import: missing argument: a file to import"),
        (("completion",), "weir completion: missing argument: bash, fish or zsh"),
        (("rout",), 'weir: unknown command "rout"; did you mean "route"?'),
    ],
)
def test_a_usage_error_says_what_is_wrong_and_exits_with_2(words, message):
    code, out, err = call(*words)
    assert (code, out) == (2, "")
    assert err.splitlines()[0] == message


def test_help_prints_the_table_of_exit_codes():
    code, out, _ = call("--help")
    assert code == 0
    for line in ("  0   success", "  1   failure", "  2   usage error"):
        assert line in out


BAD = """listeners:
  - { name: main, bind: ["127.0.0.1:0"], router: r }
groups:
  legacy: { endpoints: ["127.0.0.1:1"] }
routers:
  r:
    services: { web: legacy }
    rules: [ { service: web } ]
    split: { default: 140% }
"""


def on_terminal(*words):
    """Standard error of a call whose standard error is a terminal."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen([binary(), *words], stderr=theirs, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    os.close(theirs)
    text = b""
    while True:
        try:
            piece = os.read(ours, 65536)
        except OSError:  # EIO: the other end is closed
            break
        if not piece:
            break
        text += piece
    os.close(ours)
    process.wait(20)
    return text.decode().replace("\r\n", "\n")


@pytest.mark.parametrize("command", [("check",), ("route",)])
def test_a_terminal_shows_the_line_and_a_caret(tmp_path, command):
    path = tmp_path / "bad.yaml"
    path.write_text(BAD)
    words = [*command, "-c", str(path)] + (["https://a.example/"] if command[0] == "route" else [])
    lines = on_terminal(*words).splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith("%s:9:" % path))
    assert lines[at + 1] == "    9 |     split: { default: 140% }"
    column = int(lines[at].split(":")[2])
    assert lines[at + 2] == "      | " + " " * (column - 1) + "^~~~"
    assert BAD.splitlines()[8][column - 1 :].startswith("140%")


def test_a_pipe_gets_one_line_for_each_error(tmp_path):
    path = tmp_path / "bad.yaml"
    path.write_text(BAD)
    code, _, err = call("check", "-c", str(path))
    assert code == 1
    assert "^" not in err
    assert all(line.startswith("%s:" % path) for line in err.splitlines())
