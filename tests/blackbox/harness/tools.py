"""Real clients."""

import shutil
import subprocess

import pytest


def tool(name, *arguments, stdin=None, timeout=60, check=True):
    """Runs a client; the CompletedProcess with text. Skips the test where the client is missing."""
    path = shutil.which(name)
    if not path:
        pytest.skip("%s is not installed" % name)
    done = subprocess.run(
        [path, *map(str, arguments)],
        input=stdin,
        stdin=subprocess.DEVNULL if stdin is None else None,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        universal_newlines=True,
        timeout=timeout,
    )
    if check:
        assert done.returncode == 0, "%s: exit %d\n%s\n%s" % (name, done.returncode, done.stdout, done.stderr)
    return done


def curl(*arguments, **options):
    return tool("curl", "-sS", "--max-time", "30", *arguments, **options)


def nghttp(*arguments, **options):
    return tool("nghttp", *arguments, **options)


def h2load(*arguments, **options):
    return tool("h2load", *arguments, **options)


def s_client(address, *arguments, stdin="", **options):
    return tool("openssl", "s_client", "-connect", "%s:%d" % address, *arguments, stdin=stdin, **options)
