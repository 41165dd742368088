"""Real clients load pages through the demo: curl, nghttp, and Chromium where it is installed."""

import os
import pty
import re
import shutil
import signal
import subprocess
import time

import pytest

from harness import tools, weir as h

CHROMIUM = shutil.which("chromium")


@pytest.fixture
def demo(tmp_path):
    """The HTTPS port of a running weir demo."""
    out = open(tmp_path / "demo.out", "w+")
    process = subprocess.Popen([h.binary(), "demo", "--quiet"], stdout=out, stderr=out, stdin=subprocess.DEVNULL)
    port = None
    deadline = time.monotonic() + 30
    while port is None and time.monotonic() < deadline and process.poll() is None:
        found = re.search(r"https://127\.0\.0\.1:(\d+)", (tmp_path / "demo.out").read_text())
        port = int(found.group(1)) if found else None
        time.sleep(0.05)
    assert port is not None, (tmp_path / "demo.out").read_text()
    yield port
    process.send_signal(signal.SIGTERM)
    assert process.wait(40) == 0


@pytest.mark.parametrize("version", ["--http1.1", "--http2"])
def test_curl_loads_a_page(demo, version):
    done = tools.curl(
        "-sk", version, "--resolve", "aa.wikipedia.org:%d:127.0.0.1" % demo,
        "https://aa.wikipedia.org:%d/wiki/Main_Page" % demo,
    )
    assert "k8s-web answered" in done.stdout


def test_nghttp_loads_a_page(demo):
    done = tools.nghttp("-H", ":authority: aa.wikipedia.org", "https://127.0.0.1:%d/wiki/Main_Page" % demo)
    assert "k8s-web answered" in done.stdout


def test_the_demo_ends_with_its_terminal():
    child, master = pty.fork()
    if child == 0:
        os.execv(h.binary(), [h.binary(), "demo", "--quiet"])
    assert os.read(master, 1)
    os.close(master)
    end = time.monotonic() + 40
    while (ended := os.waitpid(child, os.WNOHANG)) == (0, 0):
        assert time.monotonic() < end, "the demo still runs"
        time.sleep(0.05)
    assert ended == (child, 0)


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")
def test_chromium_loads_a_page(demo, tmp_path):
    done = subprocess.run(
        [
            CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync",
            "--ignore-certificate-errors", "--user-data-dir=%s" % (tmp_path / "profile"),
            "--host-resolver-rules=MAP * 127.0.0.1:%d" % demo, "--dump-dom",
            "https://aa.wikipedia.org/wiki/Main_Page",
        ],
        capture_output=True, text=True, timeout=90,
    )
    assert "k8s-web answered" in done.stdout
    assert "via: 2 weir" in done.stdout  # it spoke HTTP/2
