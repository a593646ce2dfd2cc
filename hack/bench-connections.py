#!/usr/bin/env python3
"""What a short connection costs two linked proxies, in CPU time.

    hack/bench-connections.py [--rate 1500] [--seconds 5] [--rounds 3]

Two plain sites on loopback addresses, a link between them, a server behind the second, clients at the first: connect, one
request, one answer, close. Needs `hack/build.sh` before. Figures of a busy machine are worth a comparison in one
run, no more.
"""
import argparse
import json
import os
import pathlib
import socket
import statistics
import subprocess
import sys
import tempfile
import time

BIN = pathlib.Path(os.environ.get("TIELINE_BIN", pathlib.Path(__file__).parent.parent / ".build/release"))
API = "tieline.dev/v1alpha1"
INGRESS, EGRESS, SERVER = "127.0.1.1", "127.0.1.2", "127.0.1.3"


class PlainSite:
    def __init__(self, folder, name, address):
        self.path = folder / name
        self.path.mkdir()
        self.name = name
        self.write("site", f"kind: Site\nmetadata: {{name: {name}}}\nspec: {{}}\n")
        self.log = open(folder / f"{name}.log", "w")
        self.process = subprocess.Popen(
            [BIN / "tieline-proxy", "run", "--site-dir", self.path, "--bind", address, "--admin", f"{address}:5673",
             "--loops", "1"], stdout=self.log, stderr=subprocess.STDOUT)

    def write(self, file, text):
        fresh = self.path / f".{file}"
        fresh.write_text(f"apiVersion: {API}\n{text}")
        fresh.rename(self.path / f"{file}.yaml")

    def identity(self):
        status = self.path / "status" / f"site-{self.name}.json"
        return json.loads(status.read_text())["status"].get("siteID") if status.exists() else None

    def cpu(self):
        """User and system time so far, in microseconds."""
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        tick = 1_000_000 // os.sysconf("SC_CLK_TCK")
        return int(fields[11]) * tick, int(fields[12]) * tick


def wait(what, condition, limit=20):
    end = time.monotonic() + limit
    while time.monotonic() < end:
        result = condition()
        if result:
            return result
        time.sleep(0.05)
    sys.exit(f"not within {limit} s: {what}")


def answers():
    try:
        with socket.create_connection((INGRESS, 8080), 1) as client:
            client.sendall(b"name\n")
            return client.recv(16)
    except OSError:
        return None


def measure(sites, rate, seconds):
    before = [site.cpu() for site in sites]
    load = subprocess.run([BIN / "traffic", "load", "--to", f"{INGRESS}:8080", "--rate", str(rate),
                           "--seconds", str(seconds)], capture_output=True, text=True, check=True)
    result = json.loads(load.stdout.splitlines()[-1])
    spent = [[(now - then) / result["total"] for now, then in zip(site.cpu(), start)]
             for site, start in zip(sites, before)]
    print(f"{result['total']} connections, {result['endings']}; us each: "
          + "; ".join(f"{site.name} user {user:.0f} system {system:.0f}" for site, (user, system) in zip(sites, spent))
          + f"; both {sum(map(sum, spent)):.0f}")
    return sum(map(sum, spent))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rate", type=int, default=1500)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    processes = []
    with tempfile.TemporaryDirectory(prefix="tieline-bench-") as folder:
        try:
            sites = [PlainSite(pathlib.Path(folder), "ingress", INGRESS), PlainSite(pathlib.Path(folder), "egress", EGRESS)]
            processes += [site.process for site in sites]
            processes.append(subprocess.Popen([BIN / "traffic", "serve", "--listen", f"{SERVER}:9000", "--name", "server"],
                                              stdout=subprocess.DEVNULL))
            ids = [wait(f"{site.name} has an identity", site.identity) for site in sites]
            service = "kind: Service\nmetadata: {name: backend}\nspec:\n  ports: [{name: tcp, port: 8080, targetPort: 9000}]\n"
            sites[1].write("service", f"{service}  hosts: [{SERVER}]\n")
            sites[1].write("site", "kind: Site\nmetadata: {name: egress}\nspec:\n"
                           f"  linkAccess: {{type: External, hosts: [{EGRESS}]}}\n  allow: [{{siteID: {ids[0]}, name: ingress}}]\n")
            sites[0].write("link", "kind: Link\nmetadata: {name: egress}\nspec:\n"
                           f"  endpoints: [{{host: {EGRESS}, port: 5671}}]\n  remoteSiteID: {ids[1]}\n")
            sites[0].write("service", service)
            wait("a client is answered", answers)
            costs = [measure(sites, options.rate, options.seconds) for _ in range(options.rounds)]
            print(f"median of {options.rounds}: {statistics.median(costs):.0f} us of both proxies for a connection, "
                  f"at {options.rate} a second")
        finally:
            for process in processes:
                process.kill()
                process.wait()


if __name__ == "__main__":
    main()
