"""Sidecars that nobody wrote: workloads that know nothing of Tieline reach a remote service by its name and port."""
import base64
import contextlib
import datetime
import json
import os
import pathlib
import subprocess

from cluster import BIN, ROOT, check, condition, wait
from network import deployment, service
from pages import blocks
from test_balance import offer
from traffic import Hold, grouped

ASKS = {"tieline.dev/inject": "enabled"}
LOOPBACK = "127.84."
SYSTEM, CONTROLLER = "tieline-system", "app.kubernetes.io/component=controller"


def far(net):
    """A service on a port below 1024, which is served at b and used at a; and one that nobody serves."""
    offer(net, "far", {"b": "s"})
    net.cluster.apply(service("a", "store", port=80), service("b", "store", selector="s", listen=False, port=80))
    net.wait_targets("a", "store", {"b": 1})


def workload(name, labels=None, annotations=None, **pod):
    made = deployment("a", name, 1, {
        "containers": [{"name": "client", "image": "python:dev", "args": ["-c", "import signal; signal.pause()"]}],
        "terminationGracePeriodSeconds": 1, **pod})
    meta = made["spec"]["template"]["metadata"]
    meta["labels"] = {**meta["labels"], **(labels or {})}
    meta["annotations"] = annotations or {}
    return made


def job(name, command, labels=None, annotations=None):
    container = {"name": "client", "image": "traffic:dev", "args": command}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name, "namespace": "a"},
            "spec": {"backoffLimit": 0, "template": {
                "metadata": {"labels": labels or {}, "annotations": annotations or {}},
                "spec": {"restartPolicy": "Never", "containers": [container], "terminationGracePeriodSeconds": 20}}}}


def sidecar(pod):
    return next((c for c in pod["spec"].get("initContainers", []) if c["name"] == "tieline"), None)


CLIENT = """
import socket, sys
server = socket.create_connection((sys.argv[1], int(sys.argv[2])), 5)
server.sendall(b"name\\n")
print(server.makefile().readline().strip())
"""


def served(net, pod, host, port):
    """Who answers a client in the workload's own container, which finds names as the workload does."""
    out, errors = net.cluster.exec(["python3", "-c", CLIENT, host, str(port)], pod=f"a/{pod['metadata']['name']}", container="client").communicate()
    return out.strip() or errors.strip().splitlines()[-1]


def alias(pod, host):
    return next(entry["ip"] for entry in pod["spec"]["hostAliases"] if host in entry["hostnames"])


def ready_webhook(net):
    """The API server knows who signed the webhook's certificate."""
    wait("the webhook is announced", lambda: net.cluster.get(
        "mutatingwebhookconfiguration", SYSTEM, "tieline-webhook")["webhooks"][0]["clientConfig"].get("caBundle"), 60)


def private(net, pod):
    """Bytes that only the sidecar's process uses."""
    text = pathlib.Path(f"/proc/{net.cluster.pid(pod, 'tieline')}/smaps_rollup").read_text()
    return sum(int(line.split()[1]) for line in text.splitlines() if line.startswith("Private_")) * 1024


def test_a_deployment_reaches_remote_services_by_their_names(net):
    far(net)
    ready_webhook(net)
    with net.cluster.applied(workload("knows-nothing", ASKS, {"tieline.dev/services": "far, store"})):
        pod = net.cluster.wait_ready("a", "app=knows-nothing", 1)[0]
        check(sidecar(pod), f"the webhook gives it a sidecar: {pod['spec']}")
        check("sysctls" in pod["spec"]["securityContext"], "which may listen on port 80")
        for host, port in (("far", 8080), ("store", 80), ("store.a.svc.cluster.local", 80)):
            who = served(net, pod, host, port)
            check(who.startswith("b/"), f"{host}:{port} is served at b, not by {who}")
        ips = {alias(pod, host) for host in ("far", "store")}
        check(len(ips) == 2 and all(ip.startswith(LOOPBACK) for ip in ips), f"each has an address of the Pod: {ips}")
        with Hold(net.cluster, f"{alias(pod, 'store')}:80", pod=f"a/{pod['metadata']['name']}") as clients:
            counts = grouped(clients.open(20), "ab")
            check(counts["b"] == 20, f"all are served at b: {counts}")
            used = private(net, pod)
            print(f"   private memory of the sidecar with 20 connections: {used / 2**20:.1f} MiB")
            check(used <= 15 * 2**20, f"{used} bytes are more than 15 MiB")
            survives_gateways(net, clients)
            net.cluster.kill(pod, "tieline")
            wait("the sidecar is there again", lambda: net.cluster.pid(pod, "tieline"))
        wait("and works", lambda: served(net, pod, "store", 80).startswith("b/"))


