"""One cluster with a controller behind the fault proxy, and the runs in it."""
import collections
import concurrent.futures
import itertools
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
import time

from cluster import BIN, ROOT, Cluster, Failed, check, wait
from reference import Reference
from states import API, Before, settled, state, state_of
from workloads import WORKLOADS, Place, Scene

QUIET = 1.5  # seconds without a write, after which runs have ended
BRIEF = 0.4  # the same for a run that is looked at once more, at the end of its batch
PATIENCE = 120  # seconds from a workload on until a run is as it should be
ATTEMPTS = 3  # how often a kill is tried that was not met: how many writes a run makes is not the same each time


class Run:
    """A workload in namespaces of its own, and at which of its writes the controller dies (0: at none)."""

    numbers = itertools.count(1)

    def __init__(self, workload, at=0, when="after", attempt=1):
        self.workload, self.at, self.when, self.attempt = WORKLOADS[workload], at, when, attempt
        self.place, self.before = Place(next(self.numbers)), None
        self.met, self.wrong, self.writes, self.seconds = False, [], [], 0.0

    def __str__(self):
        return f"{self.workload.name}:{self.at}:{self.when}"

    def again(self):
        return Run(self.workload.name, self.at, self.when, self.attempt + 1)


class Proxy:
    """The fault proxy, with the controller behind it."""

    def __init__(self, cluster, token):
        program = ROOT / "Tests" / "EndToEnd" / "fault_proxy.py"
        self.process = cluster.exec([
            sys.executable, str(program), "10.96.0.1:443", token, str(state_of(cluster) / "admin.token"), str(BIN / "tieline-controller"), "run",
            "--kubeconfig", "{kubeconfig}", "--namespace", "tieline-system", "--admin", "127.0.0.1:18080",
            "--proxy-image", "tieline-proxy:dev"])
        self.lock, self.said = threading.Lock(), collections.deque(maxlen=4000)
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        """A pipe that nobody reads would fill up."""
        self.said.extend(self.process.stderr)

    def ask(self, **request):
        with self.lock:
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        check(line, "the fault proxy has ended")
        return json.loads(line)

    def close(self):
        self.process.stdin.close()
        self.process.wait(timeout=10)


