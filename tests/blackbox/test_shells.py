"""Help, completion for shells, and answers for programs."""

import json
import os
import re
import shutil
import subprocess

import pytest

from harness import weir as h

COMMANDS = ["run", "check", "route", "diff", "import", "demo", "completion"]
COMPLETIONS = {"bash": "weir.bash", "fish": "weir.fish", "zsh": "_weir"}


@pytest.mark.parametrize("name", ["help", *COMMANDS])
def test_help_explains_every_command(name):
    done = h.run("help", name)
    assert done.returncode == 0 and len(done.stdout) > 100 and not done.stderr
    if name != "help":
        assert done.stdout == h.run(name, "--help").stdout
    assert h.run("help", "nonsense").returncode == 2


@pytest.mark.parametrize("shell", COMPLETIONS)
def test_the_completion_is_the_shipped_file_and_knows_every_option(shell):
    text = h.run("completion", shell).stdout
    assert text == (h.ROOT / "conf" / "completions" / COMPLETIONS[shell]).read_text()
    for command in COMMANDS:
        assert command in text
        for option in re.findall(r"^ +(?:-\w, |    )--([a-z][a-z0-9.-]+)", h.run(command, "--help").stdout, re.M):
            assert option in text, (command, option)
    interpreter = shutil.which(shell)
    if interpreter is not None:
        assert subprocess.run([interpreter, "-n"], input=text, universal_newlines=True).returncode == 0


def completed(*words):
    """What bash offers for the last word."""
    script = 'source <(%s completion bash)\nCOMP_WORDS=("$@")\nCOMP_CWORD=$(($# - 1))\n_weir\nprintf "%%s\\n" "${COMPREPLY[@]}"\n' % h.binary()
    done = subprocess.run(["bash", "-c", script, "bash", "weir", *words], stdout=subprocess.PIPE, universal_newlines=True, timeout=30, cwd=str(h.ROOT / "conf"))
    return [word for word in done.stdout.split("\n") if word]


def test_bash_completes_commands_options_and_files():
    assert completed("ro") == ["route"]
    assert completed("check", "--st") == ["--strict"]
    assert completed("route", "--v") == ["--verbose"]
    assert completed("run", "-c", "side") == ["sidecar.yaml"]
    assert completed("run", "--log-level", "de") == ["debug"]
    assert completed("help", "im") == ["import"]
    assert completed("completion", "z") == ["zsh"]


@pytest.mark.parametrize("arguments", [[], ["csh"], ["bash", "more"]])
def test_an_unknown_shell_is_a_usage_error(arguments):
    done = h.run("completion", *arguments)
    assert done.returncode == 2 and done.stderr and not done.stdout


def test_diff_as_json(tmp_path):
    assert h.run("demo", "--write", tmp_path / "demo").returncode == 0
    old = tmp_path / "demo" / "demo.yaml"
    new = tmp_path / "demo" / "new.yaml"
    new.write_text(old.read_text().replace("default: 4%", "default: 10%").replace("k8s: 0%", "k8s: 1%").replace("unknown: 400", "unknown: 404"))
    log = "".join(json.dumps({"method": "GET", "host": "www.wikidata.org", "path": "/", "client": "192.0.2.%d" % n}) + "\n" for n in range(200))
    (tmp_path / "log").write_text(log + "nonsense\n")
    done = h.run("diff", "--json", "--log", tmp_path / "log", old, new)
    answer = json.loads(done.stdout)
    assert done.returncode == 1 and answer["changes"] is True, done.stderr
    (key,) = answer["keys"]
    assert (key["change"], key["key"], key["before"], key["after"]) == ("changed", "routers.mediawiki.debug.unknown", "400", "404")
    assert key["file"] == str(new) and key["line"] > 1
    shares = {(share["before"], share["after"]): share for share in answer["shares"]}
    assert shares["4%", "10%"]["default"] and shares["4%", "10%"]["hosts"] == []
    assert shares["0%", "1%"]["hosts"] == ["commons.wikimedia.org", "www.wikidata.org"] and shares["0%", "1%"]["router"] == "mediawiki"
    assert answer["log"]["requests"] == 200 and answer["log"]["unreadable"] == 1
    assert answer["log"]["moved"] == sum(move["requests"] for move in answer["log"]["moves"])
    same = json.loads(h.run("diff", "--json", old, old).stdout)
    assert same == {"changes": False, "keys": [], "shares": [], "log": None}
    assert os.path.exists(old)