def survives_gateways(net, clients):
    """All gateways are replaced; what is open stays open, and new connections open."""
    net.cluster.kubectl("rollout", "restart", "-n", "a", "deployment/tieline-proxy")
    net.cluster.kubectl("rollout", "status", "-n", "a", "deployment/tieline-proxy", "--timeout=100s", timeout=110)
    wait("a new connection opens", lambda: sum(clients.attempt(1).values()) >= 21)
    check(not clients.report()["ended"], f"none has ended: {clients.last}")


def test_a_job_reaches_them_and_completes(net):
    far(net)
    ready_webhook(net)
    command = ["load", "--to", "store:80", "--rate", "20", "--seconds", "1"]
    with net.cluster.applied(job("once", command, ASKS, {"tieline.dev/services": "store"})):
        net.cluster.kubectl("wait", "-n", "a", "--for=condition=Complete", "job/once", "--timeout=50s")
        check(sidecar(net.cluster.pods("a", "job-name=once")[0]), "it had a sidecar")
        ends_with_its_workload(net)
        said = json.loads(net.cluster.script("logs", "a/once-0", "client").splitlines()[-1])
        print(f"   the Job says: {said}")
        check("b/" in json.dumps(said), f"b served it: {said}")


def ends_with_its_workload(net):
    """The sidecar does not drain for others, of whom there are none."""
    def times():
        status = net.cluster.pods("a", "job-name=once")[0]["status"]
        return {one["name"]: datetime.datetime.fromisoformat(one["state"]["terminated"]["finishedAt"])
                for kind in ("containerStatuses", "initContainerStatuses") for one in status[kind]}
    # The Job is complete by its workload alone, a moment before that.
    ended = wait("both have ended", times)
    late = (ended["tieline"] - ended["client"]).total_seconds()
    print(f"   its sidecar ended {late:g} s after the workload, in whole seconds")
    # With others it would listen for `drain.delay`, 5 s.
    check(late < 5, f"{late} s are more than a sidecar needs that nobody uses")


def test_without_the_webhook_pods_start_and_an_event_says_so(net):
    far(net)
    ready_webhook(net)
    net.cluster.kubectl("scale", "-n", SYSTEM, "deployment/tieline-controller", "--replicas=0")
    wait("the controllers are gone", lambda: not net.cluster.pods(SYSTEM, CONTROLLER, terminating=True), 60)
    try:
        net.cluster.apply(workload("alone", ASKS))
        pod = net.cluster.wait_ready("a", "app=alone", 1)[0]
        check(not sidecar(pod), "nobody could give it a sidecar")
    finally:
        net.cluster.kubectl("scale", "-n", SYSTEM, "deployment/tieline-controller", "--replicas=2")
        net.cluster.kubectl("rollout", "status", "-n", SYSTEM, "deployment/tieline-controller", "--timeout=60s", timeout=70)
    name = pod["metadata"]["name"]
    note = wait("an Event says so", lambda: told(net, pod))[0]
    print(f"   the Event: {note}")
    wait("the Site counts it", lambda: lacking(net) == 1)
    # The Service before the webhook lags behind the controllers.
    wait("Pods are injected again", lambda: injected(net))
    net.cluster.kubectl("delete", "pod", "-n", "a", "probe", "--grace-period=0", "--force")
    net.cluster.kubectl("delete", "pod", "-n", "a", name)
    wait("the Pod that takes its place has a sidecar", lambda: all(sidecar(p) for p in net.cluster.wait_ready("a", "app=alone", 1)))
    wait("and the Site counts none", lambda: lacking(net) is None)
    net.cluster.kubectl("delete", "deployment", "-n", "a", "alone")


