"""Histories of Sites, Links and Services as data: a title, what has to be there before, and steps.

A step is one of the functions below; what it returns is a plain tuple that `run_histories.py` carries out. Objects are named
KIND:NAME for the near namespace, or KIND@far:NAME. In a spec, "$far" is the far site's identity, "$far.endpoints" where it is
reached; "$near" likewise. After `make` and `edit` the verdict is waited for unless the step is `quick`; no state that is ever
stored of that generation may get another one, beside in progress.
"""
from verdict import CURRENT, FAILED, IN_PROGRESS

BARE, SITES = "two empty namespaces", "two sites"


def make(what, spec, verdict=CURRENT, quick=False):
    return ("make", what, spec, verdict, quick)


def edit(what, spec, verdict=CURRENT, quick=False):
    return ("edit", what, spec, verdict, quick)


def refused(what, spec):
    """The API server does not let it in, and nothing is stored."""
    return ("refused", what, spec)


def until(what, verdict=None, **conditions):
    return ("until", what, verdict, conditions)


def kubectl_wait(what, condition):
    """As a user waits; when it returns, the condition holds for the present generation."""
    return ("kubectl_wait", what, condition)


def may(what, verdict):
    """From here on, and without another spec, its present generation may get this verdict too."""
    return ("may", what, verdict)


def delete(what):
    return ("delete", what)


def do(action, *arguments):
    return ("do", action, *arguments)


def history(title, place, *steps, group=None, ci=False):
    return {"title": title, "place": place, "steps": steps, "group": group, "ci": ci}


AWAY = "A" * 26
DEAD = [{"host": "127.0.0.1", "port": 9}]
SITE = {"linkAccess": {"type": "ClusterIP"}, "proxy": {"replicas": 1}, "drain": {"delay": "0s", "grace": "1s"}}
LINK = {"endpoints": "$far.endpoints", "remoteSiteID": "$far"}
OFFER = {"ports": [{"name": "tcp", "port": 8080}], "selector": {"app": "web"}, "listen": {"enabled": True}}
# What the schema lets in and nobody can use, and the way back.
NO_HOST = {"ports": OFFER["ports"], "hosts": ["0.0.0.0"], "listen": OFFER["listen"]}
BREAK, MEND = {"selector": None, "hosts": NO_HOST["hosts"]}, {"selector": OFFER["selector"], "hosts": None}
USE = {"ports": [{"name": "tcp", "port": 8080}]}


# A frozen neighbor is given up after five seconds only.
PATIENT = {"health": {"heartbeat": "1s", "misses": 5}}


def port(number, name="tcp"):
    return {"ports": [{"name": name, "port": number, "targetPort": 8080}]}


def proxy(**fields):
    return {"proxy": {"replicas": 1, **fields}}


S, L, V = "site:near", "link:x", "service:x"
UP, DOWN = {"Connected": "True"}, {"Connected": "False"}
HAS, LACKS = {"HasTargets": "True"}, {"HasTargets": "False"}

