"""Carries out histories, several at a time, and judges every state that was stored meanwhile.

    run_histories.py [--workers N] [WORD...]     all of histories.py, or those whose title contains one of the words

On a test cluster with a real API server and real gateways. Two kinds of verdict are compared: what a GitOps tool makes of each
state (verdict.py) with what the history allows its generation, and what the state says with what was true (truth.py). The last
line says `N histories held, M failed`. TIELINE_BIN names the folder of the programs (default: the release build).
"""
import argparse
import contextlib
import itertools
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from cluster import ROOT, Cluster, Failed, check, condition, end_with_clusters, wait  # noqa: E402
from histories import BARE, HISTORIES, SITE, SITES  # noqa: E402
from network import API, GATEWAYS, Network, client_with_sidecar, namespace, server  # noqa: E402
from record import Recorder  # noqa: E402
from truth import SLACK, Truth  # noqa: E402
from verdict import CURRENT, IN_PROGRESS, broken_flux_rules, kstatus  # noqa: E402

KINDS = {"site": ("tsite", "Site"), "link": ("tlink", "Link"), "service": ("tsvc", "Service")}
PATIENCE = 90
CONTROLLER = "app.kubernetes.io/component=controller"
RUN = itertools.count()


class Object:
    """KIND:NAME, or KIND@far:NAME, at a place."""

    def __init__(self, place, what):
        head, self.name = what.split(":")
        kind, _, side = head.partition("@")
        self.short, self.kind = KINDS[kind]
        self.namespace = place.far if side == "far" else place.near
        self.key = (self.short, self.namespace, self.name)

    def __str__(self):
        return f"{self.short} {self.namespace}/{self.name}"