def told(net, pod):
    """What Events say of a Pod without a sidecar."""
    return [e["note"] for e in net.cluster.get("events.events.k8s.io", pod["metadata"]["namespace"])["items"]
            if e["regarding"].get("name") == pod["metadata"]["name"] and e["reason"] == "NotInjected"]


def lacking(net):
    """How many such Pods the Site counts."""
    return net.cluster.get("tsite", "a", "a")["status"]["proxies"].get("notInjected")


def test_a_service_that_comes_later_than_its_pods(net):
    """As the page says: a Pod stays as it was made; one that names the port as well waits for the Service."""
    far(net)
    ready_webhook(net)
    page = blocks("sidecars.md", "Give Pods a sidecar when they are made: a label")
    key, text = next(block for block in page if block.startswith("tieline.dev/services:")).split(": ")
    events, restart = (next(block for block in page if block.startswith(start)).replace("-n shop", "-n a") for start in ("kubectl get events", "kubectl rollout"))
    waits = {key: text.strip().strip('"')}
    with contextlib.ExitStack() as stack:
        for name, wish in (("early", {key: "late"}), ("before", {key: "far"}), ("waits", waits)):
            stack.enter_context(net.cluster.applied(workload(name, ASKS, wish)))
        early, before = (net.cluster.wait_ready("a", f"app={name}", 1)[0] for name in ("early", "before"))
        check(not sidecar(early) and sidecar(before), "one names what is not there, the other what is")
        note = wait("an Event says so", lambda: told(net, early))[0]
        print(f"   the Event: {note}")
        check('"late"' in note and "far" in note, f"it names the Service, and those that there are: {note}")
        check(early["metadata"]["name"] in net.cluster.run(events.split()), f"{events} shows it")
        waiting = net.cluster.pods("a", "app=waits")[0]
        check(sidecar(waiting) and condition(waiting, "Ready") != "True", "the third has a sidecar, and waits")
        net.cluster.apply(service("a", "late"), service("b", "late", selector="s", listen=False))
        stack.callback(net.cluster.kubectl, "delete", "tsvc", "-n", "a", "late")
        stack.callback(net.cluster.kubectl, "delete", "tsvc", "-n", "b", "late")
        net.wait_targets("a", "late", {"b": 1})
        net.answering("a", "late")
        waiting = net.cluster.wait_ready("a", "app=waits", 1)[0]
        for pod in (early, before, waiting):
            who = served(net, pod, "late", 8080)
            check(who.startswith("b/"), f"{pod['metadata']['name']} is served at b, not by {who}")
        own = lambda pod: any("late" in entry["hostnames"] for entry in pod["spec"].get("hostAliases", []))
        check([own(pod) for pod in (early, before, waiting)] == [False, False, True], "the first two through the gateways")
        wait("the Site still counts the first", lambda: lacking(net) == 1)
        net.cluster.run(restart.replace("deployment/app", "deployment/early").split())
        after = wait("the next Pod has a sidecar", lambda: next((pod for pod in net.cluster.ready_pods("a", "app=early") if sidecar(pod)), None))
        check(own(after) and served(net, after, "late", 8080).startswith("b/"), "and is served through it")
        wait("the Site counts none", lambda: lacking(net) is None)


def test_a_lost_certificate_is_made_again(net):
    far(net)
    ready_webhook(net)
    bundle = lambda: net.cluster.get("mutatingwebhookconfiguration", SYSTEM, "tieline-webhook")["webhooks"][0]["clientConfig"]["caBundle"]
    before = bundle()
    net.cluster.kubectl("delete", "secret", "-n", SYSTEM, "tieline-webhook")
    wait("another authority is announced", lambda: bundle() != before, 40)
    wait("Pods are injected with it", lambda: injected(net))
    net.cluster.kubectl("delete", "pod", "-n", "a", "probe", "--grace-period=0", "--force")


