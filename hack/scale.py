#!/usr/bin/env python3
"""What the size of a cluster costs: times, CPU and memory of the controller, a gateway and the API server.

    hack/scale.sh                                            1,000 and 5,000 Services; 50 Sites with 200 Links
    hack/scale.sh --services N... --sites N --links N        0 leaves a part out
    hack/scale.sh --quick                                    1,000 Services, short, with bounds that a busy machine keeps

Runs on a test cluster of its own (real API server, release programs), prints one line per measurement, and last
`N targets met, M missed`. CPU is that of the process, in seconds, whatever else the machine does.
"""
import argparse
import concurrent.futures
import http.client
import json
import os
import pathlib
import re
import socket
import ssl
import statistics
import sys
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "Tests" / "EndToEnd"))

from cluster import Cluster, condition, end_with_clusters, wait  # noqa: E402
from network import API, Network, namespace, server, site  # noqa: E402

CONTROLLER = "app.kubernetes.io/component=controller"
TICKS = os.sysconf("SC_CLK_TCK")
PREFIX = "/apis/tieline.dev/v1alpha1/namespaces"
PROBE = """
import http.client, sys, threading, time
worst, failed, late, ended = 0.0, 0, 0.0, threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
slept = time.monotonic()
while not ended.wait(0.05):
    began = time.monotonic()
    late = max(late, began - slept - 0.05)
    try:
        connection = http.client.HTTPConnection(sys.argv[1], 8080, timeout=5)
        connection.request("GET", "/healthz")
        failed += connection.getresponse().status != 200
        connection.close()
    except OSError:
        failed += 1
    slept = time.monotonic()
    worst = max(worst, slept - began)
print(worst, failed, late)
"""


class Server:
    """The API server by hand: kubectl's own cost would hide what is measured."""

    def __init__(self, cluster):
        state = pathlib.Path(cluster.env["KUBECONFIG"]).parent
        self.port = int((state / "port").read_text())
        self.token = (state / "admin.token").read_text().strip()
        self.pid = int((state / "pid").read_text())
        self.local = threading.local()
        self.context = ssl.create_default_context(cafile=str(state / "pki" / "ca.crt"))

    def ask(self, *request):
        return json.loads(self.read(*request))

    def read(self, method, path, body=None, kind="application/json"):
        if not hasattr(self.local, "connection"):
            self.local.connection = http.client.HTTPSConnection("127.0.0.1", self.port, context=self.context)
        self.local.connection.request(
            method, path, body=json.dumps(body) if body is not None else None,
            headers={"Authorization": f"Bearer {self.token}", "Content-Type": kind})
        answer = self.local.connection.getresponse()
        content = answer.read()
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path}: {answer.status} {content[:300]!r}")
        return content

    def items(self, path):
        return self.ask("GET", path)["items"]

    def requests(self):
        """How many requests it has answered, by verb, resource and code; also those of this program."""
        found = {}
        for line in self.read("GET", "/metrics").decode().splitlines():
            if line.startswith("apiserver_request_total{"):
                labels = dict(re.findall(r'(\w+)="([^"]*)"', line))
                resource = labels["resource"] + (f".{labels['group']}" if labels["group"] else "")
                resource += f"/{labels['subresource']}" if labels["subresource"] else ""
                key = f"{labels['verb']} {resource} {labels['code']}"
                found[key] = found.get(key, 0) + int(float(line.rsplit(" ", 1)[1]))
        return found


class Watched:
    """The objects of a collection as a watch tells them: asking for all of them again and again would be most of what is measured."""

    def __init__(self, server, path, keep):
        """`keep` makes of an object what is kept of it."""
        self.server, self.path, self.keep, self.kept, self.failure = server, path, keep, {}, None
        self.connection, self.ended = None, False
        version = self.list()
        self.thread = threading.Thread(target=self.run, args=(version,), daemon=True)
        self.thread.start()

    def list(self):
        found = self.server.ask("GET", self.path)
        self.kept = {item["metadata"]["name"]: self.keep(item) for item in found["items"]}
        return found["metadata"]["resourceVersion"]

    def run(self, version):
        try:
            while not self.ended:
                self.follow(version)
                # The server ends the watch of a client that falls behind: it asks for everything once more.
                version = self.list()
        except Exception as failure:  # whatever it is, who waits must hear of it
            if not self.ended:
                self.failure = failure

    def follow(self, version):
        self.connection = http.client.HTTPSConnection("127.0.0.1", self.server.port, context=self.server.context)
        self.connection.request(
            "GET", f"{self.path}?watch=1&timeoutSeconds=3000&resourceVersion={version}",
            headers={"Authorization": f"Bearer {self.server.token}"})
        for line in self.connection.getresponse():
            event = json.loads(line)
            if event["type"] not in ("ADDED", "MODIFIED", "DELETED"):
                raise RuntimeError(f"watch of {self.path}: {line[:300]!r}")
            name = event["object"]["metadata"]["name"]
            if event["type"] == "DELETED":
                self.kept.pop(name, None)
            else:
                self.kept[name] = self.keep(event["object"])

    def count(self, wanted=bool):
        if self.failure:
            raise RuntimeError(f"the watch of {self.path} broke: {self.failure}")
        return sum(map(wanted, list(self.kept.values())))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.ended = True
        if self.connection and self.connection.sock:
            self.connection.sock.shutdown(socket.SHUT_RDWR)