class Place:
    """Two namespaces; what generations of the objects in them may be taken for."""

    def __init__(self, cluster, recorder):
        self.cluster, self.recorder = cluster, recorder
        number = next(RUN)
        self.near, self.far = f"history-{number}-near", f"history-{number}-far"
        self.allowed, self.touched, self.stopped, self.kept = {}, set(), [], None
        cluster.apply(namespace(self.near), namespace(self.far, {"guest": "yes", "tieline.dev/allow-from": self.near}))

    # What a history says

    def make_sites(self):
        self.make("site:near", SITE)
        self.make("site@far:far", {**SITE, "allow": [{"siteID": "$near"}]})
        self.cluster.apply(server(self.near, "web"), server(self.far, "web"))
        for where in (self.near, self.far):
            self.cluster.wait_ready(where, "app=web", 1)

    def resolve(self, value):
        if isinstance(value, dict):
            return {key: self.resolve(one) for key, one in value.items()}
        if isinstance(value, list):
            return [self.resolve(one) for one in value]
        if not isinstance(value, str) or not value.startswith("$"):
            return value
        if value == "$web.address":
            return self.cluster.wait_ready(self.near, "app=web", 1)[0]["status"]["podIP"]
        where, field = (self.near if value.startswith("$near") else self.far), "endpoints" if "." in value else "siteID"

        def seen():
            sites = [self.recorder.last("tsite", where, name) for name in self.recorder.names["tsite", where]]
            known = [one.item["status"].get(field) for one in sites if not one.is_deleted]
            return known and known[0]

        return self.recorder.wait(f"the {field} of the Site in {where}", seen, PATIENCE)

    def make(self, what, spec, verdict=CURRENT, quick=False):
        one = Object(self, what)
        manifest = json.dumps({"apiVersion": API, "kind": one.kind, "spec": self.resolve(spec),
                               "metadata": {"name": one.name, "namespace": one.namespace}})
        self.write(one, verdict, quick, "create", "-f", "-", stdin=manifest)

    def edit(self, what, spec, verdict=CURRENT, quick=False):
        one = Object(self, what)
        patch = json.dumps({"spec": self.resolve(spec)})
        self.write(one, verdict, quick, "patch", one.short, "-n", one.namespace, one.name, "--type=merge", "-p", patch)

    def write(self, one, verdict, quick, *command, stdin=None):
        stored = json.loads(self.try_(lambda: self.cluster.kubectl(*command, "-o", "json", stdin=stdin)))
        meta = stored["metadata"]
        self.touched.add(one.key)
        self.allow(meta["uid"], meta["generation"], verdict)
        if not quick and verdict != IN_PROGRESS:
            self.until_generation(one, meta["uid"], meta["generation"], verdict)

    @staticmethod
    def try_(write):
        """A schema takes effect a moment after it is stored."""
        deadline = time.monotonic() + 5
        while True:
            try:
                return write()
            except subprocess.CalledProcessError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)  # until the deadline; most writes succeed at once

    def allow(self, uid, generation, verdict):
        self.allowed.setdefault((uid, generation), {IN_PROGRESS}).add(verdict)

    def may(self, what, verdict):
        one = Object(self, what)
        last = self.recorder.last(*one.key)
        self.touched.add(one.key)
        self.allow(last.uid, last.generation, verdict)

    def refused(self, what, spec):
        one = Object(self, what)
        before = self.cluster.get(one.short, one.namespace, one.name)
        error = self.cluster.kubectl_fails("patch", one.short, "-n", one.namespace, one.name, "--type=merge", "-p",
                                           json.dumps({"spec": self.resolve(spec)}))
        after = self.cluster.get(one.short, one.namespace, one.name)
        check("spec." in error, f"the refusal names no field: {error}")
        check((before["spec"], before["metadata"]["generation"]) == (after["spec"], after["metadata"]["generation"]),
              "what was refused left a trace")

    def until_generation(self, one, uid, generation, verdict):
        self.wait(one, f"generation {generation} is {verdict}", lambda state: state.uid == uid
                  and state.generation == generation and kstatus(state.item) == verdict)

    def until(self, what, verdict, conditions):
        self.wait(Object(self, what), f"{verdict} {conditions}", lambda state: (
            verdict is None or kstatus(state.item) == verdict) and all(
                condition(state.item, type_) == status
                and condition(state.item, type_, "observedGeneration") == state.generation
                for type_, status in conditions.items()))

    def kubectl_wait(self, what, wanted):
        one = Object(self, what)
        self.cluster.kubectl("wait", "-n", one.namespace, f"{one.short}/{one.name}", f"--for=condition={wanted}",
                             f"--timeout={PATIENCE}s", timeout=PATIENCE + 10)
        type_, _, status = wanted.partition("=")
        generation = self.cluster.get(one.short, one.namespace, one.name)["metadata"]["generation"]
        with self.recorder.news:
            states = list(self.recorder.states[one.key])
        check(any(state.generation == generation and condition(state.item, type_) == (status or "True")
                  and condition(state.item, type_, "observedGeneration") == generation for state in states),
              f"kubectl has waited for {wanted} of {one}, and no state of generation {generation} says so")

    def wait(self, one, what, holds):
        def probe():
            last = self.recorder.last(*one.key)
            return last and not last.is_deleted and holds(last)

        try:
            self.recorder.wait(f"{one}: {what}", probe, PATIENCE)
        except Failed as error:
            last = self.recorder.last(*one.key)
            raise Failed(f"{error}; last: {last and last.item.get('status')}") from None

    def delete(self, what):
        one = Object(self, what)
        self.cluster.kubectl("delete", one.short, "-n", one.namespace, one.name)
        self.recorder.wait(f"{one} is gone", lambda: self.recorder.last(*one.key).is_deleted, 30)

    # What happens beside it

    def do(self, action, *arguments):
        getattr(self, "do_" + action.replace(" ", "_"))(*arguments)

    def do_rest(self):
        """Until nothing was stored here for a second and a half."""
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            with self.recorder.news:
                last = max((states[-1].time for (kind, where, _), states in self.recorder.states.items()
                            if where in (self.near, self.far) and kind in ("tsite", "tlink", "tsvc", "deployment")), default=0)
            if time.monotonic() - last > 1.5:
                return
            time.sleep(0.1)  # between two looks; the deadline decides

    @staticmethod
    def do_next_second():
        """What is made from now on is younger: the API server knows ages by the second."""
        time.sleep(1.1 - time.time() % 1)

    def do_delete(self, kind, name):
        self.cluster.kubectl("delete", kind, "-n", self.near, name)

    def do_scale(self, name, replicas):
        self.cluster.kubectl("scale", "deployment", "-n", self.near, name, f"--replicas={replicas}")

    def do_foreign_service(self, name):
        self.cluster.apply({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": self.near},
                            "spec": {"ports": [{"name": "x", "port": 1}]}})

    def do_foreign_deployment(self, name):
        foreign = server(self.near, name, replicas=0)
        self.cluster.apply(foreign)

    def gateways(self, side):
        return self.cluster.ready_pods(self.far if side == "far" else self.near, GATEWAYS)

    def do_kill_gateway(self, side="near"):
        for pod in self.gateways(side):
            self.cluster.kill(pod)
            key = ("pod", pod["metadata"]["namespace"], pod["metadata"]["name"])
            before = pod["status"]["containerStatuses"][0]["restartCount"]
            self.recorder.wait("the gateway was restarted", lambda: self.recorder.last(*key).item[
                "status"]["containerStatuses"][0]["restartCount"] > before, 30)

    def do_delete_gateway_pod(self):
        pod = self.gateways("near")[0]["metadata"]
        self.cluster.kubectl("delete", "pod", "-n", self.near, pod["name"])
        self.recorder.wait("the pod is gone", lambda: self.recorder.last("pod", self.near, pod["name"]).is_deleted, 30)

    def do_stop(self, what):
        """Freezes the gateways or the sidecars of the near site."""
        if what == "gateway":
            self.stopped = [self.cluster.pid(pod) for pod in self.gateways("near")]
        else:
            self.stopped = [self.cluster.pid(pod, "tieline") for pod in self.cluster.ready_pods(self.near, "app=client")]
        check(self.stopped, f"no {what} is ready")
        for pid in self.stopped:
            os.kill(pid, signal.SIGSTOP)

    def do_go_on(self):
        for pid in self.stopped:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        self.stopped = []

    def do_take_away(self, secret):
        self.kept = self.cluster.get("secret", self.near, secret)
        self.do_delete("secret", secret)

    def do_bring_back(self):
        for field in ("uid", "resourceVersion", "creationTimestamp", "managedFields"):
            self.kept["metadata"].pop(field, None)
        self.cluster.kubectl("create", "-f", "-", stdin=json.dumps(self.kept))

    def do_sidecar(self):
        self.cluster.apply(client_with_sidecar(self.near, "client", {"x/tcp": 9000}))
        self.cluster.wait_ready(self.near, "app=client", 1)

    def do_meet(self, event):
        self.group.meet(event)

    # Before and after

    def clear(self):
        """Back to two sites and nothing else, for the next history."""
        self.do_go_on()
        for where in (self.near, self.far):
            self.cluster.kubectl("delete", "tlink,tsvc", "--all", "-n", where)
        self.cluster.kubectl("delete", "deployment", "-n", self.near, "client", "--ignore-not-found")
        for what, spec in (("site:near", SITE), ("site@far:far", {**SITE, "allow": [{"siteID": "$near"}]})):
            one = Object(self, what)
            replace = json.dumps([{"op": "replace", "path": "/spec", "value": self.resolve(spec)}])
            self.write(one, CURRENT, False, "patch", one.short, "-n", one.namespace, one.name, "--type=json", "-p", replace)
        self.touched.clear()

    def leave(self):
        self.do_go_on()
        for where in (self.near, self.far):
            self.cluster.kubectl("delete", "tlink,tsvc,tsite", "--all", "-n", where, "--wait=false")
            self.cluster.kubectl("delete", "namespace", where, "--wait=false")


