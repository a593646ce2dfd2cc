"""Joining by a token, step by step: what is on the way is stopped at the gate, a gateway is killed, and what is on the way goes on.

`sites` are in a cluster (test_kills.py) or plain ones (test_joining.py): `host` lets others in, at the address of the gate; `guest` joins; `other` is late.
"""
import json
import pathlib
import sys
import time

from cluster import check, wait

PROGRAM = [sys.executable, str(pathlib.Path(__file__).with_name("gate.py"))]
PORT = "5671"
CONFIGURATIONS = "tieline_configurations_applied_total"
BOUND = 30  # seconds until a site is linked, whoever was killed
# What stops nothing at the gate.
UNWRITTEN = "the claim is known and not written down"
DIALED = ["dialer", 0, 0]


def steps(lane):
    """Where the first lane is stopped, by what has been done until then; `lane` is one that was refused, without a kill."""
    claim, answer = len(lane["dialer"]) - 1, len(lane["acceptor"]) - 2  # the acceptor closes it
    check(claim > 1 and answer > 1, f"a handshake, a claim, and its answer: {lane}")
    return {
        "a lane is dialed": DIALED, "the handshake is half done": ["dialer", 1, 0], "the claim is next": ["dialer", claim, 0],
        "half of the claim is sent": ["dialer", claim, 0.5], "the claim is sent": ["acceptor", answer, 0],
        "half of the answer is sent": ["acceptor", answer, 0.5]}


def let_in(places):
    """The same of the lanes that come once the site is let in: what was the answer is a greeting."""
    return {"the site is let in": DIALED, "its first lane is greeted": places["half of the answer is sent"]}


class Gate:
    def __init__(self, process):
        self.process = process

    def ask(self, do, **rest):
        self.process.stdin.write(json.dumps({"do": do, **rest}) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def wait(self):
        wait("a lane stands there", lambda: self.ask("report")["stopped"], 20, every=0.01)

    def lanes(self):
        return self.ask("report")["lanes"]


def at_each_step(sites):
    before = len(sites.gate.lanes())
    token = issued(sites)
    sites.join("guest", token)
    ends_well(sites, token)
    places = steps(sites.gate.lanes()[before])
    kills = [(stopped_with_the_claim, *step) for step in places.items()] + [(held_back, UNWRITTEN, None)]
    for killed, name, at in kills + [(stopped_when_let_in, *step) for step in let_in(places).items()]:
        for victim in ("host", "guest"):
            sites.settle()
            token = issued(sites)
            began = killed(sites, victim, token, at)
            wait(f"it is linked, though {victim} was killed when {name}", lambda: sites.connected("guest").get("status") == "True", BOUND)
            print(f"   when {name}, {victim} is killed: linked {time.monotonic() - began:.1f} s later", flush=True)
            ends_well(sites, token)


def issued(sites):
    """A token that the gateway knows."""
    before = sites.configurations()
    token = sites.issue()
    wait("the gateway knows the token", lambda: sites.configurations() > before)
    return token


def stopped_with_the_claim(sites, victim, token, at):
    sites.gate.ask("stop", at=at, new=True)
    sites.join("guest", token)
    sites.gate.wait()
    check(at[0] == "acceptor" or not sites.admitted(), f"nobody is let in by what was not sent: {sites.admitted()}")
    return kill(sites, victim)


def held_back(sites, victim, token, _):
    with sites.nothing_written():
        claimed(sites, token)
        return kill(sites, victim)


def stopped_when_let_in(sites, victim, token, at):
    with sites.nothing_written():
        claimed(sites, token)
        sites.gate.ask("stop", at=DIALED, new=True)
    wait("the site is let in", lambda: sites.admitted() and sites.claims() == [], 40)
    sites.gate.wait()
    if at != DIALED:
        sites.gate.ask("stop", at=at)
        sites.gate.wait()
    return kill(sites, victim)


def claimed(sites, token):
    sites.join("guest", token)
    wait("the claim is known", lambda: sites.claims() == [sites.ids["guest"]], 40)


def kill(sites, victim):
    """When it was."""
    sites.kill(victim)
    began = time.monotonic()
    sites.gate.ask("go")
    sites.start(victim)
    return began


def ends_well(sites, token):
    """The site is let in once, the token lets nobody else in, and nothing is left when it goes."""
    wait("it is linked", lambda: sites.connected("guest").get("status") == "True", BOUND)
    check(sites.admitted() == [sites.ids["guest"]], f"it came once: {sites.admitted()}")
    sites.join("other", token)
    told = wait("another site is told", lambda: "was used by" in sites.connected("other").get("message", "") and sites.connected("other"), 40)
    check((told["status"], told["reason"]) == ("False", "NotAllowed"), f"{told}")
    check(sites.admitted() == [sites.ids["guest"]], f"it gets nothing: {sites.admitted()}")
    sites.clean()
