#!/usr/bin/env python3
"""Checks that a test cluster behaves like a real one where the tests rely on it, and that it leaves nothing behind.

    hack/check-cluster.py [WORD...]     all checks, or those whose name contains one of the words

Needs root and what hack/build.sh has built (TIELINE_BIN or .build/release); the workload is python3.
"""
import ast
import datetime
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "Tests" / "EndToEnd"))

from cluster import Cluster, Failed, check, wait  # noqa: E402

NAME = f"check-{os.getpid()}"
FAMILIES = {"ipv4": 1, "ipv6": 1, "dual": 2}  # how many
STATE = pathlib.Path(os.environ.get("TMPDIR", "/tmp"))


class Node(Cluster):
    @property
    def state(self):
        return STATE / f"tieline-cluster-{self.name}"

    def ask(self, *arguments, pod=None, container=None):
        """The output of a command inside, or of its failure."""
        where = (["--pod", pod] if pod else []) + (["--container", container] if container else [])
        done = subprocess.run([str(ROOT / "hack" / "cluster.sh"), "exec", *where, *arguments],
                              env=self.env, text=True, capture_output=True, timeout=30)
        return (done.stdout + done.stderr).strip()

    def get_url(self, url, pod=None):
        return self.ask("curl", "-s", "-S", "-m", "5", url, pod=pod)


def workload(name, replicas=1, script=None, files=None, **spec):
    """A Deployment of python3: `script`, or an HTTP server over the Secret `files` on port 8080."""
    arguments = ["-u", "-c", script] if script else ["-u", "-m", "http.server", "$(PORT)", "-b", "::", "-d", "/files"]
    container = {
        "name": "main", "image": "python:dev", "args": arguments,
        "env": [{"name": "PORT", "value": "8080"},
                {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
        "ports": [{"name": "http", "containerPort": 8080}], **spec.pop("main", {})}
    if files:
        container["volumeMounts"] = [{"name": "files", "mountPath": "/files"}, *container.get("volumeMounts", [])]
        spec["volumes"] = [{"name": "files", "secret": {"secretName": files}}, *spec.get("volumes", [])]
    return {
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "namespace": "check"},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": {
            "metadata": {"labels": {"app": name}},
            "spec": {"terminationGracePeriodSeconds": 1, "containers": [container], **spec}}}}


def service(name, app=None, **spec):
    ports = [{"name": "http", "port": 80, "targetPort": "http"}]
    selector = {"selector": {"app": app}} if app else {}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "check"},
            "spec": {"ports": ports, "ipFamilyPolicy": "PreferDualStack", **selector, **spec}}


def secret(name, **data):
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": "check"}, "stringData": data}


def resolved(node, name):
    """The addresses of a name, of all families."""
    answers = [node.ask("getent", f"ahostsv{version}", name) for version in (4, 6)]
    # What has IPv4 addresses only is answered as mapped ones, too.
    return {line.split()[0] for line in "\n".join(answers).splitlines() if "STREAM" in line and "::ffff:" not in line}


def hosts(ips):
    return [f"[{ip}]" if ":" in ip else ip for ip in ips]


READY_A = {"readinessProbe": {"httpGet": {"path": "/a", "port": "http"}, "periodSeconds": 1, "failureThreshold": 1}}


