#!/usr/bin/env python3
"""Kills the controller around each of its writes, and compares what becomes of it with a run without faults.

    kill-after-write.py [--sample] [--clusters N] [WORKLOAD...]

WORKLOAD: create, scale, rename, rotate, identity, cost, delete, recreate (default: all). Of each, the writes of a fault-free run are
counted; then, for each write in turn, the controller is SIGKILLed before the answer reaches it, and in another run right
after. The end state must be that of the fault-free run, and nothing may be deleted that was not deleted there. What differs
between two fault-free runs (addresses, times, identities) is not compared. Several runs share a cluster, each with its own
namespaces: they are prepared together, killed one after another, and looked at again when the last one is through. With
--sample each WORKLOAD meets two kills, one on either side of an answer. With --clusters N (2) so many clusters share
the work: a run waits more than it computes. All with a real API server, real gateways, and the rights that the controller
has when it is installed. TIELINE_BIN names the folder of the programs (default: the release build). The last line says
`N runs held, M failed`.
"""
import argparse
import collections
import concurrent.futures
import http.client
import itertools
import json
import os
import pathlib
import ssl
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "Tests" / "EndToEnd"))

from cluster import BIN, Cluster, check, condition, wait  # noqa: E402
from network import API, namespace, service, site  # noqa: E402

OUR_KINDS = [f"/apis/{API}/{plural}" for plural in ("sites", "links", "services")]
CHILDREN = ["/api/v1/services", "/api/v1/secrets", "/api/v1/serviceaccounts", "/apis/apps/v1/deployments",
            "/apis/rbac.authorization.k8s.io/v1/rolebindings", "/apis/discovery.k8s.io/v1/endpointslices"]
OURS = "app.kubernetes.io/managed-by"
QUIET = 1.5  # seconds without a write, after which runs have ended
BRIEF = 0.4  # the same for a run that is looked at once more, at the end of its batch
BATCH = 8


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


def identity(cluster, place):
    def wish(text):
        cluster.kubectl("annotate", "tsite", "-n", place.name, place.name, f"tieline.dev/next-identity={text}", "--overwrite")

    wish("prepare")
    wish(wait("another identity is prepared",
              lambda: cluster.get("tsite", place.name, place.name)["status"].get("nextSiteID"), 60, every=0.2))
    wait("it is in use", lambda: cluster.get("tsite", place.name, place.name)["status"].get("previousSiteID"), 60, every=0.2)


def cost(cluster, place):
    cluster.patch("tlink", place.name, "far", {"spec": {"cost": 7}})


def delete(cluster, place):
    cluster.kubectl("delete", "tsvc,tlink,tsite", "--all", "-n", place.name, "--wait=false")


def recreate(cluster, place):
    # The gap is seen for certain: what the Site let into another namespace goes before the new one comes.
    cluster.kubectl("delete", "tsite", "--all", "-n", place.name)
    wait("what was exposed is gone", lambda: not cluster.exists("service", place.guest, "web"), 60, every=0.2)
    cluster.apply(base(place)[0])


WORKLOADS = {function.__name__: function for function in (create, scale, rename, rotate, identity, cost, delete, recreate)}


class Proxy:
    """The fault proxy, with the controller behind it."""

    def __init__(self, cluster, token):
        program = ROOT / "Tests" / "EndToEnd" / "fault_proxy.py"
        self.process = cluster.exec([
            sys.executable, str(program), "10.96.0.1:443", token, str(state_of(cluster) / "admin.token"), str(BIN / "tieline-controller"), "run",
            "--kubeconfig", "{kubeconfig}", "--namespace", "tieline-system", "--admin", "127.0.0.1:18080",
            "--proxy-image", "tieline-proxy:dev"])
        self.said = collections.deque(maxlen=400)
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        """A pipe that nobody reads would fill up."""
        self.said.extend(self.process.stderr)

    def ask(self, **request):
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        check(line, "the fault proxy has ended")
        return json.loads(line)

    def close(self):
        self.process.stdin.close()
        self.process.wait(timeout=10)


