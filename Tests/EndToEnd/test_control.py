"""The data plane needs nobody: the controller and the API server go away under load."""
import os
import signal
import time

from cluster import Failed, check, wait
from network import service
from test_balance import offer
from traffic import Hold, Run, expect_undisturbed

CONTROLLER = "app.kubernetes.io/component=controller"


def test_a_controller_restart_changes_nothing(net):
    address = offer(net, "ctl", {"b": "s"}, {("a", "b"): 1})

    def state():
        version = net.cluster.get("secret", "a", "tieline-proxy")["metadata"]["resourceVersion"]
        applied = {site: net.metric(site, "tieline_configurations_applied_total", required=True) for site in "abcd"}
        check(min(applied.values()) >= 1, f"every site has applied a configuration: {applied}")
        return version, applied

    def renewed():
        return net.cluster.get("lease", "tieline-system", "tieline-controller")["spec"]["renewTime"]

    def active():
        return net.cluster.get("tsvc", "a", "ctl")["status"]["connections"]["active"]

    def wait_active(count):
        try:
            wait(f"{count} connections are in status", lambda: active() == count, 30)
        except Failed:
            print(f"   active: {active()}, by the gateway's metrics: {net.metric('a', 'tieline_connections_active')}")
            print(net.cluster.kubectl("get", "tsvc", "-n", "a", "ctl", "-o", "yaml"))
            raise

    with Run(net.cluster, "flow", address, count=100, seconds=120) as flow:
        check(flow.line()["flowing"] == 100, "100 connections flow")
        wait_active(100)
        before = state()
        controllers = net.cluster.pods("tieline-system", CONTROLLER)
        check(len(controllers) == 2, f"two controllers run: {controllers}")
        pids = [net.cluster.pid(pod) for pod in controllers]
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        # Until then it may renew its lease.
        wait("both have ended", lambda: not any(os.path.exists(f"/proc/{pid}") for pid in pids))
        last = renewed()
        wait("a controller leads again", lambda: renewed() != last, 40)
        with Hold(net.cluster, address) as clients:
            clients.open(7)
            wait_active(107)
        result = flow.result()
    after = state()
    print(f"   controllers killed under 100 flows: {result}; Secret and applied counters {before} -> {after}")
    expect_undisturbed(result, 100)
    check(after == before, f"{before} -> {after}")


def test_the_api_server_is_away_for_a_minute(net):
    address = offer(net, "api", {"b": "s", "d": "s"}, {("a", "b"): 1, ("a", "d"): 1})  # both are used
    net.cluster.apply(service("c", "own", selector="s"))
    net.wait_targets("c", "own", {"c": 1})
    idle = net.gateways("c", 1)[0]
    port = net.cluster.get("service", "c", "own")["spec"]["ports"][0]["targetPort"]
    own = f"{idle['status']['podIP']}:{port}"
    old = {net.cluster.wait_ready(where, "app=s", 1)[0]["metadata"]["name"] for where in "bd"}
    with Run(net.cluster, "load", address, rate=50, seconds=300) as load:
        wait("both servers serve", lambda: serving(load) == old)
        net.cluster.script("apiserver", "stop")
        began = time.monotonic()
        try:
            restart_gateway(net, idle, own)
            time.sleep(max(0, 60 - (time.monotonic() - began)))  # the minute without an API server is the test
        finally:
            net.cluster.script("apiserver", "start")
        wait("kubectl works again", lambda: net.cluster.kubectl("get", "nodes"), 30)
        new = {replace(net, where) for where in "bd"}
        wait("the new servers serve", lambda: new <= serving(load))
        wait("the old ones are gone", lambda: not old & {
            pod["metadata"]["name"] for where in "bd" for pod in net.cluster.pods(where, "app=s", terminating=True)})
        settled = load.ask("report")["seconds"]
        wait("5 s of load more", lambda: load.ask("report")["seconds"] >= settled + 5, every=0.5)
        result = load.stop()
    print(f"   API server away for 60 s, then two workload pods replaced: {result}")
    check(set(result["endings"]) == {"done"}, f"{result}")
    # For 30 s an API server that was started may deny writes, as its policies know no custom resource yet; the controller asks
    # again after 30 s at most. No test that comes next should have to wait for that.
    net.cluster.apply(service("c", "later", selector="s"))
    net.wait_targets("c", "later", {"c": 1}, 90)


def serving(load):
    """The pods that have answered."""
    return {name.split("/")[1] for name in load.ask("report")["servers"]}


def replace(net, where):
    old = net.cluster.wait_ready(where, "app=s", 1)[0]["metadata"]["name"]
    net.cluster.kubectl("delete", "pod", "-n", where, old, "--wait=false")
    fresh = wait(f"another pod at {where}",
                 lambda: [pod for pod in net.cluster.ready_pods(where, "app=s") if pod["metadata"]["name"] != old])
    return fresh[0]["metadata"]["name"]


def restart_gateway(net, pod, address):
    """A gateway container that restarts while the API server is away serves again, from what it kept."""
    os.kill(net.cluster.pid(pod), signal.SIGKILL)

    def serves():
        with Hold(net.cluster, address, timeout=1) as clients:
            return sum(clients.attempt(1).values()) == 1

    wait("the restarted gateway serves", serves)
    print("   a gateway killed while the API server was away serves again")
