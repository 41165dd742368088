"""What the black-box tests stand on: strict peers on both sides of the real binary.

    weir.py      starts weir on a configuration, watches it, ends it
    origin.py    scripted HTTP/1.1 upstreams that record every byte they got
    client.py    a raw client that sends what it is told and parses strictly
    h2client.py  an HTTP/2 client with python-h2 below it
    frames.py    HTTP/2 frames byte by byte
    certs.py     a CA and leaf certificates
    wire.py      HTTP/1.1 messages, read to the letter of RFC 9112
    tools.py     curl, nghttp, openssl and friends
"""

KIB = 1024
MIB = 1024 * KIB
