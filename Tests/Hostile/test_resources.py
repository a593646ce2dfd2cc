"""D4, D5, D6, D9: what one member site, or anybody, can make a proxy spend."""
import contextlib
import socket
import struct
import threading
import time

from place import SINK, Place, check, unharmed, wait
from wire import CANCEL, DATA, LSA, RESET, SUMMARY, Identity, Lane, frame


def joined(place, identity, **options):
    lane = Lane(identity, place.link, **options)
    check(lane.join(), f"the hostile site was not let in: {lane.closed}")
    return lane


def flood(lane, data, seconds):
    """Sends `data` over and over for so long; a lane that is not read makes the sender wait."""
    end = time.monotonic() + seconds

    def work():
        with contextlib.suppress(OSError):
            while time.monotonic() < end:
                lane.send(data)

    sender = threading.Thread(target=work, daemon=True)
    sender.start()
    sender.join(seconds)
    lane.close()
    sender.join(5)


def test_d4_control_frames_without_end(scale):
    m = Identity()
    with Place([m.site]) as place:
        def forged(_):
            lane = joined(place, m)
            bad = frame(LSA, m.lsa(lane.own, 99, [(lane.neighbor, m.site, "hostile", 1)], forged=True))
            flood(lane, bad * 16, 4 * scale)

        def summaries(_):
            lane = joined(place, m)
            empty = b"".join(frame(SUMMARY, struct.pack(">IBBH", number, 0, 0, 0)) for number in range(512))
            flood(lane, empty, 4 * scale)

        unharmed(place, forged)
        unharmed(place, summaries)


def test_d5_bare_connections_and_lanes_without_end(scale):
    m = Identity()
    with Place([m.site], limit=1024) as place:
        def bare(_):
            connections = []
            for _ in range(1600):
                with contextlib.suppress(OSError):
                    connections.append(socket.create_connection(place.link, 1))
            time.sleep(3 * scale)
            for connection in connections:
                connection.close()

        def lanes(_):
            opened, end = [], time.monotonic() + 8 * scale
            while time.monotonic() < end:
                with contextlib.suppress(OSError):
                    opened.append(Lane(m, place.link, reads=False))
            print(f"   {len(opened)} lanes tried, {place.v.metric('tieline_neighbor_usage', resource='lanes'):.0f} stand")
            for lane in opened:
                lane.close()

        unharmed(place, bare)
        unharmed(place, lanes)


def test_d6_streams_that_are_reset_while_they_wait(scale):
    m = Identity()
    with Place([m.site]) as place:
        def attack(round):
            lane, count = joined(place, m), int(4000 * scale)
            numbers = range(1, count + 1)
            opens = [lane.open_frame(number, SINK) for number in numbers]
            # Each asks for more than the lane takes once it is not read.
            lane.is_reading.clear()
            lane.send(b"".join(opens))
            time.sleep(2 * scale)
            lane.send(b"".join(frame(RESET, b"\0", number) for number in numbers))
            lane.is_reading.set()
            time.sleep(2 * scale)
            lane.close()

        unharmed(place, attack)


def test_d6_streams_with_numbers_that_jump(scale):
    m = Identity()
    with Place([m.site]) as place:
        def attack(round):
            lane, count = joined(place, m), int(8000 * scale)
            # The whole replay window is behind each; no such service: nothing but the number costs.
            opens = [lane.open_frame(number * 65_535, SINK, label=number) for number in range(1, count + 1)]
            for at in range(0, count, 50):
                lane.send(b"".join(opens[at:at + 50]))
                lane.send(b"".join(frame(CANCEL, b"", number) for number in range(at + 1, at + 51)))
            time.sleep(1 * scale)
            lane.close()

        unharmed(place, attack)


def test_d9_streams_without_acknowledgment_or_answer(scale):
    m = Identity()
    with Place([m.site]) as place:
        def attack(round):
            lane, count = joined(place, m), int(2000 * scale)
            for first in range(1, count, 100):
                with contextlib.suppress(OSError):
                    lane.send(b"".join(lane.open_frame(number, SINK, window=16 << 20) for number in range(first, first + 100)))
            time.sleep(1)
            for number in range(1, count):
                with contextlib.suppress(OSError):
                    # "bulk": the server sends 1 MB, which is never acknowledged.
                    lane.send(frame(DATA, struct.pack(">Q", 0) + b"bulk 1048576\n", number))
            time.sleep(4 * scale)
            lane.close()
            wait("V has forgotten the streams", lambda: place.v.metric("tieline_neighbor_usage", resource="streams") <= 6, 20)

        unharmed(place, attack)