def state_of(cluster):
    """Where the API server of a cluster keeps its port and keys."""
    return pathlib.Path(cluster.env["KUBECONFIG"]).parent


class Reader:
    """Reads whole collections: some hundred looks at a cluster would cost more as processes than all that is tested."""

    def __init__(self, cluster):
        state = state_of(cluster)
        context = ssl.create_default_context(cafile=state / "pki" / "ca.crt")
        # Closed after each look, and opened by the next: the server ends connections that rest.
        self.connection = http.client.HTTPSConnection(
            "127.0.0.1", int((state / "port").read_text()), context=context, timeout=30)
        self.headers = {"Authorization": f"Bearer {(state / 'admin.token').read_text().strip()}"}

    def list(self, paths):
        items = []
        for path in paths:
            self.connection.request("GET", path, headers=self.headers)
            answer = self.connection.getresponse()
            body = answer.read()
            check(answer.status == 200, f"{path}: {answer.status} {body[:200]}")
            found = json.loads(body)
            kind = {"apiVersion": found["apiVersion"], "kind": found["kind"].removesuffix("List")}
            items += [{**kind, **item} for item in found["items"]]
        self.connection.close()
        return items


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


def states(reader, places):
    """All that the controller owns or judges, for each place as {path: leaf}."""
    homes = {where: place for place in places for where in place.both}
    objects = {place: {} for place in places}
    for item in reader.list(OUR_KINDS + CHILDREN):
        meta = item["metadata"]
        labels, where = meta.get("labels", {}), meta["namespace"]
        if where not in homes or item["apiVersion"] != API and labels.get(OURS) != "tieline":
            continue
        if labels.get("endpointslice.kubernetes.io/managed-by") == "endpointslice-controller.k8s.io":
            continue  # the cluster's own, with the labels of the Service
        kind = f"tieline {item['kind']}" if item["apiVersion"] == API else item["kind"]
        objects[homes[where]][f"{where}/{kind}/{meta['name']}"] = meaning(item)
    return {place: leaves(with_named_ports(json.loads(json.dumps(found).replace(place.name, "PLACE"))))
            for place, found in objects.items()}


def with_named_ports(objects):
    """Ports of gateways are given out in the order in which Services are heard of: they go by the Service's name."""
    core = {path: item["spec"]["ports"] for path, item in objects.items() if "/Service/" in path}
    names = {entry.get("targetPort"): f"the port of {path}" for path, ports in core.items()
             if path.startswith("PLACE/") for entry in ports}
    for ports in [*core.values(), *(item["ports"] for path, item in objects.items() if "/EndpointSlice/" in path)]:
        for entry in ports:
            for field in {"port", "targetPort"} & entry.keys():
                entry[field] = names.get(entry[field], entry[field])
    return objects


def settled(reader, places):
    """Whether fault-free runs have come to their end: every object judged, every gateway there."""
    names = {place.name for place in places}
    for item in reader.list(OUR_KINDS):
        if item["metadata"]["namespace"] not in names:
            continue
        if item.get("status", {}).get("observedGeneration") != item["metadata"]["generation"]:
            return False
        if condition(item, "Ready") != "True":
            return False
    return True


class Reference:
    """What two runs of a workload without a fault have in common."""

    def __init__(self, workload, writes, found, removed):
        check(found[0].keys() == found[1].keys(),
              f"two fault-free runs of {workload} differ: {sorted(found[0].keys() ^ found[1].keys())}")
        check(removed[0] == removed[1], f"two fault-free runs of {workload} delete {removed[0]} and {removed[1]}")
        self.writes, self.paths, self.removed = max(writes, key=len), found[0].keys(), removed[0]
        self.compared = {path: value for path, value in found[0].items() if found[1][path] == value}

    def differences(self, found):
        wrong = [f"{path} is {found[path]}, not {value}" for path, value in self.compared.items()
                 if path in found and found[path] != value]
        wrong += [f"{path} is missing" for path in self.paths - found.keys()]
        wrong += [f"{path} is left over" for path in found.keys() - self.paths]
        return wrong


