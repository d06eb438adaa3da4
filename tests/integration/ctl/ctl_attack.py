#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Be a bad client of the control socket given as argument; after each attack it must still serve.

Prints one line per attack. Exit status 1 when the server did something that abi/zc_ctl.h does not
allow.
"""
import errno
import json
import os
import random
import socket
import struct
import sys
import time

HEADER = struct.Struct("<IHHII")
MAGIC, VERSION, PING, INFO, REPLY = 0x4354435A, 1, 1, 2, 0x8000
PATIENCE = 60


def connect():
    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    # Not settimeout(): connect() has to wait for room in the server's queue.
    for limit in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
        s.setsockopt(socket.SOL_SOCKET, limit, struct.pack("@ll", PATIENCE, 0))
    s.connect(sys.argv[1])
    return s


def request(kind, body=b"", magic=MAGIC, version=VERSION, length=None, status=0):
    return HEADER.pack(magic, version, kind, len(body) if length is None else length, status) + body


def receive(s):
    """(type, status, object), or None when the server has hung up."""
    try:
        packet = s.recv(1 << 17)
    except ConnectionResetError:
        return None
    except BlockingIOError:
        raise AssertionError(f"no answer and no end within {PATIENCE} s") from None
    if not packet:
        return None
    magic, version, kind, length, status = HEADER.unpack_from(packet)
    assert (magic, version) == (MAGIC, VERSION), "a reply with a wrong header"
    assert length == len(packet) - HEADER.size <= 65536, "a reply with a wrong length"
    return kind, status, json.loads(packet[HEADER.size:])


def serves():
    """A good client is served."""
    with connect() as s:
        for kind in (PING, INFO, PING):
            s.send(request(kind))
            reply = receive(s)
            assert reply, "no answer to a good request"
            assert reply[:2] == (kind | REPLY, 0), f"a good request got {reply}"
            assert reply[2]["pid"] > 0
        return reply[2]["pid"]


def refused(packet, status):
    """One bad packet: the error of this number, then the connection ends."""
    with connect() as s:
        s.send(packet)
        reply = receive(s)
        assert reply, f"no answer, but an error {status} was due"
        assert reply[1] == status, f"status {reply[1]} instead of {status}: {reply[2]}"
        assert reply[2]["error"]
        assert receive(s) is None, "the connection goes on after a bad request"


def bad_headers():
    refused(b"x", errno.EBADMSG)
    refused(b"GET / HTTP/1.1\r\n\r\n", errno.EBADMSG)
    refused(request(PING)[:15], errno.EBADMSG)
    refused(request(PING, magic=0), errno.EBADMSG)
    refused(request(PING, version=2), errno.EPROTONOSUPPORT)
    refused(request(PING | REPLY), errno.EBADMSG)
    refused(request(0), errno.ENOSYS)
    refused(request(15), errno.ENOSYS)
    refused(request(0x7FFF), errno.ENOSYS)
    refused(request(PING, status=1), errno.EBADMSG)


def lying_lengths():
    refused(request(PING, length=1), errno.EBADMSG)
    refused(request(PING, length=0xFFFFFFFF), errno.EBADMSG)
    refused(request(INFO, b"abc", length=2), errno.EBADMSG)
    refused(request(INFO, b"abc"), errno.EBADMSG)
    refused(request(INFO, b"a" * 4096), errno.EBADMSG)
    refused(request(INFO, b"a" * 4097), errno.EBADMSG)
    refused(request(INFO, b"a" * 60000), errno.EBADMSG)


def leaves_at_once():
    for _ in range(200):
        connect().close()
    for _ in range(50):
        with connect() as s:
            s.send(request(INFO))


def empty_packets():
    with connect() as s:
        s.send(b"")  # what a closed connection looks like
        assert receive(s) is None


def never_reads():
    with connect() as s:
        s.setblocking(False)
        try:
            for _ in range(100000):
                s.send(request(INFO))
        except (BlockingIOError, BrokenPipeError, ConnectionResetError):
            pass
        return serves()


def passes_descriptors():
    with connect() as s:
        for _ in range(20):
            try:
                socket.send_fds(s, [request(PING)], [0, 1, 2])
            except (BrokenPipeError, ConnectionResetError):
                return
            assert receive(s)


def rubbish():
    rng = random.Random(5)
    for _ in range(300):
        packet = rng.randbytes(rng.randrange(1, 5000))
        if rng.random() < 0.7:
            packet = HEADER.pack(MAGIC, rng.choice([0, 1, 2]), rng.randrange(8),
                                 rng.randrange(100), 0) + packet[:rng.randrange(100)]
        with connect() as s:
            s.send(packet)
            receive(s)


def hoards_connections():
    """More silent clients than there is room for: they are thrown out after 5 s."""
    hoard = [connect() for _ in range(17)]
    start = time.monotonic()
    serves()
    assert time.monotonic() - start < PATIENCE
    for s in hoard:
        s.close()


def is_socket(descriptor):
    try:
        return os.readlink(descriptor).startswith("socket:")
    except FileNotFoundError:  # closed since it was listed
        return False


def main():
    pid = serves()
    for attack in (bad_headers, lying_lengths, leaves_at_once, empty_packets, never_reads,
                   passes_descriptors, rubbish, hoards_connections):
        attack()
        assert serves() == pid, "another process answers"
        print(f"still serves after: {attack.__name__}")
    descriptors = f"/proc/{pid}/fd"
    if os.access(descriptors, os.R_OK):
        sockets = sum(is_socket(f"{descriptors}/{fd}") for fd in os.listdir(descriptors))
        assert sockets < 16, f"{sockets} sockets are left behind"
        print("no descriptors left behind")


if __name__ == "__main__":
    try:
        main()
    except AssertionError as e:
        sys.exit(f"ctl_attack: {e}")
