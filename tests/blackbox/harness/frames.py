"""HTTP/2 frames and header blocks, byte by byte, for what no library would send."""

import struct

DATA, HEADERS, PRIORITY, RST, SETTINGS, PING, GOAWAY, WINDOW, CONTINUATION = 0, 1, 2, 3, 4, 6, 7, 8, 9
END_STREAM, END_HEADERS = 1, 4
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def literal(name, value, index=0x00):
    """A field without indexing (0x10 never, 0x40 with), names and values up to 126 bytes or longer."""
    def text(data):
        if len(data) < 127:
            return bytes([len(data)]) + data
        rest, out = len(data) - 127, bytes([127])
        while rest >= 128:
            out += bytes([rest % 128 + 128])
            rest //= 128
        return out + bytes([rest]) + data

    return bytes([index]) + text(name) + text(value)


HEAD = b"\x82\x86\x84" + literal(b":authority", b"a")  # GET http /
