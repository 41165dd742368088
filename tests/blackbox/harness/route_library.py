"""libweir-route through ctypes: the structs of include/weir/route.h and one function that asks."""

import ctypes
import ipaddress
import os
import pathlib

from . import weir


class Text(ctypes.Structure):
    _fields_ = [("ptr", ctypes.c_char_p), ("len", ctypes.c_size_t)]

    def __init__(self, text=None):
        data = text.encode("latin-1") if text is not None else None
        super().__init__(data, len(data or b""))


class OutText(ctypes.Structure):
    _fields_ = [("ptr", ctypes.c_void_p), ("len", ctypes.c_size_t)]

    def __str__(self):
        return ctypes.string_at(self.ptr, self.len).decode() if self.len else ""


class Field(ctypes.Structure):
    _fields_ = [("name", Text), ("value", Text)]


class Request(ctypes.Structure):
    _fields_ = [
        ("size", ctypes.c_size_t),
        ("method", Text),
        ("host", Text),
        ("target", Text),
        ("fields", ctypes.POINTER(Field)),
        ("field_count", ctypes.c_size_t),
        ("client_ip", ctypes.c_uint8 * 16),
        ("is_trusted", ctypes.c_int),
        ("random", ctypes.c_uint64),
    ]


class Decision(ctypes.Structure):
    _fields_ = [
        ("size", ctypes.c_size_t),
        ("status", ctypes.c_int),
        ("is_debug", ctypes.c_int),
        ("side", ctypes.c_int),
        ("has_share", ctypes.c_int),
        ("share", ctypes.c_uint32),
        ("bucket", ctypes.c_uint32),
    ] + [(name, OutText) for name in ("service", "group", "target", "datacenter", "rule", "why")]


def path():
    """The library beside the binary under test; None when it cannot be loaded here."""
    default = pathlib.Path(weir.binary()).with_name("libweir-route.so")
    library = pathlib.Path(os.environ.get("WEIR_ROUTE_LIB", str(default)))
    return library if library.exists() and not weir.is_sanitized() else None


class Routing:
    def __init__(self, config_file):
        self.lib = ctypes.CDLL(str(path()))
        self.lib.weir_routing_load.restype = ctypes.c_void_p
        self.lib.weir_router_find.restype = ctypes.c_void_p
        self.lib.weir_router_find.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
        self.lib.weir_decide.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p]
        self.lib.weir_decide.restype = None
        self.lib.weir_rewrite.argtypes = [ctypes.c_void_p] * 3 + [ctypes.c_size_t] + [ctypes.c_void_p] * 2
        self.lib.weir_routing_free.argtypes = [ctypes.c_void_p]
        self.routing = self.lib.weir_routing_load(str(config_file).encode(), None, None)
        assert self.routing
        self.router = self.lib.weir_router_find(self.routing, None)

    def decide(self, method, host, target, fields, client, is_trusted):
        """The decision, and the target and host that the upstream gets."""
        address = ipaddress.ip_address(client)
        packed = b"\0" * 10 + b"\xff\xff" + address.packed if address.version == 4 else address.packed
        array = (Field * len(fields))(*[Field(Text(name), Text(value)) for name, value in fields])
        request = Request(
            ctypes.sizeof(Request),
            Text(method),
            Text(host),
            Text(target),
            array,
            len(fields),
            (ctypes.c_uint8 * 16)(*packed),
            is_trusted,
            0,
        )
        decision = Decision(ctypes.sizeof(Decision))
        self.lib.weir_decide(self.router, ctypes.byref(request), ctypes.byref(decision))
        out, new_target, new_host = ctypes.create_string_buffer(32768), OutText(), OutText()
        answers = [ctypes.byref(text) for text in (new_target, new_host)]
        assert self.lib.weir_rewrite(self.router, ctypes.byref(request), out, len(out), *answers) == 0
        return decision, (str(new_target) or target, str(new_host) or host)

    def close(self):
        self.lib.weir_routing_free(self.routing)
