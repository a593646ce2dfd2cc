"""Both gateways of the serving site are rolled under load while a process stands still at the worst moment: no connection fails.

Machines stop for a moment: a host that is short of CPU, a snapshot of a virtual machine. Less than it takes to call a lane lost.
"""
import contextlib
import json
import os
import random
import signal
import subprocess
import threading
import time

from cluster import check, wait
from network import GATEWAYS
from test_balance import offer
from traffic import Run

DELAY = 5.0  # drain.delay: how long a gateway that was told to end goes on accepting
# When (an old gateway is told to end, a new one is ready), how long after, and who.
MOMENTS = {
    "the old gateway as it is told to end": ("ends", 0, "self"),
    "the old gateway as it stops listening": ("ends", DELAY, "self"),
    "the new gateway as it gets ready": ("ready", 0, "self"),
    "the clients' gateways as the old one is told to end": ("ends", 0, "a"),
    "the clients' gateways as the new one gets ready": ("ready", 0, "a"),
    "the clients' gateways as the old one stops listening": ("ends", DELAY, "a"),
    "all of them as the old one is told to end": ("ends", 0, "ab"),
    "all of them as the new one gets ready": ("ready", 0, "ab"),
    "all of them as the old one stops listening": ("ends", DELAY, "ab"),
}


def changes(process):
    """The pods that a `kubectl get -w -o json` tells of, one after the other."""
    decoder, text = json.JSONDecoder(), ""
    while chunk := os.read(process.stdout.fileno(), 1 << 16):
        text += chunk.decode()
        with contextlib.suppress(json.JSONDecodeError):
            while text := text.lstrip():
                pod, end = decoder.raw_decode(text)
                text = text[end:]
                yield pod


class Stops:
    """Stops processes at one moment of each gateway's life, for 0.3 to 0.6 s."""

    def __init__(self, net, what, after, who, chance):
        self.net, self.what, self.after, self.who, self.chance = net, what, after, who, chance
        self.pids, self.seen, self.timers, self.stopped = {}, set(), [], 0
        for where in "ab":
            for pod in net.gateways(where, 2):
                self.note(pod)
                self.seen.add((pod["metadata"]["name"], "ready"))
        self.watch = subprocess.Popen(
            ["kubectl", "get", "pods", "-n", "b", "-l", GATEWAYS, "-w", "-o", "json"], env=net.cluster.env, stdout=subprocess.PIPE)
        self.thread = threading.Thread(target=self.follow, daemon=True)
        self.thread.start()

    def note(self, pod):
        meta = pod["metadata"]
        self.pids[meta["namespace"], meta["name"]] = self.net.cluster.pid(pod)

    def follow(self):
        for pod in changes(self.watch):
            name = pod["metadata"]["name"]
            is_ready = any(each["type"] == "Ready" and each["status"] == "True" for each in pod["status"].get("conditions", []))
            now = "ends" if "deletionTimestamp" in pod["metadata"] else "ready" if is_ready else None
            if now is None or (name, now) in self.seen:
                continue
            self.seen.add((name, now))
            if now == "ready":
                self.note(pod)
            if now == self.what:
                timer = threading.Timer(self.after + self.chance.uniform(0, 0.2), self.stop, [name])
                self.timers.append(timer)
                timer.start()

    def stop(self, name):
        whose = [pid for key, pid in list(self.pids.items()) if (key == ("b", name) if self.who == "self" else key[0] in self.who)]
        for number, pause in ((signal.SIGSTOP, self.chance.uniform(0.3, 0.6)), (signal.SIGCONT, 0)):
            for pid in whose:
                with contextlib.suppress(ProcessLookupError):  # it has ended meanwhile
                    os.kill(pid, number)
            time.sleep(pause)
        self.stopped += 1

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.watch.terminate()
        self.watch.wait()
        self.thread.join(10)
        for timer in self.timers:
            timer.join(20)


def test_stops_of_processes_while_gateways_are_rolled(net):
    address = offer(net, "stops", {"b": "s"}, {("a", "b"): 1})
    chance, failures = random.Random(int(os.environ.get("TIELINE_TEST_SEED", "7"))), []
    for where in "ab":
        net.cluster.patch("tsite", where, where, {"spec": {"proxy": {"replicas": 2}}})
    try:
        for title, (what, after, who) in MOMENTS.items():
            result, stopped = rolled(net, address, Stops(net, what, after, who, chance))
            print(f"   {title}: {result['endings']} of {result['total']}, {stopped} stops, slowest {result['slowestMilliseconds']} ms",
                  flush=True)
            if set(result["endings"]) != {"done"} or stopped != 2:
                failures.append(f"{title} ({stopped} stops): {result}")
    finally:
        for where in "ab":
            net.cluster.patch("tsite", where, where, {"spec": {"proxy": {"replicas": 1}}})
            net.gateways(where, 1)
    net.wait_ready("tlink", "a", "b")
    check(not failures, "; ".join(failures))


def rolled(net, address, stops):
    """What a client saw while both gateways of b were rolled, and how often processes were stopped."""
    with stops, Run(net.cluster, "load", address, rate=100, seconds=120, timeout=5, hold=50) as load:
        wait("a second of load", lambda: load.ask("report")["seconds"] >= 1, 5)
        old = {pod["metadata"]["name"] for pod in net.gateways("b", 2)}
        net.cluster.kubectl("rollout", "restart", "-n", "b", "deployment/tieline-proxy")
        net.cluster.kubectl("rollout", "status", "-n", "b", "deployment/tieline-proxy", "--timeout=60s")
        wait("the old gateways are gone", lambda: not old & {
            pod["metadata"]["name"] for pod in net.cluster.pods("b", GATEWAYS, terminating=True)}, 60)
        result = load.stop()
    return result, stops.stopped