class Run:
    """One run: a workload in namespaces of its own, and at which of its writes the controller dies (0: at none)."""

    numbers = itertools.count(1)

    def __init__(self, workload, at=0, when="after"):
        self.workload, self.at, self.when = workload, at, when
        self.place, self.mark, self.killed, self.wrong = Place(next(self.numbers)), 0, 0, []

    def __str__(self):
        return f"{self.workload}, killed {self.when} the answer to write {self.at}"


class Lane:
    """One cluster, with a controller behind the fault proxy."""

    def __init__(self, cluster, proxy):
        self.cluster, self.proxy, self.reader = cluster, proxy, Reader(cluster)

    def prepare(self, runs):
        """The namespaces of all runs, with what is there before the workload."""
        objects = []
        for place in (run.place for run in runs):
            objects += [namespace(place.name), namespace(
                place.guest, {"team": place.name, "tieline.dev/allow-from": place.name})]
        self.cluster.apply(*objects)
        made = [run.place for run in runs if run.workload != "create"]
        if made:
            self.cluster.apply(*[item for place in made for item in base(place)])
            self.wait_quiet(made)
        for run in runs:
            run.mark = len(self.history([run.place])["writes"])

    def history(self, places):
        return self.proxy.ask(do="history", namespaces=[where for place in places for where in place.both])

    def wait_quiet(self, places):
        wait("the runs settle", lambda: settled(self.reader, places) and self.history(places)["quiet"] > QUIET,
             120, every=0.2)

    def written(self, run):
        """The writes of the workload, and what they deleted."""
        writes = self.history([run.place])["writes"][run.mark:]
        text = [[method, path.replace(run.place.name, "PLACE"), status] for method, path, status in writes]
        return text, sorted(path for method, path, status in text if method == "DELETE" and status < 300)

    def clean(self, runs):
        for run in runs:
            delete(self.cluster, run.place)
        self.cluster.kubectl("delete", "namespace", *[where for run in runs for where in run.place.both],
                             "--wait=false")

    def references(self, workloads):
        """Two runs of each workload without a fault."""
        runs = [Run(workload) for workload in workloads for _ in range(2)]
        self.prepare(runs)
        for run in runs:
            WORKLOADS[run.workload](self.cluster, run.place)
        wait("the Secrets are back", lambda: all(self.cluster.exists(
            "secret", run.place.name, "tieline-proxy-credentials") for run in runs if run.workload == "rotate"),
            90, every=0.5)
        self.wait_quiet([run.place for run in runs])
        found = states(self.reader, [run.place for run in runs])
        made = {}
        for first, second in zip(runs[::2], runs[1::2]):
            (writes, removed), (others, also) = self.written(first), self.written(second)
            made[first.workload] = Reference(
                first.workload, [writes, others], [found[first.place], found[second.place]], [removed, also])
        self.clean(runs)
        return made

    def fault(self, run, reference):
        """The kill; ends when all is as it should be, or never became so."""
        self.proxy.ask(do="arm", namespaces=run.place.both, at=run.at, when=run.when)
        WORKLOADS[run.workload](self.cluster, run.place)
        deadline = time.monotonic() + (120 if run.workload in ("rotate", "identity") else 45)
        while True:
            report = self.proxy.ask(do="report")
            if report["quiet"] > BRIEF:
                run.wrong = self.judge([run], {run.workload: reference})[run]
            else:
                run.wrong = ["it is still writing"]
            if not run.wrong or time.monotonic() > deadline:
                break
            time.sleep(0.1)  # between two looks; the deadline decides
        run.killed = report["killed"]

    def judge(self, runs, references):
        found = states(self.reader, [run.place for run in runs])
        wrong = {}
        for run in runs:
            reference, removed = references[run.workload], self.written(run)[1]
            wrong[run] = reference.differences(found[run.place])
            if removed != reference.removed:
                wrong[run].append(f"deleted {removed}, without a fault {reference.removed}")
        return wrong

    def batch(self, runs, references, report):
        self.prepare(runs)
        for run in runs:
            began = time.monotonic()
            self.fault(run, references[run.workload])
            report(run, time.monotonic() - began)
        ended = self.proxy.ask(do="report")["ended"]
        check(not ended, f"the controller ended {ended} times by itself")
        # What was right must stay right, whatever the kills of the later runs brought.
        places = [run.place for run in runs]
        wait("the batch rests", lambda: self.history(places)["quiet"] > QUIET, 60, every=0.2)
        for run, wrong in self.judge(runs, references).items():
            if wrong and not run.wrong:
                run.wrong = [f"it did not last: {problem}" for problem in wrong]
                report(run, 0)
        self.clean(runs)


