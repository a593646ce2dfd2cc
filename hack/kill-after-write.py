#!/usr/bin/env python3
"""Kills the controller around each of its writes, and compares what becomes of it with a run without faults.

    kill-after-write.py [--every N] [WORKLOAD...]

WORKLOAD: create, scale, rename, rotate, cost, delete, recreate (default: all). Of each, the writes of a fault-free run are
counted; then, for each write in turn (or each N-th), the controller is SIGKILLed before the answer reaches it, and in
another run right after. The end state must be that of the fault-free run, and nothing may be deleted that was not deleted
there. What differs between two fault-free runs (addresses, times, identities) is not compared. All on a test cluster with a
real API server and real gateways, with the rights that the controller has when it is installed. TIELINE_BIN names the
folder of the programs (default: the release build). The last line says `N runs held, M failed`.
"""
import argparse
import json
import os
import pathlib
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "Tests" / "EndToEnd"))

from cluster import BIN, Cluster, Failed, check, condition, wait  # noqa: E402
from network import API, Network, namespace, service, site  # noqa: E402

KINDS = "tsite,tlink,tsvc,services,secrets,deployments,serviceaccounts,rolebindings,endpointslices"
OURS = "app.kubernetes.io/managed-by"
QUIET = 1.5  # seconds without a write, after which a run has ended


class Place:
    """One run's namespaces."""

    def __init__(self, number):
        self.name, self.guest = f"kill-{number}", f"kill-{number}-guest"
        self.both = [self.name, self.guest]


def base(place):
    listen = {"enabled": True, "serviceName": "web", "namespaces": {"matchLabels": {"team": place.name}}}
    web = service(place.name, "web", selector="web")
    web["spec"]["listen"] = listen
    declared = site(place.name)
    return [declared, web, service(place.name, "used"), {
        "apiVersion": API, "kind": "Link", "metadata": {"name": "far", "namespace": place.name},
        "spec": {"endpoints": [{"host": "far.invalid", "port": 5671}], "remoteSiteID": "A" * 26, "cost": 3}}]


def create(cluster, place):
    cluster.apply(*base(place))


def scale(cluster, place):
    cluster.patch("tsite", place.name, place.name, {"spec": {"proxy": {"replicas": 2}}})


def rename(cluster, place):
    cluster.patch("tsvc", place.name, "web", {"spec": {"listen": {"serviceName": "renamed"}}})


def rotate(cluster, place):
    cluster.kubectl("delete", "secret", "-n", place.name, "tieline-proxy-credentials")


def cost(cluster, place):
    cluster.patch("tlink", place.name, "far", {"spec": {"cost": 7}})


def delete(cluster, place):
    cluster.kubectl("delete", "tsvc,tlink,tsite", "--all", "-n", place.name, "--wait=false")


def recreate(cluster, place):
    cluster.kubectl("delete", "tsite", "--all", "-n", place.name)
    cluster.apply(base(place)[0])


WORKLOADS = {function.__name__: function for function in (create, scale, rename, rotate, cost, delete, recreate)}


class Proxy:
    """The fault proxy, with the controller behind it."""

    def __init__(self, cluster, token):
        program = ROOT / "Tests" / "EndToEnd" / "fault_proxy.py"
        self.process = cluster.exec([
            sys.executable, str(program), "10.96.0.1:443", token, str(BIN / "tieline-controller"), "run",
            "--kubeconfig", "{kubeconfig}", "--namespace", "tieline-system", "--admin", "127.0.0.1:18080",
            "--proxy-image", "tieline-proxy:dev"])

    def ask(self, **request):
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        check(line, "the fault proxy has ended")
        return json.loads(line)

    def close(self):
        self.process.stdin.close()
        self.process.wait(timeout=10)


def leaves(value, path=""):
    """The value as {path: leaf}; conditions go by their type."""
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = ((item.get("type", index) if isinstance(item, dict) and path.endswith("conditions") else index, item)
                 for index, item in enumerate(value))
    else:
        return {path: value}
    found = {path: "{}"}
    for key, item in items:
        found |= leaves(item, f"{path}.{key}")
    return found