SITE_HISTORIES = [
    history("site: created", BARE, make(S, SITE), ci=True),
    history("site: waited for with kubectl", BARE, make(S, SITE, quick=True), kubectl_wait(S, "Ready"),
            kubectl_wait(S, "Reachable"), edit(S, proxy(podAnnotations={"roll": "1"}), quick=True), kubectl_wait(S, "Ready")),
    history("site: created, and only dials", BARE, make(S, {"proxy": {"replicas": 1}})),
    history("site: created with two gateways", BARE, make(S, {**SITE, "proxy": {"replicas": 2}})),
    history("site: scaled up and down", BARE, make(S, SITE), edit(S, proxy(replicas=2)), edit(S, proxy()), ci=True),
    history("site: scaled to nothing and back", BARE, make(S, SITE), edit(S, proxy(replicas=0), IN_PROGRESS),
            until(S, Programmed="False"), edit(S, proxy())),
    history("site: scaled up and at once down", BARE, make(S, SITE), edit(S, proxy(replicas=3), quick=True),
            edit(S, proxy())),
    history("site: gateways rolled", BARE, make(S, SITE), edit(S, proxy(podAnnotations={"roll": "1"})),
            edit(S, proxy(podAnnotations={"roll": "2"}))),
    history("site: rolled three times in quick succession", BARE, make(S, SITE),
            *(edit(S, proxy(podAnnotations={"roll": str(n)}), quick=True) for n in range(3)),
            edit(S, proxy(podAnnotations={"roll": "last"}))),
    history("site: rolled and scaled at once", BARE, make(S, SITE),
            edit(S, proxy(replicas=2, podAnnotations={"roll": "1"}))),
    history("site: a rollout that never gets ready, corrected", BARE, make(S, SITE),
            edit(S, proxy(priorityClassName="nobody-has-it"), IN_PROGRESS), until(S, Programmed="False"),
            edit(S, proxy(priorityClassName=None)), ci=True),
    history("site: created so that no gateway may start, corrected", BARE,
            make(S, {**SITE, "proxy": {"replicas": 1, "priorityClassName": "nobody-has-it"}}, IN_PROGRESS),
            until(S, Programmed="False"), edit(S, proxy(priorityClassName=None))),
    history("site: requests above limits leave no trace", BARE, make(S, SITE),
            refused(S, proxy(resources={"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}))),
    history("site: gateways that the API server refuses, corrected", BARE, make(S, SITE),
            edit(S, proxy(resources={"requests": {"cpu": "-1"}}), FAILED),
            edit(S, proxy(resources=None))),
    history("site: gateways that the API server refuses from the start, corrected", BARE,
            make(S, {**SITE, "proxy": {"replicas": 1, "resources": {"requests": {"cpu": "-1"}}}}, FAILED),
            edit(S, proxy(resources=None))),
    history("site: more loops", BARE, make(S, SITE), edit(S, proxy(loops=2))),
    history("site: link access added, and taken away", BARE, make(S, {"proxy": {"replicas": 1}}),
            edit(S, {"linkAccess": {"type": "ClusterIP"}}), edit(S, {"linkAccess": None})),
    history("site: an address that nobody gives, corrected", BARE, make(S, SITE),
            edit(S, {"linkAccess": {"type": "NodePort"}}, IN_PROGRESS), until(S, Reachable="False"),
            edit(S, {"linkAccess": {"type": "ClusterIP"}})),
    history("site: sites allowed and not any more", BARE, make(S, SITE),
            edit(S, {"allow": [{"siteID": AWAY, "name": "away"}]}), edit(S, {"allow": []})),
    history("site: an identity that is none leaves no trace", BARE, make(S, SITE),
            refused(S, {"allow": [{"siteID": "short", "name": "away"}]})),
    history("site: edited while its gateway is away", BARE, make(S, SITE), do("stop", "gateway"),
            edit(S, {"allow": [{"siteID": AWAY}]}, quick=True), do("rest"), do("go on"), until(S, CURRENT)),
    history("site: heartbeats and drain changed together with the gateways", BARE, make(S, SITE),
            edit(S, {"health": {"heartbeat": "500ms"}, **proxy(podAnnotations={"roll": "1"})})),
    history("site: a second one, until the first is gone", BARE, make(S, SITE), do("next second"), make("site:other", SITE, FAILED),
            may("site:other", CURRENT), delete(S), until("site:other", CURRENT)),
    history("site: deleted and made again", BARE, make(S, SITE), delete(S), make(S, SITE)),
    history("site: deleted and made again otherwise", BARE, make(S, SITE), delete(S),
            make(S, {**SITE, "proxy": {"replicas": 2, "podAnnotations": {"roll": "1"}}})),
    history("site: renamed", BARE, make(S, SITE), delete(S), make("site:other", SITE)),
    history("site: another controller's", BARE, make(S, {**SITE, "controllerName": "example.com/other"}, IN_PROGRESS),
            do("rest")),
    history("site: a foreign core Service in the way", BARE, do("foreign service", "tieline-link"),
            make(S, SITE, FAILED), may(S, CURRENT), do("delete", "service", "tieline-link"), until(S, CURRENT)),
    history("site: a foreign Deployment in the way", BARE, do("foreign deployment", "tieline-proxy"),
            make(S, SITE, FAILED), may(S, CURRENT), do("delete", "deployment", "tieline-proxy"), until(S, CURRENT)),
    history("site: a gateway killed", BARE, make(S, SITE), do("kill gateway"), until(S, CURRENT)),
    history("site: one of two gateway pods deleted", BARE, make(S, {**SITE, "proxy": {"replicas": 2}}),
            do("delete gateway pod"), until(S, CURRENT)),
    history("site: its Deployment deleted", BARE, make(S, SITE), do("delete", "deployment", "tieline-proxy"),
            do("rest"), until(S, CURRENT)),
    history("site: its Deployment scaled by hand", BARE, make(S, SITE), do("scale", "tieline-proxy", 2), do("rest"),
            until(S, CURRENT)),
    history("site: its core Service deleted", BARE, make(S, SITE), do("delete", "service", "tieline-link"), do("rest"),
            until(S, CURRENT)),
    history("site: its configuration deleted", BARE, make(S, SITE), do("delete", "secret", "tieline-proxy"),
            edit(S, {"allow": [{"siteID": AWAY}]})),
    history("site: its identity lost and restored", BARE, make(S, SITE), may(S, FAILED), do("take away", "tieline-site-ca"),
            until(S, FAILED), do("bring back"), until(S, CURRENT)),
]

LINK_HISTORIES = [
    history("link: created", SITES, make(L, LINK), until(L, CURRENT, **UP), ci=True),
    history("link: waited for with kubectl", SITES, make(L, {**LINK, "endpoints": DEAD}, quick=True), kubectl_wait(L, "Ready"),
            kubectl_wait(L, "Connected=False"), edit(L, {"endpoints": "$far.endpoints"}, quick=True),
            kubectl_wait(L, "Connected"), kubectl_wait(L, "Ready"), edit(L, {"remoteSiteID": AWAY}, FAILED, quick=True),
            kubectl_wait(L, "Stalled"), edit(L, {"remoteSiteID": "$far"}, quick=True), kubectl_wait(L, "Connected")),
    history("link: the remote site allows it later", BARE, make(S, SITE), make("site@far:far", SITE), make(L, LINK),
            until(L, CURRENT, **DOWN), edit("site@far:far", {"allow": [{"siteID": "$near"}]}), until(L, CURRENT, **UP)),
    history("link: wrong identity, corrected", SITES, make(L, {**LINK, "remoteSiteID": AWAY}, FAILED),
            edit(L, {"remoteSiteID": "$far"}), until(L, CURRENT, **UP)),
    history("link: right, wrong, right", SITES, make(L, LINK), edit(L, {"remoteSiteID": AWAY}, FAILED),
            edit(L, {"remoteSiteID": "$far"}), until(L, CURRENT, **UP), ci=True),
    history("link: wrong, and corrected at once", SITES, make(L, {**LINK, "remoteSiteID": AWAY}, FAILED, quick=True),
            edit(L, {"remoteSiteID": "$far"}), until(L, CURRENT, **UP)),
    history("link: right, and wrong at once", SITES, make(L, LINK, quick=True), edit(L, {"remoteSiteID": AWAY}, FAILED)),
    history("link: right, wrong and right at once", SITES, make(L, LINK), edit(L, {"remoteSiteID": AWAY}, FAILED, quick=True),
            edit(L, {"remoteSiteID": "$far"}), until(L, CURRENT, **UP)),
    history("link: deleted and made again", SITES, make(L, LINK), delete(L), make(L, LINK), until(L, CURRENT, **UP)),
    history("link: deleted and made again, wrong", SITES, make(L, LINK), delete(L),
            make(L, {**LINK, "remoteSiteID": AWAY}, FAILED), ci=True),
    history("link: wrong, deleted and made again, right", SITES, make(L, {**LINK, "remoteSiteID": AWAY}, FAILED), delete(L),
            make(L, LINK), until(L, CURRENT, **UP)),
    history("link: deleted and made again at another cost", SITES, make(L, LINK), delete(L), make(L, {**LINK, "cost": 7})),
    history("link: renamed", SITES, make(L, LINK), delete(L), make("link:y", LINK), until("link:y", CURRENT, **UP)),
    history("link: cost changed", SITES, make(L, LINK), edit(L, {"cost": 5}), edit(L, {"cost": 6})),
    history("link: four costs in quick succession", SITES, make(L, LINK),
            *(edit(L, {"cost": n}, quick=True) for n in (2, 3, 4)), edit(L, {"cost": 5})),
    history("link: cost 0 leaves no trace", SITES, make(L, LINK), refused(L, {"cost": 0})),
    history("link: endpoints that lead nowhere, corrected", SITES, make(L, {**LINK, "endpoints": DEAD}),
            until(L, CURRENT, **DOWN), edit(L, {"endpoints": "$far.endpoints"}), until(L, CURRENT, **UP)),
    history("link: endpoints broken and corrected", SITES, make(L, LINK), until(L, CURRENT, **UP), edit(L, {"endpoints": DEAD}),
            until(L, CURRENT, **DOWN), edit(L, {"endpoints": "$far.endpoints"}), until(L, CURRENT, **UP)),
    history("link: heartbeats changed", SITES, make(L, LINK), edit(L, {"health": {"heartbeat": "400ms", "misses": 4}})),
    history("link: to its own site, corrected", SITES, make(L, {"endpoints": "$near.endpoints", "remoteSiteID": "$near"}, FAILED),
            edit(L, LINK), until(L, CURRENT, **UP)),
    history("link: the ninth to one site, until one goes", SITES,
            *(make(f"link:n{n}", LINK, quick=True) for n in range(8)), *(until(f"link:n{n}", CURRENT) for n in range(8)),
            do("next second"), make(L, LINK, FAILED), may(L, CURRENT), delete("link:n3"), until(L, CURRENT)),
    history("link: before its Site", BARE, make("site@far:far", SITE), make(L, LINK, quick=True), until(L, Accepted="False"),
            make(S, SITE), until(L, CURRENT)),
    history("link: together with its Site", BARE, make("site@far:far", SITE), make(L, LINK, quick=True),
            make(S, SITE, quick=True), until(L, CURRENT), until(S, CURRENT)),
    history("link: the remote gateway killed", SITES, make(L, LINK), until(L, CURRENT, **UP), do("kill gateway", "far"),
            until(L, CURRENT, **DOWN), until(L, CURRENT, **UP)),
    history("link: not allowed any more, and again", SITES, make(L, LINK), until(L, CURRENT, **UP),
            edit("site@far:far", {"allow": []}), until(L, CURRENT, **DOWN),
            edit("site@far:far", {"allow": [{"siteID": "$near"}]}), until(L, CURRENT, **UP)),
    history("link: its gateway killed", SITES, make(L, LINK), do("kill gateway"), do("rest"), until(L, CURRENT, **UP)),
    history("link: edited while its gateway is away", SITES, make(L, LINK), do("stop", "gateway"), edit(L, {"cost": 9}, quick=True),
            do("rest"), do("go on"), until(L, CURRENT)),
    history("link: edited while a sidecar is away", SITES, make(L, LINK), make(V, OFFER), edit(S, PATIENT), do("sidecar"),
            do("stop", "sidecar"),
            edit(L, {"cost": 9}), do("go on"), do("rest"), until(L, CURRENT)),
    history("link: gateways scaled under it", SITES, make(L, LINK), edit(S, proxy(replicas=2)), edit(L, {"cost": 3}),
            edit(S, proxy()), until(L, CURRENT, **UP)),
    history("link: gateways rolled under it while it is edited", SITES, make(L, LINK),
            edit(S, proxy(podAnnotations={"roll": "1"}), quick=True), edit(L, {"cost": 3}), until(S, CURRENT)),
    history("link: the remote site has another identity, and is pinned anew", BARE, make(S, SITE),
            make("site@far:far", {**SITE, "allow": [{"siteID": "$near"}]}), make(L, LINK), until(L, CURRENT, **UP),
            may(L, FAILED), delete("site@far:far"), make("site@far:far", {**SITE, "allow": [{"siteID": "$near"}]}),
            edit(L, LINK), until(L, CURRENT, **UP)),
]

SERVICE_HISTORIES = [
    history("service: created, without targets", SITES, make(V, USE), until(V, CURRENT, **LACKS)),
    history("service: created, with pods", SITES, make(V, OFFER), until(V, CURRENT, **HAS)),
    history("service: waited for with kubectl", SITES, make(V, OFFER, quick=True), kubectl_wait(V, "HasTargets"),
            edit(V, {"selector": {"app": "none"}}, quick=True), kubectl_wait(V, "Ready"), kubectl_wait(V, "HasTargets=False"),
            edit(V, {"selector": {"app": "web"}}, quick=True), kubectl_wait(V, "HasTargets")),
    history("service: created, with hosts", SITES, make(V, {**USE, "hosts": ["$web.address"]}), until(V, CURRENT, **HAS)),
    history("service: a selector that fits nothing, corrected", SITES, make(V, {**OFFER, "selector": {"app": "none"}}),
            until(V, CURRENT, **LACKS), edit(V, {"selector": {"app": "web"}}), until(V, CURRENT, **HAS)),
    history("service: a right selector broken and corrected", SITES, make(V, OFFER), until(V, CURRENT, **HAS),
            edit(V, {"selector": {"app": "none"}}), until(V, CURRENT, **LACKS), edit(V, {"selector": {"app": "web"}}),
            until(V, CURRENT, **HAS), ci=True),
    history("service: what is no selector leaves no trace", SITES, make(V, OFFER),
            refused(V, {"selector": {"app": "not a value"}})),
    history("service: what is no host, corrected", SITES, make(V, NO_HOST, FAILED), edit(V, MEND)),
    history("service: a right selector becomes no host, and right", SITES, make(V, OFFER), edit(V, BREAK, FAILED), edit(V, MEND)),
    history("service: an address that an older one has", SITES, make("service:older", {**USE, "address": "same"}),
            do("next second"),
            make(V, {**USE, "address": "same"}, FAILED), may(V, CURRENT), delete("service:older"), until(V, CURRENT)),
    history("service: a foreign core Service of its name", SITES, do("foreign service", "x"), make(V, USE, FAILED),
            may(V, CURRENT), do("delete", "service", "x"), until(V, CURRENT)),
    history("service: a core Service that an older one has, renamed", SITES, make("service:older", USE),
            do("next second"), make(V, {**USE, "listen": {"serviceName": "older"}}, FAILED), edit(V, {"listen": {"serviceName": "free"}})),
    history("service: moved onto a taken name and back", SITES, make("service:older", USE), do("next second"), make(V, USE),
            edit(V, {"listen": {"serviceName": "older"}}, FAILED), edit(V, {"listen": {"serviceName": "x"}})),
    history("service: another port", SITES, make(V, OFFER), edit(V, port(8081)), until(V, CURRENT, **HAS)),
    history("service: a renamed port", SITES, make(V, OFFER), edit(V, port(8080, "http"))),
    history("service: a second port", SITES, make(V, OFFER), edit(V, {"ports": [
        {"name": "tcp", "port": 8080}, {"name": "more", "port": 8082, "targetPort": 8080}]})),
    history("service: four ports in quick succession", SITES, make(V, OFFER),
            *(edit(V, port(n), quick=True) for n in (8081, 8082, 8083)), edit(V, port(8084)), ci=True),
    history("service: wrong, and corrected at once", SITES,
            make(V, NO_HOST, FAILED, quick=True), edit(V, MEND)),
    history("service: right, wrong and right at once", SITES, make(V, OFFER),
            edit(V, BREAK, FAILED, quick=True), edit(V, MEND)),
    history("service: its core Service renamed", SITES, make(V, USE), edit(V, {"listen": {"serviceName": "renamed"}})),
    history("service: not listened for, and again", SITES, make(V, OFFER), edit(V, {"listen": {"enabled": False}}),
            edit(V, {"listen": {"enabled": True}})),
    history("service: deleted and made again", SITES, make(V, OFFER), delete(V), make(V, OFFER), until(V, CURRENT, **HAS)),
    history("service: deleted and made again, wrong", SITES, make(V, OFFER), delete(V),
            make(V, NO_HOST, FAILED)),
    history("service: deleted and made again with another port", SITES, make(V, USE), delete(V), make(V, port(8085))),
    history("service: renamed, with its address", SITES, make(V, {**USE, "address": "same"}), delete(V),
            make("service:y", {**USE, "address": "same"})),
    history("service: its address cannot change, which leaves no trace", SITES, make(V, {**USE, "address": "one"}),
            refused(V, {"address": "two"})),
    history("service: its servers gone, and back", SITES, make(V, OFFER), until(V, CURRENT, **HAS), do("scale", "web", 0),
            until(V, CURRENT, **LACKS), do("scale", "web", 1), until(V, CURRENT, **HAS)),
    history("service: its servers at another site, whose link goes and comes", SITES, make("service@far:x", OFFER),
            make(V, USE), until(V, CURRENT, **LACKS), make(L, LINK), until(V, CURRENT, **HAS), delete(L),
            until(V, CURRENT, **LACKS), make(L, LINK), until(V, CURRENT, **HAS)),
    history("service: offered at the other site after it is used here", SITES, make(L, LINK), make(V, USE),
            until(V, CURRENT, **LACKS), make("service@far:x", OFFER), until(V, CURRENT, **HAS), delete("service@far:x"),
            until(V, CURRENT, **LACKS)),
    history("service: its core Service deleted", SITES, make(V, USE), do("delete", "service", "x"), do("rest"),
            until(V, CURRENT)),
    history("service: its gateway killed", SITES, make(V, OFFER), until(V, CURRENT, **HAS), do("kill gateway"), do("rest"),
            until(V, CURRENT, **HAS)),
    history("service: edited while its gateway is away", SITES, make(V, OFFER), do("stop", "gateway"),
            edit(V, port(8086), quick=True), do("rest"), do("go on"), until(V, CURRENT, **HAS)),
    history("service: gateways rolled under it while it is edited", SITES, make(V, OFFER),
            edit(S, proxy(podAnnotations={"roll": "1"}), quick=True), edit(V, port(8087)), until(S, CURRENT)),
    history("service: gateways scaled under it", SITES, make(V, OFFER), edit(S, proxy(replicas=2)), edit(V, port(8088)),
            edit(S, proxy()), until(V, CURRENT, **HAS)),
    history("service: before its Site", BARE, make(V, USE, quick=True), until(V, Accepted="False"), make(S, SITE),
            until(V, CURRENT)),
    history("service: a Site never comes", BARE, make(V, USE, FAILED)),
    history("service: its Site deleted and made again", BARE, make(S, SITE), make(V, USE), delete(S), make(S, SITE),
            until(V, CURRENT)),
    history("service: with a sidecar, edited", SITES, make(V, OFFER), do("sidecar"), edit(V, port(8089)), edit(V, port(8090)),
            edit(V, port(8091), quick=True), edit(V, port(8092))),
    history("service: edited while a sidecar is away", SITES, make(V, OFFER), edit(S, PATIENT), do("sidecar"),
            do("stop", "sidecar"),
            edit(V, port(8093)), do("go on"), do("rest"), until(V, CURRENT)),
    history("service: exposed, and not any more", SITES, make(V, USE),
            edit(V, {"listen": {"namespaces": {"matchLabels": {"guest": "yes"}}}}), edit(V, {"listen": {"namespaces": None}})),
    history("service: a host without a name, corrected", SITES, make(V, {**USE, "hosts": ["nobody.invalid"]}),
            until(V, CURRENT, **LACKS), edit(V, {"hosts": ["$web.address"]}), until(V, CURRENT, **HAS)),
]


def in_the_midst(event):
    """The same event under a Site, a Link and a Service that are edited at that moment."""
    return [
        history(f"site: {event}", SITES, edit(S, proxy(podAnnotations={"roll": event}), quick=True), do("meet", event),
                until(S, CURRENT), edit(S, proxy()), group=event),
        history(f"link: {event}", SITES, make(L, LINK), edit(L, {"remoteSiteID": AWAY}, FAILED, quick=True), do("meet", event),
                until(L, FAILED), edit(L, {"remoteSiteID": "$far"}), until(L, CURRENT, **UP), group=event),
        history(f"service: {event}", SITES, make(V, OFFER), edit(V, port(8095), quick=True), do("meet", event),
                until(V, CURRENT, **HAS), edit(V, port(8096)), until(V, CURRENT, **HAS), group=event),
    ]


AWAY_TITLE, STOPS, STARTS = "edited while the controller is away", "the controller stops", "the controller starts"
CONTROLLER_AWAY = [
    history(f"site: {AWAY_TITLE}", SITES, do("meet", STOPS), edit(S, proxy(replicas=2), quick=True), do("rest"),
            do("meet", STARTS), until(S, CURRENT), edit(S, proxy()), group=AWAY_TITLE),
    history(f"link: {AWAY_TITLE}", SITES, make(L, LINK), do("meet", STOPS), edit(L, {"cost": 8}, quick=True),
            make("link:y", {**LINK, "remoteSiteID": AWAY}, FAILED, quick=True), do("rest"), do("meet", STARTS), until(L, CURRENT),
            until("link:y", FAILED), group=AWAY_TITLE),
    history(f"service: {AWAY_TITLE}", SITES, make(V, OFFER), do("meet", STOPS), edit(V, {"selector": {"app": "none"}}, quick=True),
            make("service:y", USE, quick=True), do("rest"), do("meet", STARTS), until(V, CURRENT, **LACKS),
            until("service:y", CURRENT), group=AWAY_TITLE),
]

IMAGE_TITLE, BREAKS, MENDS = "an image that never starts", "the image breaks", "the image is mended"
BAD_IMAGE = [
    history(f"site: {IMAGE_TITLE}", SITES, may(S, CURRENT), do("meet", BREAKS), until(S, Programmed="False"),
            edit(S, {"allow": [{"siteID": AWAY}]}, IN_PROGRESS, quick=True), do("meet", MENDS), may(S, CURRENT), until(S, CURRENT),
            group=IMAGE_TITLE),
    history(f"link: {IMAGE_TITLE}", SITES, make(L, LINK), do("meet", BREAKS), until(S, Programmed="False"), edit(L, {"cost": 3}),
            do("meet", MENDS), until(L, CURRENT, **UP), group=IMAGE_TITLE),
    history(f"service: {IMAGE_TITLE}", SITES, make(V, OFFER), do("meet", BREAKS), until(S, Programmed="False"),
            edit(V, port(8094)), do("meet", MENDS), until(V, CURRENT, **HAS), group=IMAGE_TITLE),
]

UNREADABLE = [
    history("site: one that does not decode, corrected", BARE, make(S, SITE), edit(S, proxy(loops="many"), FAILED),
            edit(S, proxy(loops=None)), group="looser schemas"),
    history("link: one that does not decode, corrected", SITES, make(L, LINK), edit(L, {"cost": "much"}, FAILED),
            edit(L, {"cost": 4}), until(L, CURRENT, **UP), group="looser schemas"),
    history("service: one that does not decode from the start, corrected", SITES,
            make(V, {**USE, "timeouts": {"connect": "soon"}}, FAILED), edit(V, {"timeouts": None}), group="looser schemas"),
]

HISTORIES = [*SITE_HISTORIES, *LINK_HISTORIES, *SERVICE_HISTORIES, *UNREADABLE, *CONTROLLER_AWAY, *BAD_IMAGE,
             *in_the_midst("the controller is killed"), *in_the_midst("the API server is restarted")]