class Results:
    """What became of the runs; printed as they end."""

    def __init__(self):
        self.lock, self.runs = threading.Lock(), {}

    def take(self, run, seconds):
        with self.lock:
            self.runs[run] = run.wrong
            if run.wrong:
                print(f"FAILED {run}: {'; '.join(run.wrong[:6])}", flush=True)
            else:
                kill = "" if run.killed else "; it made fewer writes, and met no kill"
                print(f"held {run} ({seconds:.1f} s{kill})", flush=True)


def install(cluster, scratch):
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


def work(number, todo, results, options):
    """One cluster: takes batches until none is left. The first cluster makes the references for all."""
    with Cluster(f"e2e-{os.getpid()}-{number}") as cluster, tempfile.TemporaryDirectory() as scratch:
        proxy = Proxy(cluster, install(cluster, scratch))
        try:
            lane = Lane(cluster, proxy)
            if number == 0:
                plan(lane, todo, options)
            references = todo.references.result()
            while batch := todo.next():
                lane.batch(batch, references, results.take)
        finally:
            proxy.close()
            if os.environ.get("TIELINE_KEEP"):
                print("".join(proxy.said))


class Todo:
    """The batches that nobody has begun, and what they are compared with."""

    def __init__(self):
        self.lock, self.batches, self.references = threading.Lock(), [], concurrent.futures.Future()

    def next(self):
        with self.lock:
            return self.batches.pop(0) if self.batches else None


def plan(lane, todo, options):
    try:
        began = time.monotonic()
        references = lane.references(options.workloads or list(WORKLOADS))
        runs = []
        for workload, reference in references.items():
            count = len(reference.writes)
            print(f"-- {workload}: {count} writes, {len(reference.removed)} deletions", flush=True)
            kills = [(1 + count // 3, "before"), (1 + count * 2 // 3, "after")] if options.sample else [
                (at, when) for at in range(1, count + 1) for when in ("before", "after")]
            runs += [Run(workload, min(at, count), when) for at, when in kills]
        print(f"-- runs without a fault: {time.monotonic() - began:.0f} s", flush=True)
        todo.batches = [runs[first:first + BATCH] for first in range(0, len(runs), BATCH)]
        todo.references.set_result(references)
    except BaseException as error:
        todo.references.set_exception(error)
        raise


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sample", action="store_true")
    parser.add_argument("--clusters", type=int, default=2)
    parser.add_argument("workloads", nargs="*", choices=[[], *WORKLOADS])
    options = parser.parse_args()
    todo, results = Todo(), Results()
    with concurrent.futures.ThreadPoolExecutor(options.clusters) as pool:
        lanes = [pool.submit(work, number, todo, results, options) for number in range(options.clusters)]
        for lane in lanes:
            lane.result()
    failed = sum(bool(wrong) for wrong in results.runs.values())
    held = sum(not run.wrong and run.killed > 0 for run in results.runs)
    skipped = len(results.runs) - failed - held
    if skipped:
        print(f"{skipped} runs made fewer writes than the fault-free one, and met no kill")
    print(f"{held} runs held, {failed} failed")
    return 1 if failed or not held else 0


if __name__ == "__main__":
    sys.exit(main())
