"""A worker that hangs freezes nothing else. The test stops one thread with ptrace(2), as a debugger would."""

import ctypes
import json
import os
import signal
import time

import pytest

PTRACE_DETACH, PTRACE_SEIZE, PTRACE_INTERRUPT = 17, 0x4206, 0x4207
WALL = 0x40000000  # __WALL: threads too
libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
libc.ptrace.restype = ctypes.c_long


def thread_called(pid, name):
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/comm") as comm:
            if comm.read().strip() == name:
                return int(task)
    raise AssertionError(f"no thread {name}")


class Stopped:
    """One thread of a process, stopped until `go`."""

    def __init__(self, pid, name):
        self.thread = thread_called(pid, name)
        if libc.ptrace(PTRACE_SEIZE, self.thread, None, None) < 0:
            pytest.skip("ptrace is not allowed here")
        assert libc.ptrace(PTRACE_INTERRUPT, self.thread, None, None) == 0
        os.waitpid(self.thread, WALL)

    def go(self):
        assert libc.ptrace(PTRACE_DETACH, self.thread, None, None) == 0

    def wait_for_exit(self, seconds):
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if os.waitpid(self.thread, WALL | os.WNOHANG)[0] != 0:
                return
            time.sleep(0.05)
        raise AssertionError("the thread has not ended")


def test_a_stuck_worker_is_reported_and_the_admin_port_goes_on(weir, upstream):
    w = weir(upstream(), top={"workers": 2})
    stopped = Stopped(w.pid, "worker-1")
    w.signal(signal.SIGHUP)
    w.wait_for_log("worker_stuck worker=1 order=adopt waited_ms=", timeout=10)
    assert w.admin("/ready")[0] == 200
    stuck = json.loads(w.admin("/config/status")[1])["stuck_workers"]
    assert [(s["worker"], s["order"]) for s in stuck] == [(1, "adopt")]
    assert stuck[0]["waited_ms"] >= 2000
    assert 'weir_worker_stuck{worker="1"} 1\n' in w.admin("/metrics")[1]
    assert "reload_done" not in w.log
    stopped.go()
    w.wait_for_log("worker_answered worker=1 order=adopt")
    w.wait_for_log("reload_done")
    assert json.loads(w.admin("/config/status")[1])["stuck_workers"] == []
    assert w.get().status == 200


def test_a_stuck_worker_does_not_keep_the_process_from_ending(weir, upstream):
    w = weir(upstream(), top={"workers": 2, "drain_timeout": "500ms"})
    stopped = Stopped(w.pid, "worker-1")
    w.terminate()
    stopped.wait_for_exit(seconds=25)
    assert w.wait() == 1
    w.exit_code = 0  # the fixture expects it
    assert "worker_stuck worker=1 order=stop" in w.log
    assert "worker=0" not in w.log