class Group:
    """Histories to which something happens at the same moment."""

    def __init__(self, cluster, members):
        self.cluster, self.event = cluster, None
        self.barrier = threading.Barrier(members, action=self.happen)

    def meet(self, event):
        self.event = event
        self.barrier.wait(PATIENCE)

    def happen(self):
        getattr(self, self.event.replace(" ", "_"))()

    def the_controller_is_killed(self):
        for pod in self.cluster.pods("tieline-system", CONTROLLER):
            self.cluster.kill(pod)

    def the_API_server_is_restarted(self):
        self.cluster.script("apiserver", "stop")
        self.cluster.script("apiserver", "start")

    def the_controller_stops(self):
        self.scale_controller(0)
        wait("no controller runs", lambda: not self.cluster.pods("tieline-system", CONTROLLER, terminating=True))

    def the_controller_starts(self):
        self.scale_controller(self.replicas)

    def the_image_breaks(self):
        self.use_image("nobody-made-it:dev")

    def the_image_is_mended(self):
        self.use_image("tieline-proxy:dev")

    def use_image(self, image):
        """Tells the controller what image gateways have."""
        arguments = self.cluster.get("deployment", "tieline-system", "tieline-controller")[
            "spec"]["template"]["spec"]["containers"][0]["args"]
        arguments = [f"--proxy-image={image}" if one.startswith("--proxy-image=") else one for one in arguments]
        self.cluster.kubectl("patch", "-n", "tieline-system", "deployment/tieline-controller", "--type=json", "-p", json.dumps(
            [{"op": "replace", "path": "/spec/template/spec/containers/0/args", "value": arguments}]))

    def scale_controller(self, replicas):
        if not replicas:
            self.replicas = self.cluster.get("deployment", "tieline-system", "tieline-controller")["spec"]["replicas"]
        self.cluster.kubectl("scale", "-n", "tieline-system", "deployment/tieline-controller", f"--replicas={replicas}")


