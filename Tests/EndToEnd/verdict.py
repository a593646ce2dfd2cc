"""What GitOps tools make of an object, over every state of it that was ever stored."""
import json
import subprocess
import tempfile

from cluster import Failed, check, condition, wait

CURRENT, IN_PROGRESS, FAILED = "Current", "InProgress", "Failed"


def kstatus(item):
    """The verdict of kstatus on a custom resource, by its rules in their order."""
    status = item.get("status", {})
    if status.get("observedGeneration", item["metadata"]["generation"]) != item["metadata"]["generation"]:
        return IN_PROGRESS
    if condition(item, "Reconciling") == "True":
        return IN_PROGRESS
    if condition(item, "Stalled") == "True":
        return FAILED
    ready = condition(item, "Ready")
    return CURRENT if ready is None or ready == "True" else IN_PROGRESS


def broken_flux_rules(item):
    """Which rules of Flux's condition checker this state breaks."""
    generation = item["metadata"]["generation"]
    status = item.get("status", {})
    ready = condition(item, "Ready")
    reconciling, stalled = condition(item, "Reconciling") == "True", condition(item, "Stalled") == "True"
    observed = [one["observedGeneration"] for one in status.get("conditions", []) if "observedGeneration" in one]
    rules = {
        "Ready is always there": ready is not None,
        "Reconciling and Stalled are never both True": not (reconciling and stalled),
        "Ready is not True while Reconciling or Stalled is": ready != "True" or not (reconciling or stalled),
        "Ready is Unknown only while Reconciling": ready != "Unknown" or reconciling,
        "no observedGeneration is ahead": all(one <= generation for one in [status.get("observedGeneration", 0), *observed]),
        "Ready speaks of the generation that the status speaks of":
            condition(item, "Ready", "observedGeneration") == status.get("observedGeneration"),
    }
    return [rule for rule, holds in rules.items() if not holds]


class Recorder:
    """Every state of one object that is stored while it is open, by a watch from before the first."""

    def __init__(self, cluster, kind, namespace, name):
        self.cluster, self.kind, self.namespace, self.name = cluster, kind, namespace, name
        self.output = tempfile.NamedTemporaryFile("w")

    def __enter__(self):
        self.watch = subprocess.Popen(
            ["kubectl", "get", self.kind, "-n", self.namespace, "--watch", "-o", "json"],
            env=self.cluster.env, stdout=self.output, text=True)
        return self

    def __exit__(self, *_):
        self.watch.terminate()
        self.watch.wait(10)
        self.output.close()

    def states(self):
        """The states so far, each once, in the order in which they were stored."""
        # By a descriptor of its own: kubectl goes on where its one stands, which seeking for a read would move.
        with open(self.output.name) as written:
            text, states, place = written.read(), {}, 0
        while (place := text.find("{", place)) >= 0:
            try:
                item, place = json.JSONDecoder().raw_decode(text, place)
            except ValueError:
                break
            for one in item.get("items", [item]):
                if one["metadata"]["name"] == self.name:
                    states[one["metadata"]["resourceVersion"]] = one
        return list(states.values())

    def wait_for(self, generation, verdict, seconds=30):
        """Until a stored state of that generation has that verdict."""
        def reached():
            check(self.watch.poll() is None, f"the watch of {self.kind} ended: {self.watch.returncode}")
            return any(one["metadata"]["generation"] == generation and kstatus(one) == verdict for one in self.states())

        try:
            wait(f"{self.kind} {self.namespace}/{self.name}: {verdict} at generation {generation}", reached, seconds)
        except Failed as failure:
            raise Failed(f"{failure}; the stored states: {[brief(one) for one in self.states()]}") from None


def brief(item):
    """What a state says, for a message."""
    conditions = item.get("status", {}).get("conditions", [])
    said = {one["type"]: (one["status"], one["reason"], one.get("observedGeneration")) for one in conditions}
    return item["metadata"]["generation"], said
