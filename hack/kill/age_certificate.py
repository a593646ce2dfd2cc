#!/usr/bin/env python3
"""Reads [CHAIN, KEY] as JSON: a leaf with its CA, and the key of that CA; prints the chain with a leaf whose time is nearly over.

It is the same leaf with the same key, but for its dates and what signs them.
"""
import datetime
import json
import sys

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

END = "-----END CERTIFICATE-----\n"


def main():
    chain, key = json.load(sys.stdin)
    leaf, authority = [text + END for text in chain.split(END)[:2]]
    old = x509.load_pem_x509_certificate(leaf.encode())
    now = datetime.datetime.utcnow()
    builder = (
        x509.CertificateBuilder().subject_name(old.subject).issuer_name(old.issuer).public_key(old.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=60)).not_valid_after(now + datetime.timedelta(days=1)))
    for extension in old.extensions:
        builder = builder.add_extension(extension.value, extension.critical)
    signer = serialization.load_pem_private_key(key.encode(), password=None)
    aged = builder.sign(signer, hashes.SHA256())
    sys.stdout.write(aged.public_bytes(serialization.Encoding.PEM).decode() + authority)


if __name__ == "__main__":
    main()
