"""A name server on loopback that answers, refuses, fails or is silent: per family and per name."""

import socket
import struct
import threading

from . import ports

A, AAAA = 1, 28
OK, SERVFAIL, NXDOMAIN, REFUSED = 0, 2, 3, 5
SILENT = -1


class Zone:
    """The answers for the names that end in a suffix."""

    def __init__(self, a=(), aaaa=(), rcode_a=OK, rcode_aaaa=OK, ttl=1):
        self.addresses = {A: list(a), AAAA: list(aaaa)}
        self.rcodes = {A: rcode_a, AAAA: rcode_aaaa}
        self.ttl = ttl

    @classmethod
    def failing(cls, rcode):
        return cls(rcode_a=rcode, rcode_aaaa=rcode)


class NameServer:
    """zones: {suffix: Zone}; the longest suffix that fits answers, else NXDOMAIN. TCP and UDP."""

    def __init__(self, zones):
        self.zones = dict(zones)
        self.asked = []  # (name, type)
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.port = ports.free_port()
        self.udp.bind(("127.0.0.1", self.port))
        self.tcp = socket.create_server(("127.0.0.1", self.port))
        for serve in (self._serve_udp, self._serve_tcp):
            threading.Thread(target=serve, daemon=True).start()

    @property
    def address(self):
        return "127.0.0.1:%d" % self.port

    def stop(self):
        for sock in (self.udp, self.tcp):
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            sock.close()

    def _serve_udp(self):
        while True:
            try:
                query, peer = self.udp.recvfrom(4096)
                if len(query) <= 12:
                    return  # stopped
                reply = self.answer(query)
                if reply is not None and len(reply) > 512:
                    reply = reply[:2] + struct.pack("!HHHHH", 0x8380, 1, 0, 0, 0) + self._question(query)[0]
                if reply is not None:
                    self.udp.sendto(reply, peer)
            except OSError:
                return

    def _serve_tcp(self):
        while True:
            try:
                conn, _ = self.tcp.accept()
            except OSError:
                return
            with conn:
                size = conn.recv(2, socket.MSG_WAITALL)
                if len(size) == 2:
                    query = conn.recv(struct.unpack("!H", size)[0], socket.MSG_WAITALL)
                    reply = self.answer(query)
                    if reply is not None:
                        conn.sendall(struct.pack("!H", len(reply)) + reply)

    @staticmethod
    def _question(query):
        """(its bytes, the name, the type)."""
        labels, at = [], 12
        while query[at]:
            labels.append(query[at + 1 : at + 1 + query[at]].decode())
            at += query[at] + 1
        return query[12 : at + 5], ".".join(labels).lower(), struct.unpack("!H", query[at + 1 : at + 3])[0]

    def zone(self, name):
        fitting = [s for s in self.zones if name == s or name.endswith("." + s)]
        return self.zones[max(fitting, key=len)] if fitting else Zone.failing(NXDOMAIN)

    def answer(self, query):
        question, name, kind = self._question(query)
        self.asked.append((name, kind))
        zone = self.zone(name)
        rcode = zone.rcodes.get(kind, OK)
        if rcode == SILENT:
            return None
        addresses = zone.addresses.get(kind, []) if rcode == OK else []
        reply = query[:2] + struct.pack("!HHHHH", 0x8180 | rcode, 1, len(addresses), 0, 0) + question
        for address in addresses:
            data = socket.inet_pton(socket.AF_INET if kind == A else socket.AF_INET6, address)
            reply += struct.pack("!HHHIH", 0xC00C, kind, 1, zone.ttl, len(data)) + data
        return reply
