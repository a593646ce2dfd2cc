"""What is there for a run and how it became so, as {path: leaf}: what is compared with the runs without a fault.

What every run has anew is said by what it was before the workload: a UID, an address or a key is "as before", or "new".
"""
import base64
import collections
import contextlib
import hashlib
import http.client
import json
import pathlib
import ssl

from cluster import check, condition
from network import API as OURS

OUR_KINDS = [f"/apis/{OURS}/{plural}" for plural in ("sites", "links", "services")]
CHILDREN = ["/api/v1/services", "/api/v1/secrets", "/api/v1/serviceaccounts", "/apis/apps/v1/deployments",
            "/apis/rbac.authorization.k8s.io/v1/rolebindings", "/apis/discovery.k8s.io/v1/endpointslices",
            "/apis/policy/v1/poddisruptionbudgets"]
PODS, EVENTS = "/api/v1/pods", "/apis/events.k8s.io/v1/events"
MANAGED_BY = "app.kubernetes.io/managed-by"
GATEWAY = ("app.kubernetes.io/name", "tieline-proxy")
CONFIGURATION = "configuration.json"
GRANTS = "tieline-grants"
# Of this number a run with a fault may have less: two steps that a fault-free run writes one by one can become one.
AT_MOST = ".changes"


def state_of(cluster):
    """Where the API server of a cluster keeps its port and keys."""
    return pathlib.Path(cluster.env["KUBECONFIG"]).parent


class API:
    """Asks the API server itself: some thousand looks would cost more as processes than all that is tested."""

    def __init__(self, cluster):
        state = state_of(cluster)
        self.context = ssl.create_default_context(cafile=state / "pki" / "ca.crt")
        self.port = int((state / "port").read_text())
        self.headers = {"Authorization": f"Bearer {(state / 'admin.token').read_text().strip()}"}

    def get(self, path):
        """The object; None when it is not there."""
        with self.connected() as connection:
            return self.ask(connection, "GET", path)

    def patch(self, path, body):
        with self.connected() as connection:
            check(self.ask(connection, "PATCH", path, json.dumps(body)), f"{path} is not there")

    def connected(self):
        # Closed after each look, and opened by the next: the server ends connections that rest.
        return contextlib.closing(http.client.HTTPSConnection("127.0.0.1", self.port, context=self.context, timeout=30))

    def ask(self, connection, method, path, body=None):
        connection.request(method, path, body, {**self.headers, "Content-Type": "application/merge-patch+json"})
        answer = connection.getresponse()
        text = answer.read()
        if answer.status == 404:
            return None
        check(answer.status == 200, f"{method} {path}: {answer.status} {text[:300]}")
        return json.loads(text)

    def list(self, paths):
        items = []
        with self.connected() as connection:
            for path in paths:
                found = self.ask(connection, "GET", path)
                kind = {"apiVersion": found["apiVersion"], "kind": found["kind"].removesuffix("List")}
                items += [{**kind, **item} for item in found["items"]]
        return items

    def of_places(self, places):
        """All that is looked at, by place."""
        homes = {where: place for place in places for where in place.all}
        found = {place: [] for place in places}
        for item in self.list([*OUR_KINDS, *CHILDREN, PODS, EVENTS]):
            if (place := homes.get(item["metadata"]["namespace"])) and is_looked_at(item):
                found[place].append(item)
        return found


def is_looked_at(item):
    labels = item["metadata"].get("labels", {})
    match item["kind"]:
        case "Event":
            return item.get("reportingController") == "tieline.dev/controller"
        case "Pod":
            return labels.get(GATEWAY[0]) == GATEWAY[1] and "deletionTimestamp" not in item["metadata"]
        case "EndpointSlice" if labels.get("endpointslice.kubernetes.io/managed-by") == "endpointslice-controller.k8s.io":
            return False  # the cluster's own, with the labels of the Service
    return item["apiVersion"] == OURS or labels.get(MANAGED_BY) == "tieline" or item["metadata"]["name"] == GRANTS


def settled(api, places):
    """Whether fault-free runs have come to their end: every object judged and Ready, and no gateway that goes."""
    names = {where for place in places for where in place.all}
    for item in api.list([*OUR_KINDS, PODS]):
        if item["metadata"]["namespace"] not in names:
            continue
        if item["kind"] == "Pod":
            if "deletionTimestamp" in item["metadata"]:
                return False
        elif item.get("status", {}).get("observedGeneration") != item["metadata"]["generation"]:
            return False
        elif condition(item, "Ready") != "True":
            return False
    return True


def place_of(item, place):
    """NAMESPACE/KIND/NAME, with the same words for every run."""
    kind = f"tieline {item['kind']}" if item["apiVersion"] == OURS else item["kind"]
    return f"{item['metadata']['namespace']}/{kind}/{item['metadata']['name']}".replace(place.name, "PLACE")


