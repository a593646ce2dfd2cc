"""Every state that an API server stores, and everything that gateways tell of themselves, with the time of each.

All times are of the monotonic clock, which the processes of a machine share.
"""
import base64
import collections
import json
import os
import subprocess
import sys
import threading
import time

from cluster import Failed
from network import API, GATEWAYS

OURS = f"/apis/{API}"
KINDS = {
    "tsite": f"{OURS}/sites", "tlink": f"{OURS}/links", "tsvc": f"{OURS}/services", "pod": "/api/v1/pods",
    "deployment": "/apis/apps/v1/deployments", "service": "/api/v1/services", "namespace": "/api/v1/namespaces",
    "secret": "/api/v1/secrets?fieldSelector=metadata.name%3Dtieline-proxy"}
OBSERVER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "observe.py")


def is_gateway(pod):
    name, value = GATEWAYS.split("=")
    return pod["metadata"].get("labels", {}).get(name) == value


class State:
    """One state of one object, when it was heard of."""

    def __init__(self, time_, item, is_deleted):
        self.time, self.item, self.is_deleted = time_, item, is_deleted
        meta = item["metadata"]
        self.namespace, self.name, self.uid = meta.get("namespace", ""), meta["name"], meta["uid"]
        self.generation = meta.get("generation", 0)


class Watch(threading.Thread):
    """All states of one kind, in the order in which they were stored."""

    def __init__(self, recorder, kind):
        super().__init__(daemon=True)
        self.recorder, self.kind, self.path = recorder, kind, KINDS[kind]
        self.version, self.process = None, None
        self.start()

    def run(self):
        while not self.recorder.is_closed:
            try:
                if self.version is None:
                    self.list()
                self.follow()
                self.recorder.reconnects.append(time.monotonic())
                time.sleep(0.05)  # the API server ends watches when it goes
            except (subprocess.CalledProcessError, ValueError):
                time.sleep(0.1)  # the API server is away; it is asked again until the recorder is closed

    def kubectl(self, **parameters):
        query = "&".join(f"{key}={value}" for key, value in parameters.items())
        path = self.path + ("&" if "?" in self.path else "?") + query
        return ["kubectl", "get", "--raw", path]

    def list(self):
        done = subprocess.run(self.kubectl(limit=0), env=self.recorder.env, text=True, capture_output=True, check=True)
        found = json.loads(done.stdout)
        for item in found["items"]:
            self.recorder.take(self.kind, item, False)
        self.version = found["metadata"]["resourceVersion"]

    def follow(self):
        self.process = subprocess.Popen(
            self.kubectl(watch="true", resourceVersion=self.version, allowWatchBookmarks="true"),
            env=self.recorder.env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        for line in self.process.stdout:
            event = json.loads(line)
            if event["type"] == "ERROR":
                self.version = None  # too old: the server was restarted, nothing was stored meanwhile
                break
            self.version = event["object"]["metadata"]["resourceVersion"]
            if event["type"] != "BOOKMARK":
                self.recorder.take(self.kind, event["object"], event["type"] == "DELETED")
        self.process.kill()
        self.process.wait()


class Recorder:
    """Records while it is open; use as a context manager."""

    def __init__(self, cluster):
        self.cluster, self.env = cluster, cluster.env
        self.news = threading.Condition()
        self.states = collections.defaultdict(list)  # (kind, namespace, name) -> [State]
        self.names = collections.defaultdict(set)  # (kind, namespace) -> names
        self.pods = collections.defaultdict(lambda: collections.defaultdict(list))  # namespace -> UID -> [State]
        self.documents = collections.defaultdict(dict)  # namespace -> generation -> configuration
        self.samples = collections.defaultdict(list)  # namespace -> [Sample]
        self.told = {}
        self.reconnects = []  # when a watch had to begin again
        self.late = []  # (when, by how much) the observer came late
        self.is_closed = False

    def __enter__(self):
        self.observer = self.cluster.exec([sys.executable, OBSERVER])
        threading.Thread(target=self.read_observer, daemon=True).start()
        self.watches = [Watch(self, kind) for kind in KINDS]
        return self

    def __exit__(self, *_):
        self.is_closed = True
        self.observer.stdin.close()
        for watch in self.watches:
            if watch.process:
                watch.process.kill()
        self.observer.wait(10)
        for watch in self.watches:
            watch.join(5)

    def take(self, kind, item, is_deleted):
        now = time.monotonic()
        item.setdefault("kind", {"tsite": "Site", "tlink": "Link", "tsvc": "Service"}.get(kind, kind))
        state = State(now, item, is_deleted)
        with self.news:
            known = self.states[kind, state.namespace, state.name]
            version = item["metadata"]["resourceVersion"]
            if not known or is_deleted or known[-1].item["metadata"]["resourceVersion"] != version:
                known.append(state)
                self.names[kind, state.namespace].add(state.name)
                if kind == "pod" and is_gateway(item):
                    self.pods[state.namespace][state.uid].append(state)
            if kind == "secret" and not is_deleted:
                self.take_document(item)
            self.news.notify_all()
        if kind in ("pod", "secret"):
            self.tell_observer(item["metadata"]["namespace"])

    def take_document(self, item):
        try:
            document = json.loads(base64.b64decode(item["data"]["configuration.json"]))
        except (KeyError, ValueError):
            return
        namespace = item["metadata"]["namespace"]
        self.documents[namespace][int(document["generation"])] = document["configuration"]
        self.documents[namespace]["key"] = document["snapshotKey"]

    # Gateways

    def gateways(self, namespace):
        """The states of each gateway pod of a namespace, by UID."""
        with self.news:
            return {uid: list(states) for uid, states in self.pods[namespace].items()}

    def tell_observer(self, namespace):
        key = self.documents[namespace].get("key")
        for uid, states in self.gateways(namespace).items():
            last = states[-1]
            address = None if last.is_deleted else last.item["status"].get("podIP")
            if self.told.get(uid) == (address, key) or not key and address:
                continue
            self.told[uid] = (address, key)
            try:
                self.observer.stdin.write(json.dumps(
                    {"uid": uid, "namespace": namespace, "address": address, "key": key}) + "\n")
                self.observer.stdin.flush()
            except (BrokenPipeError, ValueError):
                pass  # it is being closed

    def read_observer(self):
        for line in self.observer.stdout:
            sample = json.loads(line)
            if "late" in sample:
                self.late.append((sample["time"], sample["late"]))
                continue
            with self.news:
                self.samples[sample["namespace"]].append(sample)
                self.news.notify_all()

    # Questions

    def last(self, kind, namespace, name):
        with self.news:
            states = self.states.get((kind, namespace, name))
            return states[-1] if states else None

    def wait(self, what, probe, seconds):
        """Until `probe` gives something true; it is asked whenever something was heard of."""
        deadline = time.monotonic() + seconds
        with self.news:
            while not (found := probe()):
                left = deadline - time.monotonic()
                if left <= 0:
                    raise Failed(f"not within {seconds:g} s: {what}")
                self.news.wait(min(left, 0.5))
            return found