def injected(net):
    """Whether a Pod that is made now gets a sidecar."""
    net.cluster.kubectl("delete", "pod", "-n", "a", "probe", "--ignore-not-found", "--grace-period=0", "--force")
    net.cluster.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "probe", "namespace": "a", "labels": ASKS},
                       "spec": {"containers": [{"name": "client", "image": "traffic:dev"}]}})
    return sidecar(net.cluster.get("pod", "a", "probe"))


def test_a_certificate_near_its_end_is_renewed(net):
    """By the same authority, so that no Pod is made without a sidecar meanwhile."""
    far(net)
    ready_webhook(net)
    held = lambda: {name: base64.b64decode(text).decode() for name, text in net.cluster.get("secret", SYSTEM, "tieline-webhook")["data"].items()}
    before = held()
    # Debian's own Python: python3-cryptography is its package.
    aged = net.cluster.run(["/usr/bin/python3", str(ROOT / "hack" / "kill" / "age_certificate.py")],
                           stdin=json.dumps([before["tls.crt"] + before["ca.crt"], before["ca.key"]])).removesuffix(before["ca.crt"])
    check(aged != before["tls.crt"], "its time is another one")
    net.cluster.patch("secret", SYSTEM, "tieline-webhook", {"data": {"tls.crt": base64.b64encode(aged.encode()).decode()}})
    made = 0
    while held()["tls.crt"] == aged:
        check(injected(net), "Pods are injected with the one that is near its end")
        made += 1
        check(made < 200, "it is renewed")
    after = held()
    check(after["ca.crt"] == before["ca.crt"] and after["tls.crt"] != before["tls.crt"], "another certificate of the same authority")
    for _ in range(10):
        check(injected(net), "and with the next one")
    print(f"   {made} Pods were made until it was renewed, and 10 after that: all have a sidecar")
    net.cluster.kubectl("delete", "pod", "-n", "a", "probe", "--grace-period=0", "--force")


def test_manifests_are_injected_for_git(net):
    """`tieline inject` without a cluster, from a pipe; applied twice, the second time changes nothing."""
    far(net)
    use = {"tieline.dev/services": "store"}
    bare = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod-from-git", "namespace": "a", "labels": {"app": "pod-from-git"}, "annotations": use},
            "spec": {"terminationGracePeriodSeconds": 1, "containers": [
                {"name": "client", "image": "python:dev", "args": ["-c", "import signal; signal.pause()"]}]}}
    once_only = job("job-from-git", ["load", "--to", "store:80", "--rate", "20", "--seconds", "1"], annotations=use)
    items = [service("a", "store", port=80), workload("from-git", annotations=use), bare, once_only]
    command = [str(BIN / "tieline"), "inject", "--image", "tieline-proxy:dev"]
    read, write = os.pipe()
    with open(write, "w") as pipe:
        pipe.write(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
    once = subprocess.run([*command, "-f", f"/dev/fd/{read}"], pass_fds=[read], text=True, capture_output=True, check=True).stdout
    os.close(read)
    check(net.cluster.run(command, stdin=once) == once, "injecting again gives the same bytes")
    net.cluster.kubectl("apply", "-f", "-", stdin=once)
    again = net.cluster.kubectl("apply", "-f", "-", stdin=once)
    check(len(again.splitlines()) == 4 and all(line.endswith(" unchanged") for line in again.splitlines()), f"nothing changes: {again}")
    for name in ("from-git", "pod-from-git"):
        pod = net.cluster.wait_ready("a", f"app={name}", 1)[0]
        wait(f"{name} works", lambda: served(net, pod, "store", 80).startswith("b/"))
    net.cluster.kubectl("wait", "-n", "a", "--for=condition=Complete", "job/job-from-git", "--timeout=50s")
    net.cluster.kubectl("delete", "-n", "a", "deployment/from-git", "pod/pod-from-git", "job/job-from-git")