def check_services(node):
    """ClusterIP, NodePort, LoadBalancer and headless names lead to ready pods, and refuse without one."""
    node.apply(secret("pages", a="one"), workload("web", 2, files="pages", main=READY_A),
               service("web", "web"), service("open", "web", type="LoadBalancer"), service("peers", "web", clusterIP="None"),
               service("all", "web", clusterIP="None", publishNotReadyAddresses=True))
    pods = node.wait_ready("check", "app=web", 2)
    inside = f"check/{pods[0]['metadata']['name']}"
    expected = {entry["ip"] for pod in pods for entry in pod["status"]["podIPs"]}
    check(len(expected) == 2 * FAMILIES[node.families], f"each pod has an address of each family: {expected}")
    for pod in (None, inside):
        for host in ["web.check.svc", *hosts(node.get("service", "check", "web")["spec"]["clusterIPs"])]:
            wait(f"the Service answers at {host}", lambda: node.get_url(f"http://{host}/a", pod) == "one")
    check(node.get_url("http://web/a", inside) == "one", "the short name, from a pod")
    check(node.get_url("http://web.check.svc.cluster.local/a", inside) == "one", "the full name")
    seen = wait("an ingress address", lambda: node.get("service", "check", "open")["status"]["loadBalancer"]["ingress"])
    check(len(seen) == FAMILIES[node.families], f"the load balancer has an address of each family: {seen}")
    for host in hosts(entry["ip"] for entry in seen):
        wait(f"the load balancer answers at {host}", lambda: node.get_url(f"http://{host}/a") == "one")
    port = node.get("service", "check", "open")["spec"]["ports"][0]["nodePort"]
    nodes = hosts(entry["ip"] for entry in pods[0]["status"]["hostIPs"])
    check(len(nodes) == FAMILIES[node.families], f"the node has an address of each family: {nodes}")
    for pod in (None, inside):
        for host in nodes:
            wait(f"the node port answers at {host}", lambda: node.get_url(f"http://{host}:{port}/a", pod) == "one")
    wait("headless: the ready pods", lambda: resolved(node, "peers.check.svc") == expected)
    check(node.ask("getent", "hosts", "none.check.svc") == "", "an unknown name does not resolve")
    for pod in pods:
        for host in hosts(entry["ip"] for entry in pod["status"]["podIPs"]):
            answer = node.get_url(f"http://{host}:8080/a", inside)
            check(answer == "one", f"a pod reaches itself and others at {host}: {answer}")
    for _ in range(10):
        check(node.get_url("http://web/a", inside) == "one", "hairpins, too")

    node.kubectl("patch", "secret", "-n", "check", "pages", "--type", "json", "-p",
                 '[{"op": "remove", "path": "/data/a"}, {"op": "add", "path": "/data/b", "value": "eA=="}]')
    wait("nobody is ready", lambda: not node.ready_pods("check", "app=web"))
    for pod in (None, inside):
        wait("refused", lambda: "onnect" in node.get_url("http://web.check.svc/a", pod))
        # By the clock of curl, whose own start is none of it.
        refusal = node.ask("curl", "-s", "-S", "-m", "5", "-w", "\n%{time_total}\n", "http://web.check.svc/a", pod=pod)
        seconds = float(next(line for line in refusal.splitlines() if line.replace(".", "").isdigit()))
        check("onnect" in refusal and seconds < 1, f"refused at once: {refusal}")
        for host in [f"{host}:{port}" for host in nodes] + hosts(entry["ip"] for entry in seen):
            wait("the node port and the load balancer refuse, too", lambda: "onnect" in node.get_url(f"http://{host}/a", pod))
    wait("headless: nobody is ready", lambda: not resolved(node, "peers.check.svc"))
    check(resolved(node, "all.check.svc") == expected, "publishNotReadyAddresses: all")
    node.apply(secret("pages", a="two"))
    node.wait_ready("check", "app=web", 2)
    wait("back", lambda: node.get_url("http://web.check.svc/a") == "two")


def check_families(node):
    """The same with IPv6 alone, and with both families."""
    for families in ("ipv6", "dual"):
        with Node(f"{NAME}-{families}", families) as other:
            other.kubectl("create", "namespace", "check")
            check_services(other)
        wait("nothing is left", lambda: leftovers(f"{NAME}-{families}") == [])


def check_manual_slices(node):
    """A Service without selector follows the slices that someone else writes."""
    node.apply(secret("pages", a="two"), workload("web", 1, files="pages", main=READY_A), service("manual"))
    address = node.wait_ready("check", "app=web", 1)[0]["status"]["podIP"]
    node.apply({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": "manual-1", "namespace": "check", "labels": {"kubernetes.io/service-name": "manual"}},
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}], "endpoints": [{"addresses": [address]}]})
    wait("the slice is used", lambda: node.get_url("http://manual.check.svc/a") == "two")


def check_secret_update(node):
    """A mounted Secret changes as one, within seconds: a kubelet may take two minutes."""
    node.apply(secret("values", a="1", b="1"), workload("reader", files="values"))
    pod = f"check/{node.wait_ready('check', 'app=reader', 1)[0]['metadata']['name']}"
    node.apply(secret("values", a="2", b="2"))
    wait("the new values", lambda: node.ask("cat", "/files/a", "/files/b", pod=pod, container="main") == "22", 10)