def values(item):
    """What a Secret keeps, by name; the configuration has one key among other things."""
    for name, text in item.get("data", {}).items():
        if item["metadata"]["name"] == GRANTS:
            # Its name and its key are random: what matters is for how many it is, and how many came.
            grant = json.loads(base64.b64decode(text))
            yield f"a grant for {grant['uses']}, by which {len(grant['admitted'])} came", ""
        elif name == CONFIGURATION:
            yield "snapshotKey", json.loads(base64.b64decode(text))["snapshotKey"]
        elif not name.startswith("services-"):
            yield name, text


def site_ids(item):
    return {field: item.get("status", {}).get(field) for field in ("siteID", "nextSiteID", "previousSiteID")}


class Before:
    """What there was before a workload began, of what must stay the same, or become another one."""

    def __init__(self, items, place):
        self.place = place
        self.uids, self.addresses, self.changes, self.keys, self.ids = {}, {}, {}, {}, {}
        self.restarts, self.events = {}, set()
        for item in items:
            meta, where = item["metadata"], place_of(item, place)
            self.uids[where] = meta["uid"]
            match item["kind"]:
                case "Event":
                    self.events.add(meta["uid"])
                case "Pod":
                    self.restarts[meta["uid"]] = restarts(item)
                case "Secret":
                    self.keys |= {digest(value): f"{meta['name']}/{name}" for name, value in values(item)}
                case "Deployment":
                    self.changes[meta["uid"]] = meta["generation"]
                case "Service" if item["apiVersion"] == "v1":
                    self.addresses[where] = item["spec"].get("clusterIP")
                case "Site":
                    self.ids |= {one: field for field, one in site_ids(item).items() if one}


def digest(text):
    return hashlib.sha256(text.encode()).hexdigest()


def restarts(pod):
    return sum(entry["restartCount"] for entry in pod.get("status", {}).get("containerStatuses", []))


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


def meaning(item, before):
    """What of an object is compared: not what every run has anew."""
    meta, where = item["metadata"], place_of(item, before.place)
    kept = {"uid": "as before" if before.uids.get(where) == meta["uid"] else "new",
            "labels": meta.get("labels"), "annotations": sorted(meta.get("annotations") or {}),
            "finalizers": meta.get("finalizers"),
            "owners": [[owner["kind"], owner["name"]] for owner in meta.get("ownerReferences", [])]}
    for field in ("spec", "subjects", "roleRef", "endpoints", "ports"):
        if field in item:
            kept[field] = item[field]
    match item["kind"]:
        case "Secret":
            kept["data"] = {name: before.keys.get(digest(value), "new") for name, value in values(item)}
            if text := item.get("data", {}).get(CONFIGURATION):
                kept["configuration"] = configuration(json.loads(base64.b64decode(text)))
        case "Deployment":
            kept["changes"] = meta["generation"] - before.changes.get(meta["uid"], 0)
        case "Service" if item["apiVersion"] == "v1":
            address = item["spec"].pop("clusterIP", None)
            item["spec"].pop("clusterIPs", None)
            kept["address"] = address if address == "None" else (
                "as before" if before.addresses.get(where) == address else "new")
    if item["apiVersion"] == OURS:
        status = item.get("status", {})
        kept["conditions"] = [{key: entry[key] for key in ("type", "status", "reason")}
                              for entry in status.get("conditions", [])]
        kept["isObserved"] = status.get("observedGeneration") == meta["generation"]
        kept["appliedCost"] = status.get("appliedCost")
        kept["ids"] = {field: before.ids.get(one, "new") for field, one in site_ids(item).items() if one}
    return kept


def configuration(head):
    """What the gateways are told, without the ports, which are given out in the order in which Services are heard of."""
    told = head["configuration"]
    return {"links": {link["name"]: link["cost"] for link in told["links"]},
            "services": {service["name"]: [{**port, "listen": bool(port.get("listen"))} for port in service["ports"]]
                         for service in told["services"]}}


def gateways(pods, before):
    """None is replaced or restarted but where that is meant."""
    kept = [pod for pod in pods if pod["metadata"]["uid"] in before.restarts]
    return {"kept": len(kept), "new": len(pods) - len(kept),
            "restarts": sum(restarts(pod) - before.restarts.get(pod["metadata"]["uid"], 0) for pod in pods)}


def told(events, before):
    """How often each Event was told since, by reason and object: none is lost, and none is told twice."""
    counts = collections.Counter()
    for event in events:
        about = event["regarding"]
        if event["metadata"]["uid"] not in before.events:
            times = event.get("series", {}).get("count") or event.get("deprecatedCount") or 1
            counts[f"{about['namespace']}/{about['kind']}/{about['name']}/{event['reason']}"] += times
    return counts


def state(items, before):
    """A run's state as {path: leaf}."""
    of = collections.defaultdict(list)
    for item in items:
        of[item["kind"] if item["kind"] in ("Pod", "Event") else "objects"].append(item)
    objects = {place_of(item, before.place): meaning(item, before) for item in of["objects"]}
    whole = {**with_named_ports(objects), "gateways": gateways(of["Pod"], before), "events": told(of["Event"], before)}
    return leaves(json.loads(json.dumps(whole).replace(before.place.name, "PLACE")))


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
