"""What was true when a status was stored, judged without it: by what was stored of other kinds, and what gateways told.

The judge hears of a fact and of the status that rests on it over different ways, so a fact counts that was heard of up to
SLACK after the status; on a busy machine that much later by which the one who hears of facts was late himself. What changes
by itself (a pod that is lost, a link) may stand in a status for LAG longer than it holds.
"""
from cluster import condition
from verdict import CURRENT, kstatus

SLACK = 0.1
LAG = 2.0


class Truth:
    def __init__(self, recorder):
        self.recorder = recorder

    # States at a time

    def is_after_gap(self, state):
        """Whether states may be missing before this one: a restart, or another schema, had ended the watches."""
        return any(abs(state.time - one) < LAG for one in self.recorder.reconnects)

    def slack(self, state):
        """After a gap the watches are back one by one."""
        return LAG if self.is_after_gap(state) else min(LAG, SLACK + self.lateness(state.time))

    def lateness(self, time):
        """By how much the observer was late in the second after that, all together: it wakes more than once for one fact."""
        return sum(late for at, late in list(self.recorder.late) if time <= at <= time + 1)

    def during(self, kind, namespace, name, since, until):
        """The states that held at some time in between."""
        with self.recorder.news:
            states = list(self.recorder.states.get((kind, namespace, name), []))
        ends = [one.time for one in states[1:]] + [float("inf")]
        return [one for one, end in zip(states, ends) if one.time <= until and end >= since and not one.is_deleted]

    @staticmethod
    def is_serving(state):
        return condition(state.item, "Ready") == "True" and "deletionTimestamp" not in state.item["metadata"]

    def serving(self, namespace, since, until):
        """UIDs of the gateways that served all the time, and of those that did at some time."""
        always, ever = [], []
        for uid, states in self.recorder.gateways(namespace).items():
            ends = [one.time for one in states[1:]] + [float("inf")]
            held = [one for one, end in zip(states, ends) if one.time <= until and end >= since]
            serves = [self.is_serving(one) and not one.is_deleted for one in held]
            if held and all(serves) and held[0].time <= since:
                always.append(uid)
            if any(serves):
                ever.append(uid)
        return always, ever

    def samples(self, namespace, uid, since, until):
        """What a gateway told at some time in between: the last word before counts as well."""
        with self.recorder.news:
            own = [one for one in self.recorder.samples[namespace] if one["uid"] == uid and one["time"] <= until]
        return [one for one, later in zip(own, [*own[1:], None]) if later is None or later["time"] >= since]

    # Current

    def problems(self, state):
        """Why what this state says is not true; empty when it is."""
        if "deletionTimestamp" in state.item["metadata"]:
            return []
        kind = state.item["kind"]
        found = []
        if kstatus(state.item) == CURRENT:
            found += {"Site": self.site, "Link": self.link, "Service": self.service}[kind](state)
        if kind == "Link":
            found += self.claim(state, "Connected", self.is_connected(state))
        if kind == "Service":
            found += self.claim(state, "HasTargets", self.has_targets(state))
            found += self.selected(state)
        return found

    def applied(self, state, part, wanted):
        """Every gateway that served, and every sidecar that they know, works with a configuration whose `part` is `wanted`."""
        until = state.time + self.slack(state)
        always, ever = self.serving(state.namespace, state.time - LAG / 2, until)
        if not ever:
            return ["no gateway serves"]
        problems = []
        documents = self.recorder.documents[state.namespace]
        for uid in always:
            told = self.samples(state.namespace, uid, state.time, until)
            generations = [[one["generation"], *filter(None, one["sidecars"])] for one in told]
            if not told:
                problems.append("a gateway that serves has told nothing")
            elif not any(all(part(documents[number]) == wanted for number in one) for one in generations):
                behind = [part(documents[number]) for number in generations[-1] if part(documents[number]) != wanted]
                problems.append(f"a gateway or a sidecar has {behind}, not {wanted}")
        return problems

    def link(self, state):
        spec = state.item["spec"]
        wanted = (spec["remoteSiteID"], spec.get("cost", 1), [(one["host"], one["port"]) for one in spec["endpoints"]])

        def part(configuration):
            return next(((one["remoteSite"], one["cost"], [(end["host"], end["port"]) for end in one["endpoints"]])
                         for one in configuration["links"] if one["name"] == state.name), None)

        return self.applied(state, part, wanted)

    def service(self, state):
        spec = state.item["spec"]
        is_provider = "selector" in spec or "hosts" in spec
        listen = spec.get("listen", {})
        listens = listen.get("enabled", not is_provider)
        wanted = (spec.get("address", state.name), sorted((one["name"], one["port"]) for one in spec["ports"]),
                  listens, sorted(spec.get("hosts", [])), "selector" in spec)

        def part(configuration):
            for one in configuration["services"]:
                if one["name"] == state.name:
                    provider = one.get("provider") or {}
                    return (one["address"], sorted((port["name"], port["port"]) for port in one["ports"]),
                            all(port.get("listen") for port in one["ports"]),
                            sorted(hosts(provider)), "endpointSlices" in provider)
            return None

        problems = self.applied(state, part, wanted)
        if listens:
            problems += self.core_service(
                state, listen.get("serviceName", state.name),
                lambda found: sorted((one["name"], one["port"]) for one in found["ports"]) == wanted[1])
        if "selector" in spec:
            with self.recorder.news:
                names = [name for name in self.recorder.names["service", state.namespace] if "-tl-" in name]
            owned = [one for name in names for one in self.during(
                "service", state.namespace, name, state.time - LAG, state.time + self.slack(state))]
            if not any(one.item["spec"].get("selector") == spec["selector"] and one.item["metadata"].get(
                    "ownerReferences", [{}])[0].get("uid") == state.uid for one in owned):
                problems.append("no core Service has its selector")
        return problems

    def core_service(self, state, name, fits):
        found = self.during("service", state.namespace, name, state.time - LAG, state.time + self.slack(state))
        if not any(fits(one.item["spec"]) for one in found):
            return [f"the core Service {name} is not as wanted: {[one.item['spec'] for one in found]}"]
        return []

    def site(self, state):
        spec = state.item["spec"]
        proxy = spec.get("proxy", {})
        wanted = proxy.get("replicas", 2)
        problems = []
        deployments = self.during("deployment", state.namespace, "tieline-proxy", state.time - LAG, state.time + self.slack(state))
        if not any(rolled_out(one.item, wanted, proxy.get("podAnnotations", {})) for one in deployments):
            last = deployments[-1].item if deployments else {}
            problems.append(f"the gateways are not rolled out: {last.get('spec', {}).get('replicas')} wanted, "
                            f"generation {last.get('metadata', {}).get('generation')}, {last.get('status')}")
        allow = sorted(one["siteID"] for one in spec.get("allow", []))
        problems += self.applied(
            state, lambda one: (sorted(entry["id"] for entry in one["allow"]), one["acceptsLinks"]),
            (allow, "linkAccess" in spec))
        if "linkAccess" in spec:
            problems += self.core_service(state, "tieline-link", lambda _: True)
            if not state.item["status"].get("endpoints"):
                problems.append("it has no endpoints")
        return problems

    # What depends on others

    def claim(self, state, type_, held):
        """`held`: what was true of it at some time shortly before, as a set of True and False."""
        status = condition(state.item, type_)
        if condition(state.item, type_, "observedGeneration") != state.generation or status not in ("True", "False"):
            return []
        if condition(state.item, "Accepted") == "False" or not held or (status == "True") in held:
            return []
        return [f"{type_}={status} ({condition(state.item, type_, 'reason')}), gateways say otherwise"]

    def told(self, state, says):
        """What some gateway said, at any time within LAG, put together; a set of answers."""
        since, until = state.time - LAG, state.time + self.slack(state)
        _, ever = self.serving(state.namespace, since, until)
        told = {uid: self.samples(state.namespace, uid, since, until) for uid in ever}
        times = sorted({since, *(max(one["time"], since) for found in told.values() for one in found)})
        answers = set()
        for time in times:
            latest = [[one for one in found if one["time"] <= time][-1:] for found in told.values()]
            latest = [one[0] for one in latest if one]
            if latest:
                answers.add(any(says(one) for one in latest))
        return answers

    def is_connected(self, state):
        wanted = state.item["spec"]["remoteSiteID"]
        return self.told(state, lambda sample: any(
            link["name"] == state.name and link["reason"] == "Connected" and link["remote"] == wanted
            for link in sample["links"]))

    def has_targets(self, state):
        address = state.item["spec"].get("address", state.name)
        return self.told(state, lambda sample: any(
            one["service"].split("/")[0] == address and any(target["state"] == "Usable" for target in one["targets"])
            for one in sample["services"]))

    def selected(self, state):
        """A Service that says it has targets, and can have local ones only, selects a pod that is ready."""
        spec = state.item["spec"]
        if condition(state.item, "HasTargets") != "True" or "selector" not in spec \
                or condition(state.item, "HasTargets", "observedGeneration") != state.generation \
                or any(target["via"] != "local" for target in state.item["status"].get("targets", [])):
            return []
        since, until = state.time - LAG, state.time + self.slack(state)
        with self.recorder.news:
            names = list(self.recorder.names["pod", state.namespace])
        for name in names:
            for pod in self.during("pod", state.namespace, name, since, until):
                labels = pod.item["metadata"].get("labels", {})
                if condition(pod.item, "Ready") == "True" and spec["selector"].items() <= labels.items():
                    return []
        return [f"HasTargets=True, and no ready pod has {spec['selector']}"]


def hosts(provider):
    found = provider.get("hosts", [])
    return found.get("_0", []) if isinstance(found, dict) else found


def rolled_out(deployment, replicas, annotations):
    """By the rules of `kubectl rollout status`, and no gateway too many."""
    status = deployment.get("status", {})
    template = deployment["spec"]["template"]["metadata"].get("annotations", {})
    numbers = [status.get(field, 0) for field in ("replicas", "updatedReplicas", "availableReplicas")]
    return (deployment["spec"]["replicas"] == replicas
            and status.get("observedGeneration") == deployment["metadata"]["generation"]
            and numbers == [replicas] * 3 and annotations.items() <= template.items())
