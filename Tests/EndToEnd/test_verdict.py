"""The verdict belongs to the generation: kstatus's and Flux's rules over every state that was stored."""
from argocd import faults
from cluster import check, condition, wait
from histories import HISTORIES
from network import API, service
from record import Recorder as Recording
from run_histories import Runner
from test_input import BASE32, removed
from verdict import CURRENT, FAILED, IN_PROGRESS, Recorder, broken_flux_rules, kstatus


def judge(states, expected):
    """`expected`: the one verdict, beside in progress, that each generation may get."""
    check(states and kstatus(states[0]) == IN_PROGRESS, "K4: the first state that is stored is in progress")
    for item in states:
        generation, verdict = item["metadata"]["generation"], kstatus(item)
        check(verdict in (IN_PROGRESS, expected[generation]), f"generation {generation} is {verdict}: {item['status']}")
        check(not broken_flux_rules(item), f"{broken_flux_rules(item)}: {item['status']}")
    check(not faults(states), f"Argo CD would think otherwise: {faults(states)}")
    print(f"   {len(states)} stored states: {' '.join(kstatus(one) for one in states)}")


def test_k5_no_verdict_on_a_link_before_its_generation_was_judged(net):
    with removed(net, ("tlink", "a", "verdict")), Recorder(net.cluster, "tlink", "a", "verdict") as recorder:
        net.declare_link("a", "b", name="verdict", site_id=BASE32)
        recorder.wait_for(1, FAILED)
        right = {"spec": {"remoteSiteID": net.ids["b"]}}
        wrong = {"spec": {"remoteSiteID": BASE32}}
        for generation, (body, verdict) in enumerate([(right, CURRENT), (wrong, FAILED), (right, CURRENT)], start=2):
            net.cluster.patch("tlink", "a", "verdict", body)
            recorder.wait_for(generation, verdict)
        wait("Connected", lambda: condition(recorder.states()[-1], "Connected") == "True")
        judge(recorder.states(), {1: FAILED, 2: CURRENT, 3: FAILED, 4: CURRENT})


def test_k14_a_link_to_nobody_and_a_service_without_targets_are_ready(net):
    with removed(net, ("tlink", "a", "nobody"), ("tsvc", "a", "nobody")), \
            Recorder(net.cluster, "tlink", "a", "nobody") as link, Recorder(net.cluster, "tsvc", "a", "nobody") as offer:
        net.cluster.apply(
            {"apiVersion": API, "kind": "Link", "metadata": {"name": "nobody", "namespace": "a"},
             "spec": {"endpoints": [{"host": "127.0.0.1", "port": 9}], "remoteSiteID": net.ids["c"]}},
            service("a", "nobody"))
        link.wait_for(1, CURRENT)
        offer.wait_for(1, CURRENT)
        wait("Connected=False", lambda: condition(link.states()[-1], "Connected") == "False")
        wait("HasTargets=False", lambda: condition(offer.states()[-1], "HasTargets") == "False")
        check(condition(link.states()[-1], "Ready") == "True", "a Link to nobody is Ready")
        check(condition(offer.states()[-1], "Ready") == "True", "a Service without targets is Ready")
        judge(link.states(), {1: CURRENT})
        judge(offer.states(), {1: CURRENT})


def test_k5_the_sharpest_histories(net):
    """A reduced form of hack/histories.sh: every stored state of some histories, judged by verdict and by truth."""
    with Recording(net.cluster) as recorder:
        runner = Runner(net.cluster, recorder)
        runner.run_all([one for one in HISTORIES if one["ci"]], workers=3)
    check(not runner.failed, f"{len(runner.failed)} of {len(runner.failed) + len(runner.held)} histories failed: {runner.failed}")
    check(len(runner.held) == 8, f"{len(runner.held)} histories ran")
