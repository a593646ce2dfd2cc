"""D4, D5, D6, D9: what one member site, or anybody, can make a proxy spend."""
import contextlib
import socket
import struct
import time

from place import SINK, Place, check, unharmed, wait
from wire import ACK, CANCEL, LSA, OPENED, REFUSED, RESET, SUMMARY, Identity, Lane, frame


def joined(place, identity, **options):
    lane = Lane(identity, place.link, **options)
    check(lane.join(), f"the hostile site was not let in: {lane.closed}")
    return lane


def send_until(lane, data, end):
    """Sends `data` over and over; a lane that is not read makes this wait, one that was closed ends it."""
    lane.socket.settimeout(0.5)
    with contextlib.suppress(OSError):
        while time.monotonic() < end:
            lane.socket.sendall(data)


def test_d4_control_frames_without_end(scale):
    m = Identity()
    with Place([m.site]) as place:
        lane = joined(place, m)
        forged = frame(LSA, m.lsa(lane.own, 99, [(lane.neighbor, m.site, "hostile", 1)], forged=True))
        with unharmed(place):
            send_until(lane, forged * 64, time.monotonic() + 6 * scale)
        lane.close()
        lane = joined(place, m)
        with unharmed(place):
            empty = b"".join(frame(SUMMARY, struct.pack(">IBBH", number, 0, 0, 0)) for number in range(512))
            send_until(lane, empty, time.monotonic() + 6 * scale)


def test_d5_bare_connections_and_lanes_without_end(scale):
    m = Identity()
    with Place([m.site], limit=1024) as place:
        with unharmed(place):
            bare = []
            for _ in range(1600):
                with contextlib.suppress(OSError):
                    bare.append(socket.create_connection(place.link, 1))
            time.sleep(4 * scale)
        for connection in bare:
            connection.close()
        with unharmed(place):
            lanes, end = [], time.monotonic() + 15 * scale
            while time.monotonic() < end and len(lanes) < 1200:
                with contextlib.suppress(OSError):
                    lanes.append(Lane(m, place.link, reads=False))
            print(f"   {len(lanes)} lanes tried, {place.v.metric('tieline_neighbor_usage', resource='lanes'):.0f} stand")
        for lane in lanes:
            lane.close()


def test_d6_streams_that_are_reset_while_they_wait(scale):
    m = Identity()
    with Place([m.site]) as place:
        lane = joined(place, m)
        count = int(8000 * scale)
        with unharmed(place):
            # Each asks for more than the lane takes once it is not read.
            lane.is_reading.clear()
            lane.send(b"".join(lane.open_frame(number, SINK) for number in range(1, count + 1)))
            time.sleep(2 * scale)
            lane.send(b"".join(frame(RESET, b"\0", number) for number in range(1, count + 1)))
            lane.is_reading.set()
            time.sleep(2 * scale)
        lane.close()


def test_d9_streams_without_acknowledgement_or_answer(scale):
    m = Identity()
    with Place([m.site]) as place:
        lane = joined(place, m)
        count = int(4000 * scale)
        with unharmed(place):
            for first in range(1, count, 100):
                with contextlib.suppress(OSError):
                    lane.send(b"".join(lane.open_frame(number, SINK, window=16 << 20) for number in range(first, first + 100)))
            time.sleep(1)
            for number in range(1, count):
                with contextlib.suppress(OSError):
                    # "bulk": the server sends 1 MB, which is never acknowledged.
                    lane.send(frame(20, struct.pack(">Q", 0) + b"bulk 1048576\n", number))
            time.sleep(6 * scale)
        lane.close()
        wait("V has forgotten the streams", lambda: place.v.metric("tieline_neighbor_usage", resource="streams") <= 4, 20)
