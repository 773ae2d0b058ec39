"""Sends as much as TCP takes for some seconds, or counts what arrives. Runs inside of a network namespace.

python3 stream.py receive PORT             prints `ready`, takes one connection to its end, prints bytes per second
python3 stream.py send ADDRESS PORT SECONDS
"""

import socket
import sys
import time

SIZE = 256 * 1024


def receive(port: int) -> None:
    """Count one connection's bytes."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("0.0.0.0", port))  # noqa: S104 - inside of a namespace of the bench's own
    listener.listen()
    print("ready", flush=True)
    connection, _ = listener.accept()
    buffer, count, begun = bytearray(SIZE), 0, time.monotonic()
    while got := connection.recv_into(buffer):
        count += got
    print(count / (time.monotonic() - begun), flush=True)


def send(address: str, port: int, seconds: float) -> None:
    """Send for so long."""
    data = bytes(SIZE)
    with socket.create_connection((address, port), timeout=10) as connection:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            connection.sendall(data)


if __name__ == "__main__":
    if sys.argv[1] == "receive":
        receive(int(sys.argv[2]))
    else:
        send(sys.argv[2], int(sys.argv[3]), float(sys.argv[4]))