SIDECAR = """
import http.server, os, signal, sys, time
def leave(*_):
    open('/shared/log', 'a').write('sidecar ends\\n'); sys.exit(0)
signal.signal(signal.SIGTERM, leave)
open('/shared/log', 'a').write('sidecar begins\\n')
time.sleep(1)
http.server.HTTPServer(('', 9000), http.server.SimpleHTTPRequestHandler).serve_forever()
"""
MAIN = """
import signal, sys, time
def leave(*_):
    open('/shared/log', 'a').write('main ends\\n'); sys.exit(0)
signal.signal(signal.SIGTERM, leave)
open('/shared/log', 'a').write('main begins\\n')
while True: time.sleep(1)
"""


def check_sidecars(node):
    """Init containers, then sidecars gated by their startup probe, then the rest; the other way round at the end."""
    folder = node.state / "shared"
    folder.mkdir(exist_ok=True)
    mount = [{"name": "shared", "mountPath": "/shared"}]
    spec = workload("ordered", script=MAIN, main={"volumeMounts": mount}, terminationGracePeriodSeconds=10,
                    volumes=[{"name": "shared", "hostPath": {"path": str(folder)}}])
    spec["spec"]["template"]["spec"]["initContainers"] = [
        {"name": "first", "image": "python:dev", "volumeMounts": mount,
         "args": ["-c", "open('/shared/log', 'a').write('init ran\\n')"]},
        {"name": "side", "image": "python:dev", "restartPolicy": "Always", "volumeMounts": mount,
         "args": ["-u", "-c", SIDECAR],
         "startupProbe": {"tcpSocket": {"port": 9000}, "periodSeconds": 1, "failureThreshold": 10}}]
    began = time.monotonic()
    node.apply(spec)
    pod = node.wait_ready("check", "app=ordered", 1)[0]
    check(time.monotonic() - began > 1, "main waited for the sidecar's startup probe")
    lines = lambda: (folder / "log").read_text().splitlines()
    wait("main runs", lambda: "main begins" in lines())
    check(lines() == ["init ran", "sidecar begins", "main begins"], f"order of the start: {lines()}")
    node.kubectl("patch", "deployment", "-n", "check", "ordered", "--type", "merge", "-p",
                 '{"spec": {"replicas": 0}}')
    wait("the pod is gone", lambda: not node.exists("pod", "check", pod["metadata"]["name"]))
    check(lines()[3:] == ["main ends", "sidecar ends"], f"order of the end: {lines()}")


def check_read_only_root(node):
    """readOnlyRootFilesystem leaves nothing to write to but the volumes."""
    script = """
import os, time
for path in ("/x", "/tmp/x", "/run/x", "/etc/resolv.conf", "/data/x"):
    try: open(path, "a").close(); print("wrote", path)
    except OSError: print("refused", path)
time.sleep(1000)
"""
    node.apply(workload("frozen", script=script, volumes=[{"name": "data", "emptyDir": {}}], main={
        "securityContext": {"readOnlyRootFilesystem": True},
        "volumeMounts": [{"name": "data", "mountPath": "/data"}]}))
    pod = node.wait_ready("check", "app=frozen", 1)[0]["metadata"]["name"]
    seen = wait("the log", lambda: len(found := node.script("logs", f"check/{pod}", "main").splitlines()) == 5 and found)
    check([line for line in seen if line.startswith("wrote")] == ["wrote /data/x"], f"{seen}")


PRIVILEGES = """
import os, pathlib, socket, time
fields = dict(line.split(":", 1) for line in pathlib.Path("/proc/self/status").read_text().splitlines())
print({**{name: fields[name].split() for name in ("Uid", "Gid", "Groups", "CapEff", "CapBnd", "NoNewPrivs", "Seccomp")},
       "pid": os.getpid(), "name": socket.gethostname()}, flush=True)
time.sleep(1000)
"""
NO_CAPABILITY, USUAL_CAPABILITIES = "0" * 16, "00000000a80425fb"