def meaning(item):
    """What of an object is compared: not what every run has anew."""
    meta = item["metadata"]
    kept = {"labels": meta.get("labels"), "annotations": meta.get("annotations"), "finalizers": meta.get("finalizers"),
            "owners": [[owner["kind"], owner["name"]] for owner in meta.get("ownerReferences", [])]}
    kept["annotations"] = sorted(kept["annotations"] or {})
    if item["kind"] == "Secret":
        kept["data"] = sorted(item.get("data", {}))
    for field in ("spec", "subjects", "roleRef", "endpoints", "ports"):
        if field in item:
            kept[field] = item[field]
    if item["apiVersion"] == API:
        status = item.get("status", {})
        kept["conditions"] = [{key: entry[key] for key in ("type", "status", "reason")}
                              for entry in status.get("conditions", [])]
        kept["isObserved"] = status.get("observedGeneration") == meta["generation"]
        kept["appliedCost"] = status.get("appliedCost")
    return kept


def state(cluster, place):
    """All that the controller owns or judges, as {path: leaf}."""
    objects = {}
    for where in place.both:
        for item in json.loads(cluster.kubectl("get", KINDS, "-n", where, "-o", "json"))["items"]:
            labels = item["metadata"].get("labels", {})
            if item["apiVersion"] != API and labels.get(OURS) != "tieline":
                continue
            if labels.get("endpointslice.kubernetes.io/managed-by") == "endpointslice-controller.k8s.io":
                continue  # the cluster's own, with the labels of the Service
            objects[f"{where}/{item['kind']}/{item['metadata']['name']}"] = meaning(item)
    text = json.dumps(objects).replace(place.name, "PLACE")
    return leaves(json.loads(text))


def settled(cluster, place):
    """Whether the fault-free run has come to its end: every object judged, every gateway there."""
    for item in json.loads(cluster.kubectl("get", "tsite,tlink,tsvc", "-n", place.name, "-o", "json"))["items"]:
        if item["status"].get("observedGeneration") != item["metadata"]["generation"]:
            return False
        if item["kind"] == "Site" and condition(item, "Ready") != "True":
            return False
    return True


def deletions(report, place):
    return sorted(path.replace(place.name, "PLACE") for method, path, status in report["writes"]
                  if method == "DELETE" and status < 300)