class Runner:
    def __init__(self, cluster, recorder):
        self.cluster, self.recorder, self.truth = cluster, recorder, Truth(recorder)
        self.held, self.failed = [], []
        self.places = queue.SimpleQueue()

    def place(self, kind):
        """A place of that kind: two sites are used by one history after the other."""
        if kind == BARE:
            return Place(self.cluster, self.recorder)
        try:
            return self.places.get_nowait()
        except queue.Empty:
            place = Place(self.cluster, self.recorder)
            place.make_sites()
            place.touched.clear()
            return place

    def run(self, history, group=None):
        began, place = time.monotonic(), None
        try:
            place = self.place(history["place"])
            place.group = group
            began = time.monotonic()
            for verb, *arguments in history["steps"]:
                getattr(place, verb)(*arguments)
            time.sleep(1 + SLACK)  # what gateways told before the last state may still be on its way
            count = self.judge(place, began)
            self.held.append(history["title"])
            print(f"held   {history['title']} ({count} states, {time.monotonic() - began:.1f} s)", flush=True)
            if history["place"] == SITES:
                place.clear()
                self.places.put(place)
                place = None
        except Exception as error:  # whatever it is, the other histories are run
            if group:
                group.barrier.abort()
            detail = getattr(error, "stderr", None) or ""
            if history["title"] not in self.held:
                self.failed.append(history["title"])
            print(f"FAILED {history['title']}: {type(error).__name__}: {error} {detail}", flush=True)
        if place:
            with contextlib.suppress(subprocess.SubprocessError):
                place.leave()

    def judge(self, place, began):
        """Every state since the history began of what it touched."""
        problems, count = [], 0
        for key in sorted(place.touched):
            with self.recorder.news:
                states = [one for one in self.recorder.states[key] if one.time >= began and not one.is_deleted]
            seen = {one.uid for one in self.recorder.states[key] if one.time < began}
            for state in states:
                count += 1
                found = self.truth.problems(state) + broken_flux_rules(state.item)
                verdict = kstatus(state.item)
                allowed = place.allowed.get((state.uid, state.generation), {IN_PROGRESS})
                if verdict not in allowed:
                    found.append(f"it is {verdict}, which its generation may not be")
                if state.uid not in seen and verdict != IN_PROGRESS and not self.truth.is_after_gap(state):
                    found.append("the first state that is stored is not in progress")
                seen.add(state.uid)
                problems += [f"{' '.join(key)}, generation {state.generation}, {state.time - began:.2f} s: {one}" for one in found]
        if problems:
            raise Failed(f"{len(problems)} of {count} states: " + "; ".join(problems[:3]))
        return count

    def run_all(self, histories, workers):
        """Single ones `workers` at a time, the longest first; then group by group."""
        waiting = queue.SimpleQueue()
        for history in sorted((one for one in histories if not one["group"]), key=lambda one: one["place"] != BARE):
            waiting.put(history)

        def work():
            with contextlib.suppress(queue.Empty):
                while True:
                    self.run(waiting.get_nowait())

        together([work] * workers)
        for name, members in itertools.groupby((one for one in histories if one["group"]), key=lambda one: one["group"]):
            members = list(members)
            group = Group(self.cluster, len(members))
            with looser_schemas(self.cluster) if name == "looser schemas" else contextlib.nullcontext():
                together([lambda one=one: self.run(one, group) for one in members])


def together(functions):
    threads = [threading.Thread(target=function) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@contextlib.contextmanager
def looser_schemas(cluster):
    """The definitions let fields in that this version does not understand."""
    anything = {"x-kubernetes-preserve-unknown-fields": True}
    fields = {"sites": "proxy/properties/loops", "links": "cost", "services": "timeouts/properties/connect"}
    for crd, field in fields.items():
        path = f"/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/{field}"
        cluster.kubectl("patch", f"crd/{crd}.tieline.dev", "--type=json", "-p", json.dumps(
            [{"op": "replace", "path": path, "value": anything}]))
    try:
        yield
    finally:
        cluster.kubectl("apply", "--server-side", "--force-conflicts", "-k", str(ROOT / "manifests" / "crds"))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("words", nargs="*")
    options = parser.parse_args()
    selected = [one for one in HISTORIES if not options.words or any(word in one["title"] for word in options.words)]
    began = time.monotonic()
    end_with_clusters()
    with Cluster() as cluster:
        Network(cluster).install()
        with Recorder(cluster) as recorder:
            runner = Runner(cluster, recorder)
            runner.run_all(selected, options.workers)
    print(f"{time.monotonic() - began:.0f} s", flush=True)
    print(f"{len(runner.held)} histories held, {len(runner.failed)} failed")
    return 1 if runner.failed or not runner.held else 0


if __name__ == "__main__":
    sys.exit(main())
