#!/usr/bin/env python3
"""A configuration beyond one Secret, on a real API server with a real gateway: many Services, all of them applied.

    hack/scale_configuration.py [--services N]     (default 6000)

Runs on a test cluster of its own (release programs of TIELINE_BIN or .build/release) and prints one line per measurement.
It fails unless the gateway has applied what the last Secret says, with every Service in it, and each Secret is below 1 MiB.
"""
import argparse
import base64
import json
import os
import sys

from scale import PREFIX, Cluster, Scale, Table, end_with_clusters, wait

from network import API


def configuration(server, where):
    """The generation and the names of the services that the Secrets of a site say, and the size of each Secret."""
    path = f"/api/v1/namespaces/{where}/secrets"
    secret = server.ask("GET", f"{path}/tieline-proxy")
    head = json.loads(base64.b64decode(secret["data"]["configuration.json"]))
    names, sizes = [item["name"] for item in head.get("configuration", {}).get("services", [])], [size(secret)]
    for index, digest in enumerate(head.get("parts", [])):
        part = server.ask("GET", f"{path}/tieline-proxy-part-{index:02d}")
        lines = base64.b64decode(part["data"][f"services-{digest}.jsonl"]).splitlines()
        names += [json.loads(line)["name"] for line in lines]
        sizes.append(size(part))
    return head["generation"], head["snapshotKey"], names, sizes


def size(secret):
    return sum(len(base64.b64decode(value)) for value in secret["data"].values())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--services", type=int, default=6000)
    count = parser.parse_args().services
    end_with_clusters()
    with Cluster(f"e2e-{os.getpid()}") as cluster:
        return check(Scale(cluster, Table()), count)


def check(scale, count, where="large"):
    """Creates the Services and waits until the gateway has applied all of them; 0 when everything held."""
    cluster, server, net = scale.cluster, scale.server, scale.network
    net.make_sites(where)
    gateway = net.gateways(where)[0]

    def make(number):
        # No listeners: what is looked at is the configuration.
        server.ask("POST", f"{PREFIX}/{where}/services", {
            "apiVersion": API, "kind": "Service", "metadata": {"name": f"s{number}", "namespace": where},
            "spec": {"ports": [{"name": "tcp", "port": 8080}], "hosts": [f"192.0.2.{number % 250 + 1}"]}})
    for number in range(count):
        make(number)
    state = {}

    def told():
        state["generation"], state["key"], state["names"], state["sizes"] = configuration(server, where)
        return len(state["names"]) == count
    wait(f"{count} Services are in the Secrets", told, 600, every=2)

    def applied():
        told()
        answer = cluster.exec(
            ["curl", "-fsS", "-H", f"Authorization: Bearer {state['key']}",
             f"http://{gateway['status']['podIP']}:5673/v1/snapshot"]).communicate()[0]
        return json.loads(answer)["appliedGeneration"] >= state["generation"]
    wait("the gateway has applied them", applied, 120, every=1)
    total = sum(state["sizes"])
    scale.table.row(f"{count} Services in {len(state['sizes'])} Secrets: all bytes", total / 2**20, "MiB")
    scale.table.row("  the largest Secret", max(state["sizes"]) / 2**20, "MiB", 1)
    scale.table.row("  Services that the gateway has applied", len(set(state["names"])), "")
    return 1 if scale.table.missed or set(state["names"]) != {f"s{number}" for number in range(count)} else 0


if __name__ == "__main__":
    sys.exit(main())