class Runs:
    def __init__(self, cluster, proxy):
        self.cluster, self.proxy, self.number = cluster, proxy, 0
        self.references = {}

    def prepare(self, workload, reference=None):
        self.number += 1
        place = Place(self.number)
        self.cluster.apply(namespace(place.name), namespace(
            place.guest, {"team": place.name, "tieline.dev/allow-from": place.name}))
        self.proxy.ask(do="arm", namespaces=place.both, at=0, when="after")
        if workload != "create":
            create(self.cluster, place)
            self.wait_quiet(place)
        return place

    def wait_quiet(self, place, seconds=60.0, calm=QUIET):
        wait(f"{place.name} settles", lambda: settled(self.cluster, place)
             and self.proxy.ask(do="report")["quiet"] > calm, seconds, every=0.2)

    def clean(self, place):
        delete(self.cluster, place)
        self.cluster.kubectl("delete", "namespace", *place.both, "--wait=false")

    def reference(self, workload):
        """Two runs without a fault: the writes, the end state, and which paths say the same in both."""
        reports, states = [], []
        for _ in range(2):
            place = self.prepare(workload)
            self.proxy.ask(do="arm", namespaces=place.both, at=0, when="after")
            WORKLOADS[workload](self.cluster, place)
            if workload == "rotate":
                wait("the Secret is back", lambda: self.cluster.exists(
                    "secret", place.name, "tieline-proxy-credentials"), 90, every=0.5)
            self.wait_quiet(place, calm=4.0)
            reports.append(self.proxy.ask(do="report"))
            states.append(state(self.cluster, place))
            removed = deletions(reports[-1], place)
            self.clean(place)
        check(states[0].keys() == states[1].keys(),
              f"two fault-free runs of {workload} differ: {sorted(states[0].keys() ^ states[1].keys())}")
        compared = {path: value for path, value in states[0].items() if states[1][path] == value}
        return len(reports[0]["writes"]), compared, states[0].keys(), removed

    def differs(self, place, reference):
        _, compared, paths, _ = reference
        found = state(self.cluster, place)
        wrong = [f"{path} is {found[path]}, not {value}" for path, value in compared.items()
                 if path in found and found[path] != value]
        wrong += [f"{path} is missing" for path in paths - found.keys()]
        wrong += [f"{path} is left over" for path in found.keys() - paths]
        return wrong

    def fault(self, workload, at, when, reference):
        place = self.prepare(workload)
        self.proxy.ask(do="arm", namespaces=place.both, at=at, when=when)
        WORKLOADS[workload](self.cluster, place)
        deadline = time.monotonic() + (120 if workload == "rotate" else 45)
        while True:
            report = self.proxy.ask(do="report")
            wrong = self.differs(place, reference) if report["quiet"] > QUIET else ["it is still writing"]
            if not wrong or time.monotonic() > deadline:
                break
            time.sleep(0.2)  # between two looks; the deadline decides
        removed = deletions(report, place)
        if removed != reference[3]:
            wrong.append(f"deleted {removed}, without a fault {reference[3]}")
        self.clean(place)
        check(not wrong, "; ".join(wrong[:6]))
        return report["killed"]


def install(cluster, network, scratch):
    """Installs everything but the controller's pods, and gives the token of the controller's account."""
    cluster.kubectl("apply", "--server-side", "-k", str(ROOT / "manifests"))
    for crd in ("sites", "links", "services"):
        cluster.kubectl("wait", "--for=condition=Established", f"crd/{crd}.tieline.dev", "--timeout=20s")
    cluster.kubectl("scale", "-n", "tieline-system", "deployment/tieline-controller", "--replicas=0")
    wait("no controller runs in the cluster", lambda: not cluster.pods(
        "tieline-system", "app.kubernetes.io/component=controller", terminating=True))
    token = cluster.kubectl("create", "token", "-n", "tieline-system", "tieline-controller", "--duration=3h")
    path = os.path.join(scratch, "token")
    with open(path, "w", encoding="utf-8") as file:
        file.write(token.strip())
    return path


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("workloads", nargs="*", choices=[[], *WORKLOADS])
    options = parser.parse_args()
    held, failed, skipped = 0, [], 0
    with Cluster(f"e2e-{os.getpid()}") as cluster, tempfile.TemporaryDirectory() as scratch:
        proxy = Proxy(cluster, install(cluster, Network(cluster), scratch))
        try:
            runs = Runs(cluster, proxy)
            for workload in options.workloads or WORKLOADS:
                began = time.monotonic()
                reference = runs.reference(workload)
                print(f"-- {workload}: {reference[0]} writes, {len(reference[3])} deletions", flush=True)
                for at in range(1, reference[0] + 1, options.every):
                    for when in ("before", "after"):
                        try:
                            killed = runs.fault(workload, at, when, reference)
                            held, skipped = held + killed, skipped + (not killed)
                        except Failed as error:
                            failed.append(f"{workload}, killed {when} the answer to write {at}: {error}")
                            print(f"FAILED {failed[-1]}", flush=True)
                print(f"   {workload}: {time.monotonic() - began:.0f} s", flush=True)
        finally:
            proxy.close()
    if skipped:
        print(f"{skipped} runs made fewer writes than the fault-free one, and met no kill")
    print(f"{held} runs held, {len(failed)} failed")
    return 1 if failed or not held else 0


if __name__ == "__main__":
    sys.exit(main())