def cpu(pid):
    """Seconds of all threads, in hundredths; what ended threads took is in it."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def fine_cpu(pid):
    """Seconds of the threads that are there, in nanoseconds: for what takes less than the clock of `cpu` shows."""
    return sum(int(path.read_text().split()[0]) for path in pathlib.Path(f"/proc/{pid}/task").glob("*/schedstat")) / 1e9


def machine():
    """Seconds that all cores were busy with something."""
    fields = [int(field) for field in pathlib.Path("/proc/stat").read_text().splitlines()[0].split()[1:]]
    return (sum(fields[:8]) - fields[3] - fields[4] - fields[7]) / TICKS


def memory(pid):
    """Resident, in MB."""
    line = next(line for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


class Table:
    """The rows, each judged by its target; of a quick run by `quick`, which a busy machine keeps."""

    def __init__(self, is_quick=False):
        self.met, self.missed, self.is_quick = 0, 0, is_quick

    def row(self, name, value, unit, most=None, quick=None):
        verdict = ""
        if self.is_quick:
            most = quick
        if most is not None:
            holds = value <= most
            self.met, self.missed = self.met + holds, self.missed + (not holds)
            verdict = f"{'met' if holds else 'MISSED'} (at most {most:g})"
        print(f"{name:<66} {value:>9.3f} {unit:<4} {verdict}", flush=True)


class Scale:
    def __init__(self, cluster, table):
        self.cluster, self.table = cluster, table
        self.server = Server(cluster)
        self.network = Network(cluster)
        self.network.install()

    def leader(self):
        holder = self.cluster.get("lease", "tieline-system", "tieline-controller")["spec"]["holderIdentity"]
        return next(pod for pod in self.cluster.pods("tieline-system", CONTROLLER)
                    if holder.startswith(pod["metadata"]["name"]))

    def costs(self, pids, clock=cpu):
        return {name: clock(pid) for name, pid in pids.items()}

    # One site with many Services

    def services(self, count, times):
        net, cluster, where = self.network, self.cluster, f"many-{count}"
        net.make_sites(where)
        cluster.apply(server(where, "s"))
        address = cluster.wait_ready(where, "app=s", 1)[0]["status"]["podIP"]
        gateway = net.gateways(where)[0]
        leader = self.leader()
        pids = {"controller": cluster.pid(leader), "gateway": cluster.pid(gateway), "API server": self.server.pid}
        transitions = self.lease().get("leaseTransitions", 0)
        prober = self.probe(leader)
        self.created(count, where, address, pids)
        self.settle(count, where, pids)
        self.edited(where, pids, times)
        if not self.table.is_quick:
            self.idle(where, pids)
        for name in ("controller", "gateway"):
            self.table.row(f"memory of the {name} at {count} Services", memory(pids[name]), "MB",
                           150 if name == "controller" else None, 200)
        self.answered(prober, "the controller's slowest /healthz, asked every 50 ms all the while")
        self.table.row("the lease was lost", self.lease().get("leaseTransitions", 0) - transitions, "", 0, 0)
        self.led_by_another(where, pids)
        self.deleted(count, where)

    def lease(self):
        return self.cluster.get("lease", "tieline-system", "tieline-controller")["spec"]

    def probe(self, pod):
        return self.cluster.exec([sys.executable, "-c", PROBE, pod["status"]["podIP"]])

    def answered(self, prober, name):
        worst, failed, late = prober.communicate("")[0].split()
        self.table.row(name, float(worst) * 1000, "ms", 100, 2000)
        self.table.row("  how late who asks it woke from its own sleep at the most", float(late) * 1000, "ms")
        self.table.row("  that failed", float(failed), "", 0, 0)

    def created(self, count, where, address, pids):
        def make(number):
            self.server.ask("POST", f"{PREFIX}/{where}/services", {
                "apiVersion": API, "kind": "Service", "metadata": {"name": f"s{number}", "namespace": where},
                "spec": {"ports": [{"name": "tcp", "port": 8080}], "hosts": [address], "listen": {"enabled": True}}})

        asked = self.server.requests()
        with Watched(self.server, f"{PREFIX}/{where}/services", lambda item: condition(item, "Ready") == "True") as watched:
            before, busy, began = self.costs(pids), machine(), time.monotonic()
            with concurrent.futures.ThreadPoolExecutor(16) as pool:
                list(pool.map(make, range(count)))
            created = time.monotonic() - began
            wait(f"{count} Services are Ready", lambda: watched.count() == count, 300, every=0.1)
        took, after, busy = time.monotonic() - began, self.costs(pids), machine() - busy
        self.table.row(f"{count} Services created at once: until all are created", created, "s")
        self.table.row(f"{count} Services created at once: until all are Ready", took, "s", 10 if count <= 1000 else 60, 120)
        for name in pids:
            self.table.row(f"  CPU of the {name} for it", after[name] - before[name], "s")
        others = busy - sum(after[name] - before[name] for name in pids)
        self.table.row("  CPU of all else: etcd, the test cluster, this measurement", others, "s")
        self.table.row("  of the time of all cores", busy / took / os.cpu_count() * 100, "%")
        for name, times in sorted(self.server.requests().items()):
            # Fewer are somebody's routine.
            if times - asked.get(name, 0) >= count / 20:
                self.table.row(f"  requests: {name}", times - asked.get(name, 0), "")

    def edited(self, where, pids, times):
        spent, took, path = {name: [] for name in pids}, [], f"{PREFIX}/{where}/services/s1"
        before, began = self.costs(pids, fine_cpu), time.monotonic()
        time.sleep(5)  # how much each takes anyway is what is measured
        passed, after = time.monotonic() - began, self.costs(pids, fine_cpu)
        at_rest = {name: (after[name] - before[name]) / passed for name in pids}
        for number in range(times):
            before, began = self.costs(pids, fine_cpu), time.monotonic()
            edited = self.server.ask("PATCH", path, {"spec": {"timeouts": {"idle": f"{number + 2}h"}}},
                                     "application/merge-patch+json")["metadata"]["generation"]

            def told():
                item = self.server.ask("GET", path)
                return item["status"]["observedGeneration"] == edited and condition(item, "Ready") == "True"
            wait("the edit is in status", told, 30, every=0.02)
            took.append(time.monotonic() - began)
            wait("the controller rests", self.rested(pids["controller"]), 20, every=0.1)
            passed, after = time.monotonic() - began, self.costs(pids, fine_cpu)
            for name in pids:
                spent[name].append(after[name] - before[name] - at_rest[name] * passed)
        self.table.row("one edit: until its status says that the gateways have it (median)", statistics.median(took), "s", 2, 10)
        for name, most, quick in (("controller", 0.050, 0.6), ("gateway", 0.005, 0.15), ("API server", None, None)):
            self.table.row(f"  CPU of the {name} for it, beyond what it takes at rest (median of {times})",
                           statistics.median(spent[name]), "s", most, quick)

    def settle(self, count, where, pids):
        """Until the cluster has made a slice for each core Service too: gateways and controllers hear of each."""
        path = f"/apis/discovery.k8s.io/v1/namespaces/{where}/endpointslices"
        wait("every core Service has its slice", lambda: len(self.server.items(path)) >= count, 300, every=2)
        for name in ("controller", "gateway"):
            wait(f"the {name} rests", self.rested(pids[name]), 60, every=0.2)

    @staticmethod
    def rested(pid):
        seen = [cpu(pid), time.monotonic()]

        def probe():
            now = cpu(pid)
            if now - seen[0] > 0.011:
                seen[:] = [now, time.monotonic()]
            return time.monotonic() - seen[1] > 0.5
        return probe

    def versions(self, where, statuses=True):
        """A mark for each object that changes when it is written; `statuses`: also when its status alone is."""
        field = "resourceVersion" if statuses else "generation"
        found = {item["metadata"]["uid"]: item["metadata"][field]
                 for kind in ("services", "sites", "links") for item in self.server.items(f"{PREFIX}/{where}/{kind}")}
        for item in self.server.items(f"/api/v1/namespaces/{where}/services") + self.server.items(
                f"/api/v1/namespaces/{where}/secrets"):
            found[item["metadata"]["uid"]] = item["metadata"]["resourceVersion"]
        return found

    def changed(self, before, where, statuses=True):
        now = self.versions(where, statuses)
        return sum(version != now.get(uid) for uid, version in before.items())

    def idle(self, where, pids, seconds=20):
        versions, before = self.versions(where), self.costs(pids)
        time.sleep(seconds)  # the idle time is what is measured
        after = self.costs(pids)
        changed = self.changed(versions, where)
        self.table.row(f"idle for {seconds} s: objects written", changed, "", 0)
        for name in ("controller", "gateway"):
            self.table.row(f"  CPU of the {name}, of a core", (after[name] - before[name]) / seconds * 100, "%")

    def led_by_another(self, where, pids):
        """The leader is killed: the other controller begins with everything, and has nothing to write."""
        old = self.lease()
        leader = self.leader()
        follower = next(pod for pod in self.cluster.pods("tieline-system", CONTROLLER)
                        if pod["metadata"]["name"] != leader["metadata"]["name"])
        versions, applied, prober = self.versions(where, statuses=False), cpu(pids["gateway"]), self.probe(follower)
        pid, began = self.cluster.pid(follower), time.monotonic()
        before = cpu(pid)
        self.cluster.kill(leader)
        wait("another controller leads", lambda: self.lease()["holderIdentity"] != old["holderIdentity"], 60)
        self.table.row("the leading controller killed: until another one leads", time.monotonic() - began, "s", 30, 60)
        wait("it rests", self.rested(pid), 60, every=0.2)
        self.table.row("  objects written by it, beside statuses", self.changed(versions, where, statuses=False), "", 0, 0)
        self.table.row("  its CPU until it rests", cpu(pid) - before, "s", None, 10)
        self.table.row("  CPU of the gateway meanwhile", cpu(pids["gateway"]) - applied, "s")
        self.answered(prober, "  its slowest /healthz")
        self.table.row("  changes of the lease", self.lease()["leaseTransitions"] - old.get("leaseTransitions", 0), "", 1, 1)

    def deleted(self, count, where):
        def of_service(item):
            return item["metadata"]["name"].startswith("s")
        with (Watched(self.server, f"{PREFIX}/{where}/services", lambda _: True) as services,
              Watched(self.server, f"/api/v1/namespaces/{where}/services", of_service) as core):
            began = time.monotonic()
            self.server.ask("DELETE", f"{PREFIX}/{where}/services")
            wait("all Services and their core Services are gone", lambda: services.count() + core.count() == 0, 300, every=0.1)
        self.table.row(f"{count} Services deleted at once: until all is gone", time.monotonic() - began, "s", None, 120)

    # Many sites, many links

    def sites(self, count, links):
        names = [f"site-{number}" for number in range(count)]
        self.cluster.apply(*[namespace(name) for name in names])
        ready = lambda: sum(condition(item, "Ready") == "True" for item in self.server.items("/apis/tieline.dev/v1alpha1/sites"))
        already, began = ready(), time.monotonic()
        # One loop each: 50 gateways share two cores.
        self.cluster.apply(*[site(name, proxy={"replicas": 1, "loops": 1}) for name in names])
        wait(f"{count} Sites are Ready", lambda: ready() >= count + already, 300, every=0.5)
        self.table.row(f"{count} Sites created at once: until all are Ready", time.monotonic() - began, "s")
        if not links:
            return
        statuses = {name: self.server.ask("GET", f"{PREFIX}/{name}/sites/{name}")["status"] for name in names}
        hub, others = names[0], names[1:]
        allow = {"spec": {"allow": [{"siteID": statuses[hub]["siteID"], "name": hub}]}}
        for name in others:
            self.server.ask("PATCH", f"{PREFIX}/{name}/sites/{name}", allow, "application/merge-patch+json")
        began = time.monotonic()
        for number in range(links):
            remote = statuses[others[number % len(others)]]
            self.server.ask("POST", f"{PREFIX}/{hub}/links", {
                "apiVersion": API, "kind": "Link", "metadata": {"name": f"l{number}", "namespace": hub},
                "spec": {"endpoints": remote["endpoints"], "remoteSiteID": remote["siteID"]}})
        up = lambda: sum(condition(item, "Connected") == "True" for item in self.server.items(f"{PREFIX}/{hub}/links"))
        wait(f"{links} Links are Connected", lambda: up() == links, 180, every=0.5)
        self.table.row(f"{links} Links of one site to {len(others)}: until all are Connected", time.monotonic() - began, "s")
        self.table.row("memory of the gateway that dials them",
                       memory(self.cluster.pid(self.network.gateways(hub)[0])), "MB")
        self.table.row(f"memory of the controller with {count} Sites", memory(self.cluster.pid(self.leader())), "MB", 150)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--services", type=int, nargs="*", default=[1000, 5000])
    parser.add_argument("--sites", type=int, default=50)
    parser.add_argument("--links", type=int, default=200)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    if options.quick:
        options.services, options.sites = [1000], 0
    table = Table(options.quick)
    end_with_clusters()
    with Cluster(f"e2e-{os.getpid()}") as cluster:
        scale = Scale(cluster, table)
        for count in filter(None, options.services):
            scale.services(count, 3 if options.quick or count > 1000 else 10)
        if options.sites:
            scale.sites(options.sites, options.links)
    print(f"{table.met} targets met, {table.missed} missed")
    return 1 if table.missed else 0


if __name__ == "__main__":
    sys.exit(main())
