"""One lane by hand: what a proxy answers to a certificate that another kind of proxy would never show.

    lane.py HOST PORT CERTIFICATE KEY SITEID gateway|sidecar

Shakes hands, says HELLO and prints the first answer as JSON: {"hello": SITEID}, {"close": CODE, "text": ...} or {"error": ...}.
The frames are those of Sources/Wire.
"""
import json
import os
import socket
import ssl
import struct
import sys

CLOSE, HELLO = 1, 2


def text(value):
    return struct.pack(">B", len(value)) + value.encode()


def hello(site, role):
    proxy = site.encode() + os.urandom(8)
    payload = proxy + bytes([0, role == "sidecar", 1]) + text("probe") + text("probe") + struct.pack(">QB", 250_000, 3)
    return struct.pack(">I", len(payload) << 8 | HELLO) + bytes(4) + payload


def frames(lane):
    received = b""
    while True:
        while len(received) < 8 or len(received) < 8 + (length := int.from_bytes(received[:3], "big")):
            part = lane.recv(65536)
            if not part:
                return
            received += part
        yield received[3], received[8:8 + length]
        received = received[8 + length:]


def answer(host, port, certificate, key, site, role):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # the test asks who answers; it does not trust
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.set_alpn_protocols(["tieline/1"])
    context.load_cert_chain(certificate, key)
    try:
        with socket.create_connection((host, int(port)), 5) as plain, context.wrap_socket(plain) as lane:
            lane.sendall(hello(site, role))
            for kind, payload in frames(lane):
                if kind == HELLO:
                    return {"hello": payload[:26].decode()}
                if kind == CLOSE:
                    return {"close": int.from_bytes(payload[:2], "big"), "text": payload[2:].decode()}
    except OSError as error:
        return {"error": str(error)}
    return {"error": "closed without a word"}


if __name__ == "__main__":
    print(json.dumps(answer(*sys.argv[1:])))
