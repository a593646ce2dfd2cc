"""The link protocol by hand, for a peer that does not keep to it: an identity, frames, advertisements, stream set-up.

The layouts are those of Sources/Wire; certificates and keys are made here, as any site could make them.
"""
import base64
import datetime
import hashlib
import hmac
import os
import socket
import ssl
import struct
import tempfile
import threading
import time

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, x25519
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

HEARTBEAT, CLOSE, HELLO, GOAWAY = 0, 1, 2, 3
LSA, LSA_ACK, COUNTS, SUMMARY, SUMMARY_ACK = 8, 9, 10, 14, 15
OPEN, OPENED, REFUSED, CANCEL, DATA, ACK, FIN, RESET = 16, 17, 18, 19, 20, 21, 22, 23
ANSWER = 1 << 31
OVERLOADED = 11


def frame(kind, payload=b"", label=0):
    return struct.pack(">II", len(payload) << 8 | kind, label) + payload


def text(value):
    value = value.encode() if isinstance(value, str) else value
    return struct.pack(">B", len(value)) + value


def long(value):
    return struct.pack(">H", len(value)) + value


def service_port(name):
    address, port = name.split("/")
    return text(address) + text(port)


def printed(proxy):
    """A ProxyID (34 bytes) as its description says it."""
    return f"{proxy[:26].decode()}/{proxy[26:].hex()}"