class Lane:
    """`width`: so many runs go on side by side; the controller then dies for each of them under all others too."""

    def __init__(self, cluster, proxy, width=1):
        self.cluster, self.proxy, self.width, self.api = cluster, proxy, width, API(cluster)

    def each(self, act, items, width):
        with concurrent.futures.ThreadPoolExecutor(width) as pool:
            return list(pool.map(act, items))

    def scene(self, run):
        return Scene(self.cluster, self.api, run.place)

    def prepare(self, runs):
        """The namespaces of all runs, with what is there before the workload."""
        places = [run.place for run in runs]
        self.cluster.apply(*[item for place in places for item in place.namespaces()])
        if objects := [item for run in runs for item in run.workload.objects(run.place)]:
            self.cluster.apply(*objects)
            self.wait_quiet(places)
        self.each(lambda run: run.workload.prepare(self.scene(run)), runs, len(runs))
        self.wait_quiet(places)
        found = self.api.of_places(places)
        for run in runs:
            run.before = Before(found[run.place], run.place)

    def wait_quiet(self, places):
        names = [where for place in places for where in place.all]
        wait("the runs settle", lambda: settled(self.api, places) and self.proxy.ask(
            do="history", namespaces=names)["quiet"] > QUIET, 120, every=0.2)

    def report(self, run):
        report = self.proxy.ask(do="report", namespaces=run.place.all)
        run.writes = [[method, path.replace(run.place.name, "PLACE"), status] for method, path, status in report["writes"]]
        return report

    def arm(self, run):
        self.proxy.ask(do="arm", namespaces=run.place.all, at=run.at, when=run.when)

    def references(self, runs):
        """What pairs of runs without a fault, prepared before, have in common."""
        for run in runs:
            self.arm(run)
        self.each(lambda run: run.workload.operate(self.scene(run)), runs, len(runs))
        self.wait_quiet([run.place for run in runs])
        found, made = self.api.of_places([run.place for run in runs]), {}
        for pair in zip(runs[::2], runs[1::2]):
            for run in pair:
                self.report(run)
            name = pair[0].workload.name
            made[name] = Reference(
                name, [state(found[run.place], run.before) for run in pair], [run.writes for run in pair])
        return made

    def fault(self, run, reference):
        """The workload and the kill; ends when all is as it should be, or never became so."""
        began = time.monotonic()
        try:
            self.arm(run)
            run.workload.operate(self.scene(run))
            self.follow(run, reference, time.monotonic() + PATIENCE)
        except (Failed, subprocess.SubprocessError) as error:
            run.wrong = [f"{error} {getattr(error, 'stderr', None) or ''}"]
        run.seconds = time.monotonic() - began

    def follow(self, run, reference, deadline):
        while True:
            report = self.report(run)
            run.met = report["killed"]
            is_dead = run.met or report["seen"] < run.at and report["quiet"] > QUIET
            if not is_dead and report["seen"] >= run.at:
                run.wrong = [f"write {run.at} was seen, and the controller did not die by SIGKILL"]
            elif not is_dead or not report["leads"] or report["quiet"] < BRIEF:
                run.wrong = ["it is still writing, or nobody leads"]
            else:
                run.wrong = self.judge([run], {run.workload.name: reference})[run]
            if not run.wrong or time.monotonic() > deadline:
                return
            time.sleep(0.1 * self.width)  # between two looks; the deadline decides

    def judge(self, runs, references):
        found = self.api.of_places([run.place for run in runs])
        for run in runs:
            self.report(run)
        return {run: references[run.workload.name].differences(state(found[run.place], run.before), run.writes)
                for run in runs}

    def batch(self, runs, references, take):
        """Runs that were prepared together, and are looked at again when the last one is through."""
        self.each(lambda run: self.fault(run, references[run.workload.name]), runs, self.width)
        # What was right must stay right, whatever the kills of the later runs brought.
        names = [where for run in runs for where in run.place.all]
        wait("the batch rests", lambda: self.proxy.ask(do="history", namespaces=names)["quiet"] > QUIET, 60, every=0.2)
        # Without the lease, on a machine that is too busy to renew it, it ends in order, and the next one goes on.
        ended = self.proxy.ask(do="report")["ended"]
        check(all(code > 0 for code in ended), f"the controller ended by itself, with {ended}")
        for run, wrong in self.judge(runs, references).items():
            if wrong and not run.wrong:
                run.wrong = [f"it did not last: {problem}" for problem in wrong]
            take(run)

    def clean(self, runs):
        self.cluster.kubectl("delete", "tsvc,tlink,tsite", "--all", "--all-namespaces", "--wait=false")
        self.cluster.kubectl("delete", "namespace", *[where for run in runs for where in run.place.all], "--wait=false")


def install(cluster, scratch):
    """Installs everything but the controller's pods, and gives the token of the controller's account."""
    cluster.kubectl("apply", "--server-side", "-k", str(ROOT / "manifests"))
    cluster.wait_served()
    cluster.kubectl("scale", "-n", "tieline-system", "deployment/tieline-controller", "--replicas=0")
    wait("no controller runs in the cluster", lambda: not cluster.pods(
        "tieline-system", "app.kubernetes.io/component=controller", terminating=True))
    token = cluster.kubectl("create", "token", "-n", "tieline-system", "tieline-controller", "--duration=3h")
    path = os.path.join(scratch, "token")
    pathlib.Path(path).write_text(token.strip(), encoding="utf-8")
    return path


def in_lane(number, width, work):
    """Calls `work` with a lane in a cluster of its own."""
    with Cluster(f"e2e-{os.getpid()}-{number}") as cluster, tempfile.TemporaryDirectory() as scratch:
        proxy = Proxy(cluster, install(cluster, scratch))
        try:
            work(Lane(cluster, proxy, width))
        finally:
            proxy.close()
            if path := os.environ.get("TIELINE_KILL_LOG"):
                pathlib.Path(f"{path}.{number}").write_text("".join(proxy.said), encoding="utf-8")
