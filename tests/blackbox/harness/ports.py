"""Ports that no other test process uses.

weir listens with SO_REUSEPORT, so two of them on one port would not notice each other. A lock in the
abstract socket name space makes a port ours among all test processes of the machine; the range is below
the one from which the kernel takes ports for outgoing connections.
"""

import random
import socket

_locks = []


def free_port():
    while True:
        port = random.randrange(11000, 32000)
        lock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        probe = socket.socket()
        try:
            lock.bind("\0weir-test-port-%d" % port)
            probe.bind(("127.0.0.1", port))
        except OSError:
            lock.close()
            continue
        finally:
            probe.close()
        _locks.append(lock)
        return port


def has_ipv6():
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
        return True
    except OSError:
        return False
