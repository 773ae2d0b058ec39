"""Sends numbered datagrams to a UDP echo at a steady pace, and counts what comes back. Runs inside of a container.

    python3 udp_probe.py ADDRESS PORT PER_SECOND

Standard library only, in one file: it is handed over whole to a Python that knows nothing of this project. Prints
`ready` when the first answer is there, and from then on twice a second how many were sent more than a second ago and
how many of those have no answer yet, as in `700 0`. Stops when its standard input ends, waits 2 s for the last
answers, and prints a JSON object: sent, received (different numbers), lost, duplicated, longest_gap (seconds between
two answers), worst_round_trip (seconds), lost_numbers (the first 20), seconds.
"""

import contextlib
import json
import select
import socket
import struct
import sys
import time

LAST_ANSWERS = 2.0
TOLD_EVERY, OVERDUE = 0.5, 1.0


def main() -> None:
    """Probe until standard input ends."""
    address, port, rate = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.setblocking(False)
    sent_at: list[float] = []
    back_at: dict[int, float] = {}
    duplicated, stopped, last, gap = 0, 0.0, 0.0, 0.0
    start = begun = told = time.monotonic()
    due, missing = 0, []  # type: tuple[int, list[int]]
    while not stopped or (time.monotonic() < stopped + LAST_ANSWERS and len(back_at) < len(sent_at)):
        # A turn that comes too late sends one datagram like any other, and the schedule moves on: a burst of all that
        # was missed would overflow the first buffer of a machine that is short of time already.
        late = time.monotonic() - begun - len(sent_at) / rate
        if not stopped and late >= 0:
            begun += max(0.0, late - 1 / rate)
            sent_at.append(time.monotonic())
            with contextlib.suppress(OSError):  # no route, a full queue: it counts as sent, and is lost
                udp.sendto(struct.pack("!Q", len(sent_at) - 1), (address, port))
        pause = max(0.0, begun + len(sent_at) / rate - time.monotonic()) if not stopped else 0.1
        ready, _, _ = select.select([udp] if stopped else [udp, sys.stdin], [], [], pause)
        if sys.stdin in ready and not stopped and not sys.stdin.buffer.read1(1024):
            stopped = time.monotonic()
        while True:
            try:
                data, sender = udp.recvfrom(64)
            except OSError:
                break
            if sender[0] != address or len(data) != 8:
                continue
            now, number = time.monotonic(), struct.unpack("!Q", data)[0]
            if not back_at:
                print("ready", flush=True)
            elif last:
                gap = max(gap, now - last)
            last = now
            duplicated += number in back_at
            back_at.setdefault(number, now)
        if back_at and time.monotonic() >= told + TOLD_EVERY:
            told = time.monotonic()
            while due < len(sent_at) and sent_at[due] <= told - OVERDUE:
                missing.append(due)
                due += 1
            missing = [number for number in missing if number not in back_at]
            print(due, len(missing), flush=True)
    lost = [number for number in range(len(sent_at)) if number not in back_at]
    report = {
        "sent": len(sent_at),
        "received": len(back_at),
        "lost": len(lost),
        "lost_numbers": lost[:20],
        "duplicated": duplicated,
        "longest_gap": round(gap, 3),
        "worst_round_trip": round(max((back_at[n] - sent_at[n] for n in back_at), default=0.0), 4),
        "seconds": round(time.monotonic() - start, 1),
    }
    print(json.dumps(report), flush=True)


if __name__ == "__main__":
    main()