def check_privileges(node):
    """A container has the user, the capabilities and the seccomp filter that its pod asks for, and no more."""
    node.apply(workload("plain", script=PRIVILEGES), workload("strict", script=PRIVILEGES, securityContext={
        "runAsNonRoot": True, "runAsUser": 1234, "runAsGroup": 55, "fsGroup": 77, "seccompProfile": {"type": "RuntimeDefault"},
    }, main={"securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}}))

    def seen(app):
        pod = node.wait_ready("check", f"app={app}", 1)[0]["metadata"]["name"]
        text = wait("the log", lambda: node.script("logs", f"check/{pod}", "main").strip())
        facts = ast.literal_eval(text)
        check(facts["pid"] == 1 and facts["name"] == pod, f"it is the first process of {pod}: {facts}")
        return [facts[name] for name in ("Uid", "Gid", "Groups", "CapEff", "CapBnd", "NoNewPrivs", "Seccomp")]

    found = seen("strict")
    check(found == [["1234"] * 4, ["55"] * 4, ["77"], [NO_CAPABILITY], [NO_CAPABILITY], ["1"], ["2"]], f"{found}")
    found = seen("plain")
    check(found == [["0"] * 4, ["0"] * 4, [], [USUAL_CAPABILITIES], [USUAL_CAPABILITIES], ["0"], ["0"]], f"{found}")
    node.apply(workload("root", script=PRIVILEGES, securityContext={"runAsNonRoot": True}))
    waiting = lambda: node.get("pods", "check", selector="app=root")["items"][0]["status"]["containerStatuses"][0]["state"]["waiting"]
    wait("it is not started as root", lambda: (found := waiting())["reason"] == "CreateContainerConfigError" and "runAsNonRoot" in found["message"])
    node.kubectl("delete", "deployment", "-n", "check", "plain", "strict", "root")


MODEST = """
import glob, time
b = bytearray(8 << 20)
print([open(path).read().split()[0] for path in glob.glob("/sys/fs/cgroup/cpu/cpu.cfs_quota_us") + glob.glob("/sys/fs/cgroup/cpu.max")], flush=True)
time.sleep(1000)
"""


def check_limits(node):
    """What takes more memory than its limit is killed, and the status says why; the pod beside it is not touched. So is the
    processor limited: a quarter of one is 25 ms of every 100."""
    limit = {"resources": {"limits": {"memory": "48Mi", "cpu": "250m"}}}
    node.apply(workload("hungry", script="b = bytearray(200 << 20)", main=limit), workload("modest", script=MODEST, main=limit))
    state = lambda: node.get("pods", "check", selector="app=hungry")["items"][0]["status"]["containerStatuses"][0]["lastState"]["terminated"]
    ended = wait("it has been killed", state)
    check((ended["reason"], ended["exitCode"]) == ("OOMKilled", 137), f"{ended}")
    pod = node.wait_ready("check", "app=modest", 1)[0]
    check(pod["status"]["containerStatuses"][0]["restartCount"] == 0, "the other one runs")
    name = f"check/{pod['metadata']['name']}"
    quota = wait("its limit", lambda: node.script("logs", name, "main").strip())
    check(quota == "['25000']", f"the quota of the processor: {quota}")
    node.kubectl("delete", "deployment", "-n", "check", "hungry", "modest")


def check_refused_start(node):
    """A program that is not in the image is told in the words of the runtime."""
    node.apply(workload("absent", main={"command": ["/no/such/program"]}))
    waiting = lambda: node.get("pods", "check", selector="app=absent")["items"][0]["status"]["containerStatuses"][0]["state"]["waiting"]
    wait("the reason", lambda: "no such file" in waiting()["message"] and waiting()["reason"] == "RunContainerError")
    node.kubectl("delete", "deployment", "-n", "check", "absent")


def check_many_starts(node):
    """Thirty containers start beside each other, not one after the other."""
    began = time.monotonic()
    node.apply(workload("many", 30, main={"command": ["sleep"], "args": ["1000"]}))
    node.wait_ready("check", "app=many", 30, 60)
    print(f"   30 pods are ready after {time.monotonic() - began:.1f} s")
    node.kubectl("delete", "deployment", "-n", "check", "many")
    wait("they are gone", lambda: not node.get("pods", "check", selector="app=many")["items"], 60)


def cgroups(name):
    """The containers of a cluster that have cgroups, whether each kind of resource has a tree of its own or not."""
    return {path.name for pattern in ("*/", "") for path in pathlib.Path("/sys/fs/cgroup").glob(f"{pattern}tieline-cluster-{name}.*")}


def check_restarts(node):
    """A container that dies comes back with its emptyDir; one that fails its liveness probe is replaced; back-off grows."""
    node.apply(secret("pages2", a="x"), workload(
        "fragile", files="pages2",
        main={"livenessProbe": {"httpGet": {"path": "/a", "port": "http"}, "periodSeconds": 1, "failureThreshold": 2}, **READY_A,
              "volumeMounts": [{"name": "kept", "mountPath": "/kept"}]},
        volumes=[{"name": "kept", "emptyDir": {"medium": "Memory"}}]))
    pod = node.wait_ready("check", "app=fragile", 1)[0]
    name = pod["metadata"]["name"]
    status = lambda: node.get("pod", "check", name)["status"]["containerStatuses"][0]
    count = lambda: status()["restartCount"]
    node.ask("touch", "/kept/mark", "/lost", pod=f"check/{name}", container="main")
    node.kill(pod)
    back = wait("restarted", lambda: (found := status())["restartCount"] >= 1 and "running" in found["state"] and found)
    away = moment(back["state"]["running"]["startedAt"]) - moment(back["lastState"]["terminated"]["finishedAt"])
    check(away < 5, f"back long before the longest back-off, 10 s: {back}")
    node.wait_ready("check", "app=fragile", 1)
    found = node.ask("ls", "/kept/mark", "/lost", pod=f"check/{name}", container="main")
    check("/kept/mark" in found and "cannot access '/lost'" in found, f"the volume is kept, the rest is new: {found}")
    before = count()
    node.kubectl("patch", "secret", "-n", "check", "pages2", "--type", "merge", "-p", '{"data": {"a": null}}')
    wait("restarted by the probe", lambda: count() > before)


def moment(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def check_exit_zero(node):
    """A container that ends well over and over is restarted in its pod, which stays Running."""
    node.apply(workload("ends", 2, script="pass"))

    def often():
        pods = node.get("pods", "check", selector="app=ends")["items"]
        return len(pods) == 2 and all(pod["status"]["containerStatuses"][0]["restartCount"] >= 3 for pod in pods) and pods

    pods = wait("two pods that restart", often)
    check({pod["status"]["phase"] for pod in pods} == {"Running"}, "the phase")
    node.kubectl("delete", "deployment", "-n", "check", "ends")


def check_rollout(node):
    """A rolling update keeps the Service answering; rollout status, undo by template, scaling and deletion work."""
    node.apply(secret("pages3", a="v"), workload("roll", 2, files="pages3", main=READY_A), service("roll", "roll"))
    node.wait_ready("check", "app=roll", 2)
    wait("answers", lambda: node.get_url("http://roll.check.svc/a") == "v")
    before = {pod["metadata"]["name"] for pod in node.pods("check", "app=roll")}
    node.kubectl("rollout", "restart", "-n", "check", "deployment/roll")
    node.kubectl("rollout", "status", "-n", "check", "deployment/roll", "--timeout=50s")
    after = {pod["metadata"]["name"] for pod in node.pods("check", "app=roll")}
    check(not before & after and len(after) == 2, f"all pods are new: {before} {after}")
    node.kubectl("scale", "-n", "check", "deployment/roll", "--replicas=1")
    wait("scaled", lambda: len(node.pods("check", "app=roll")) == 1)
    node.kubectl("delete", "deployment", "-n", "check", "roll")
    wait("collected", lambda: not node.get("pods,rs", "check", selector="app=roll")["items"])


def check_garbage(node):
    """What is owned goes with its owner, over kinds, and not before."""
    node.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "owner", "namespace": "check"}})
    uid = node.get("configmap", "check", "owner")["metadata"]["uid"]
    owned = secret("owned", a="x")
    owned["metadata"]["ownerReferences"] = [{"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": uid}]
    orphan = secret("orphan", a="x")
    orphan["metadata"]["ownerReferences"] = [
        {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": "00000000-0000-0000-0000-000000000000"}]
    node.apply(owned, orphan)
    wait("an owner that never was", lambda: not node.exists("secret", "check", "orphan"))
    check(node.exists("secret", "check", "owned"), "the owner is there")
    node.kubectl("delete", "configmap", "-n", "check", "owner")
    wait("collected", lambda: not node.exists("secret", "check", "owned"))

    node.apply(workload("tree", 2, script="import time; time.sleep(1000)"))
    node.wait_ready("check", "app=tree", 2)
    node.kubectl("delete", "deployment", "-n", "check", "tree", "--cascade=foreground", "--timeout=50s")
    check(not node.get("pods,rs", "check", selector="app=tree")["items"], "foreground: dependents went first")
    node.apply(workload("tree", 1, script="import time; time.sleep(1000)"))
    node.wait_ready("check", "app=tree", 1)
    node.kubectl("delete", "deployment", "-n", "check", "tree", "--cascade=orphan", "--timeout=50s")
    check(len(node.get("pods,rs", "check", selector="app=tree")["items"]) == 2, "orphan: they stay")
    node.kubectl("delete", "rs", "-n", "check", "-l", "app=tree")
    wait("collected", lambda: not node.get("pods", "check", selector="app=tree")["items"])


def check_api_outage(node):
    """Pods, Services and restarts go on without the API server, and its tokens are good afterwards."""
    node.apply(secret("pages4", a="on"), workload("steady", files="pages4", main=READY_A), service("steady", "steady"))
    pod = node.wait_ready("check", "app=steady", 1)[0]
    name = f"check/{pod['metadata']['name']}"
    wait("answers", lambda: node.get_url("http://steady.check.svc/a") == "on")
    ask = ["sh", "-c", 'cd /run/secrets/kubernetes.io/serviceaccount; curl -s -m 5 --cacert ca.crt -o /dev/null '
           '-w "%{http_code}" -H "Authorization: Bearer $(cat token)" https://kubernetes.default.svc/api/v1']
    check(node.ask(*ask, pod=name, container="main") == "200", "the API server, from a pod")
    node.script("apiserver", "stop")
    check(node.ask(*ask, pod=name, container="main") == "000", "it is away")
    check(node.get_url("http://steady.check.svc/a") == "on", "the Service answers")
    old = node.pid(pod)
    node.kill(pod)
    wait("restarted", lambda: node.pid(pod) != old)
    wait("serves again", lambda: node.get_url("http://steady.check.svc/a") == "on")
    node.script("apiserver", "start")
    wait("the restart is reported",
         lambda: node.get("pod", "check", pod["metadata"]["name"])["status"]["containerStatuses"][0]["restartCount"] == 1)
    wait("the token is still good", lambda: node.ask(*ask, pod=name, container="main") == "200")


def check_namespace_deletion(node):
    """A namespace goes with all that is in it, pods included."""
    node.kubectl("create", "namespace", "brief")
    wait("its account", lambda: node.exists("serviceaccount", "brief", "default"))
    spec = workload("one", script="import time; time.sleep(1000)")
    spec["metadata"]["namespace"] = "brief"
    node.apply(spec)
    node.wait_ready("brief", "app=one", 1)
    node.kubectl("delete", "namespace", "brief", "--timeout=50s")


def check_jobs(node):
    """A Job's Pod ends and completes it, also beside a sidecar; a failing one is tried again as often as it says."""
    def job(name, script, **spec):
        pod = workload(name, script=script)["spec"]["template"]["spec"]
        return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name, "namespace": "check"},
                "spec": {"template": {"spec": {"restartPolicy": "Never", **pod, **spec.pop("pod", {})}}, **spec}}
    beside = {"name": "beside", "image": "python:dev", "restartPolicy": "Always", "args": ["-u", "-c", leave_at_sigterm()]}
    node.apply(job("done", "print('done')", pod={"initContainers": [beside]}), job("fails", "exit(3)", backoffLimit=1))
    node.kubectl("wait", "-n", "check", "--for=condition=Complete", "job/done", "--timeout=40s")
    node.kubectl("wait", "-n", "check", "--for=condition=Failed", "job/fails", "--timeout=40s")
    pods = node.get("pods", "check", selector="job-name=fails")["items"]
    check(len(pods) == 2, f"a failing Job is tried once more, not {len(pods) - 1} times")
    node.kubectl("delete", "job", "-n", "check", "done", "fails")
    wait("their Pods go with them", lambda: not node.get("pods", "check", selector="job-name")["items"])


def leave_at_sigterm():
    return "import signal, sys; signal.signal(15, lambda *_: sys.exit(0)); signal.pause()"


def check_names_and_variables(node):
    """hostAliases are found by programs of the Pod, and safe variables of the kernel are its own."""
    node.apply(workload(
        "named", script="import time; time.sleep(1000)",
        hostAliases=[{"ip": "127.84.1.2", "hostnames": ["far", "far.check"]}],
        securityContext={"runAsUser": 1000, "sysctls": [{"name": "net.ipv4.ip_unprivileged_port_start", "value": "80"}]}))
    pod = node.wait_ready("check", "app=named", 1)[0]
    name = f"check/{pod['metadata']['name']}"
    script = "import socket as s; x = s.socket(); x.bind((s.gethostbyname('far.check'), 80)); print(x.getsockname())"
    said = node.ask("setpriv", "--reuid=1000", "--clear-groups", "--bounding-set=-all", "python3", "-c", script, pod=name, container="main")
    check(said == "('127.84.1.2', 80)", f"an ordinary process listens on port 80 under that name: {said}")
    check(node.ask("cat", "/proc/sys/net/ipv4/ip_unprivileged_port_start") != "80", "the node has its own")
    node.kubectl("delete", "deployment", "-n", "check", "named")


def leftovers(name):
    """What of a cluster is still on the machine."""
    found = []
    for folder in pathlib.Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            if f"tieline-cluster-{name}/" in (folder / "cmdline").read_text(errors="replace"):
                found.append(f"process {folder.name}")
        except OSError:
            pass
    mounts = pathlib.Path("/proc/self/mountinfo").read_text()
    if f"tieline-cluster-{name}/" in mounts or "/run/devnode" in mounts:
        found.append("mounts")
    if (STATE / f"tieline-cluster-{name}").exists():
        found.append("state")
    return found + sorted(cgroups(name))


def others():
    """The links and named namespaces of the host."""
    links = subprocess.run(["ip", "-o", "link"], text=True, capture_output=True).stdout
    return [line.split()[1] for line in links.splitlines()], sorted(os.listdir("/run/netns") if os.path.isdir("/run/netns") else [])


def check_crash(node):
    """SIGKILL of devnode takes all containers along; `down` clears the rest; another cluster is not touched."""
    seed = int(os.environ.get("TIELINE_SEED", time.time_ns() % 100_000))
    print(f"   TIELINE_SEED={seed}")
    moments = random.Random(seed)
    before = others()
    with Node(f"{NAME}-crash") as second:
        second.kubectl("create", "namespace", "check")
        second.apply(workload("one", 3, script="import time; time.sleep(1000)"))
        pods = second.wait_ready("check", "app=one", 3)
        pids = [second.pid(pod) for pod in pods]
        os.kill(int((second.state / "devnode.process").read_text().split()[0]), signal.SIGKILL)
        wait("the containers are gone", lambda: not any(os.path.exists(f"/proc/{pid}") for pid in pids))
        second.script("down")
        wait("nothing is left", lambda: leftovers(f"{NAME}-crash") == [] or print(leftovers(f"{NAME}-crash")))
    for _ in range(3):  # while containers are being made; the next `up` clears what is left
        with Node(f"{NAME}-crash") as second:
            second.kubectl("create", "namespace", "check")
            second.apply(workload("many", 12, main={"command": ["sleep"], "args": ["1000"]}))
            several = moments.randrange(1, 12)
            wait(f"{several} are made", lambda: len(cgroups(second.name)) >= several, every=0.001)
            os.kill(int((second.state / "devnode.process").read_text().split()[0]), signal.SIGKILL)
            left = cgroups(second.name)
            second.script("up", timeout=600)
            check(left and not cgroups(second.name), f"of {left} nothing is left: {cgroups(second.name)}")
        wait("nothing is left", lambda: leftovers(f"{NAME}-crash") == [])
    check(others() == before, f"the host's network is as it was: {before} {others()}")
    check(node.exists("node", "check", "node"), "the first cluster is not touched")


def main(words):
    failures, passed = [], 0
    checks = {name.removeprefix("check_").replace("_", " "): function
              for name, function in globals().items() if name.startswith("check_")}
    with Node(NAME) as node:
        node.kubectl("create", "namespace", "check")
        for title, function in checks.items():
            if words and not any(word in title for word in words):
                continue
            began = time.monotonic()
            try:
                function(node)
                passed += 1
                print(f"ok {title} ({time.monotonic() - began:.1f} s)", flush=True)
            except (Failed, subprocess.SubprocessError, KeyError, IndexError, ValueError, OSError) as error:
                failures.append(title)
                print(f"FAILED {title}: {error} {getattr(error, 'stderr', '') or ''}", flush=True)
        if failures:
            print((node.state / "devnode.log").read_text()[-3000:])
    wait("nothing is left", lambda: leftovers(NAME) == [])
    print(f"{passed} passed, {len(failures)} failed")
    return 1 if failures or not passed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