class Identity:
    """A site of its own: a CA, and the leaf of one gateway."""

    def __init__(self):
        self.ca_key, self.leaf_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
        spki = self.ca_key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        self.site = base64.b32encode(hashlib.sha256(spki).digest()).decode()[:26]
        self.authority = self.certificate("tieline site", self.ca_key, None)
        self.leaf = self.certificate("tieline gateway", self.leaf_key, f"spiffe://tieline/site/{self.site}/gateway")
        self.chain = [c.public_bytes(serialization.Encoding.DER) for c in (self.leaf, self.authority)]
        self.agreement = x25519.X25519PrivateKey.generate()
        with tempfile.NamedTemporaryFile(suffix=".pem") as file:
            file.write(self.leaf_key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
            for certificate in (self.leaf, self.authority):
                file.write(certificate.public_bytes(serialization.Encoding.PEM))
            file.flush()
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            self.context.check_hostname = False
            self.context.verify_mode = ssl.CERT_NONE
            self.context.minimum_version = ssl.TLSVersion.TLSv1_3
            self.context.set_alpn_protocols(["tieline/1"])
            self.context.load_cert_chain(file.name)

    def certificate(self, name, key, uri):
        now = datetime.datetime.utcnow()
        issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tieline site")])
        usage = dict.fromkeys(
            ["content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "crl_sign",
             "encipher_only", "decipher_only"], False)
        builder = (
            x509.CertificateBuilder().subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(issuer).public_key(key.public_key()).serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1)).not_valid_after(now + datetime.timedelta(days=6))
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.ca_key.public_key()), critical=False)
            .add_extension(x509.KeyUsage(digital_signature=uri is not None, key_cert_sign=uri is None, **usage), critical=True))
        if uri is None:
            builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        else:
            builder = builder.add_extension(
                x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri)]), critical=False)
            builder = builder.add_extension(
                x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        return builder.sign(self.ca_key, hashes.SHA256())

    def proxy(self, instance=None):
        """The ProxyID of one of its gateways; a random one without an instance."""
        return self.site.encode() + (os.urandom(8) if instance is None else struct.pack(">Q", instance))

    def lsa(self, origin, sequence, edges, services=(), fragment=0, fragments=1, forged=False, issued=None, lifetime=1800):
        """A signed advertisement, issued now. `edges`: (neighbor ProxyID, dialing SiteID, Link name, cost); `services`: (name, endpoints)."""
        key = self.agreement.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        body = (b"tieline-lsa\0" + origin + struct.pack(
            ">HQQIHB", fragment, sequence, int(time.time()) if issued is None else issued, lifetime, fragments, 0) + text("hostile")
                + long(key) + struct.pack(">B", len(self.chain)) + b"".join(long(c) for c in self.chain))
        edges = sorted(edges)
        body += struct.pack(">H", len(edges))
        for neighbor, dialer, name, cost in edges:
            body += neighbor + b"\1" + dialer.encode() + text(name) + struct.pack(">I", cost)
        services = sorted(services)
        body += struct.pack(">H", len(services))
        for name, endpoints in services:
            body += service_port(name) + struct.pack(">I", endpoints)
        return body + long(os.urandom(70) if forged else self.leaf_key.sign(body, ec.ECDSA(hashes.SHA256())))

    def stream_key(self, own, other, other_key):
        """The MAC key that two gateways share."""
        secret = self.agreement.exchange(x25519.X25519PublicKey.from_public_bytes(other_key))
        pair = " ".join(map(printed, sorted([own, other])))
        extracted = hmac.digest(b"tieline/1 stream set-up", secret, "sha256")
        return hmac.digest(extracted, pair.encode() + b"\1", "sha256")


def agreement_key(lsa):
    """(origin, X25519 key) of an LSA frame's payload."""
    origin, at = lsa[12:46], 12 + 34 + 2 + 8 + 8 + 4 + 2 + 1
    at += 1 + lsa[at]
    length = int.from_bytes(lsa[at:at + 2], "big")
    return origin, lsa[at + 2:at + 2 + length]


class Lane:
    """One lane that this side dialed. A thread reads: it answers heartbeats and keeps what else comes."""

    def __init__(self, identity, address, proxy=None, heartbeat=0.25, misses=3, reads=True):
        self.identity, self.own = identity, proxy or identity.proxy()
        self.kinds, self.keys, self.closed, self.neighbor = {}, {}, None, None
        self.refused, self.last, self.lock = {}, {}, threading.Lock()
        self.changed = threading.Condition()
        self.is_reading = threading.Event()
        self.is_reading.set()
        plain = socket.create_connection(address, 10)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = identity.context.wrap_socket(plain)
        self.socket.settimeout(None)
        self.heartbeat = heartbeat
        self.send(frame(HELLO, self.own + bytes([0, 0, 1]) + text("hostile") + text("hostile")
                        + struct.pack(">QB", int(heartbeat * 1e6), misses)))
        if reads:
            for work in (self.read, self.beat):
                threading.Thread(target=work, daemon=True).start()

    def send(self, data):
        """Sends bytes; an error when the other end has closed."""
        with self.lock:
            self.socket.sendall(data)

    def beat(self):
        try:
            while self.closed is None:
                self.send(frame(HEARTBEAT, struct.pack(">QQQ", time.monotonic_ns(), self.last.get("echo", 0), 0)))
                time.sleep(self.heartbeat)
        except OSError:
            pass

    def read(self):
        received = bytearray()
        try:
            while self.closed is None:
                self.is_reading.wait()
                part = self.socket.recv(262144)
                if not part:
                    return self.end("ended")
                received += part
                at = 0
                while len(received) - at >= 8:
                    length = int.from_bytes(received[at:at + 3], "big")
                    if len(received) - at < 8 + length:
                        break
                    label = int.from_bytes(received[at + 4:at + 8], "big")
                    self.take(received[at + 3], label, bytes(received[at + 8:at + 8 + length]))
                    at += 8 + length
                del received[:at]
        except (OSError, ValueError) as error:
            self.end(str(error))

    def take(self, kind, label, payload):
        with self.changed:
            self.kinds[kind] = self.kinds.get(kind, 0) + 1
            if kind == HELLO:
                self.neighbor = payload[:34]
            elif kind == HEARTBEAT:
                self.last["echo"] = int.from_bytes(payload[:8], "big")
            elif kind == LSA:
                origin, key = agreement_key(payload)
                if key:
                    self.keys[origin] = key
                self.last[origin] = payload
            elif kind == REFUSED:
                self.refused[payload[34]] = self.refused.get(payload[34], 0) + 1
            elif kind == CLOSE:
                self.closed = f"closed: {int.from_bytes(payload[:2], 'big')} {payload[2:].decode(errors='replace')}"
            self.changed.notify_all()

    def end(self, reason):
        with self.changed:
            self.closed = self.closed or reason
            self.changed.notify_all()

    def wait(self, condition, seconds=10):
        """True once `condition()` holds; false when the time is over or the lane has ended."""
        with self.changed:
            self.changed.wait_for(lambda: condition() or self.closed is not None, seconds)
            return bool(condition())

    def count(self, kind):
        return self.kinds.get(kind, 0)

    def join(self, sequence=1, services=(), cost=1):
        """Waits for the answer, advertises itself and its edge, and acknowledges what comes; false when it was not let in."""
        if not self.wait(lambda: self.neighbor is not None):
            return False
        self.send(frame(LSA, self.identity.lsa(
            self.own, sequence, [(self.neighbor, self.identity.site, "hostile", cost)], services)))
        return self.wait(lambda: self.neighbor in self.keys)

    def open_frame(self, number, service, window=65536, route=None, target=None, label=None, ingress=None):
        """An OPEN with its MAC; the egress is the last of the route, which must have advertised its key."""
        route = route or [self.neighbor]
        egress = route[-1]
        target = (target or egress[:26].decode()).encode()
        name = (ingress or self.own) + struct.pack(">QI", number, 0)
        client = struct.pack(">BIH", 4, 0x7F000001, 40000)
        path = bytes([len(route)]) + b"".join(route)
        key = self.identity.stream_key(self.own, egress, self.keys[egress])
        covered = bytes([OPEN]) + name + self.own + service_port(service) + target + path + client
        mac = hmac.digest(key, covered, "sha256")[:16]
        payload = name + service_port(service) + path + target + client + b"\1" + self.own + mac + struct.pack(">I", window)
        return frame(OPEN, payload, number % 131072 if label is None else label)

    def close(self):
        self.end("closed here")
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.socket.close()
