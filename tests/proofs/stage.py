"""What the proofs set up around weir: nginx as a backend on a unix socket, and certificates."""

import subprocess

BACKEND = """
worker_processes 1; daemon off; pid {dir}/nginx.pid; error_log {dir}/nginx.err;
events {{ worker_connections 1024; }}
http {{ access_log off; keepalive_requests 100000000;
       server {{ listen unix:{dir}/origin.sock; location / {{ return 200 "{body}"; }} }} }}
"""

ECDSA = ("ec", "-pkeyopt", "ec_paramgen_curve:prime256v1")


def certificate(directory, name, *key):
    """A self-made one: NAME.pem and NAME.key. `key` is what openssl's -newkey takes, and its options."""
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", *key, "-nodes", "-subj", "/CN=localhost", "-days", "2", "-keyout",
         directory / (name + ".key"), "-out", directory / (name + ".pem")],
        check=True, capture_output=True,
    )
