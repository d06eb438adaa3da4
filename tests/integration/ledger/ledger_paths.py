#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""ledger_paths.py ZCCTL MNT STORE SCENARIO - move bytes by each path of a mount (made with the options that
ledger_paths.sh gives), and see that the ledger names the path, the bytes and the fallbacks, exactly."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "commit"))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "live"))
from ledger import (PAGE, Mount, buffer, open_direct, read_direct, write_cached)

SIZE = 8 << 20
BLOCK = 1 << 19  # one request (a whole MiB can be two: with its header it may not fit into a pipe)
ANY = (0, 1 << 62)


def most_of(size):
    """Of large write-backs, all but what the kernel cuts into small pieces."""
    return size * 3 // 4, size


def write_large(m, **paths):
    """New, and over what is there; by the kernel's cache."""
    data = bytes(buffer(SIZE))
    for what in "a new file", "an overwrite":
        with m.moves("large write-backs, " + what, write_buffer=(0, SIZE // 4), **paths) as moved:
            write_cached(m.path("large"), data)
        assert moved.bytes["write"] == SIZE, moved.bytes
    assert read_direct(m.path("large"), BLOCK, BLOCK) == data[BLOCK:2 * BLOCK]


def write_direct(m, *paths, **fallbacks):
    """O_DIRECT: a request as long as the call; by one of the paths."""
    fd = open_direct(m.path("direct"))
    for what in "new", "over old":
        data = buffer(BLOCK)
        with m.moves("a block by O_DIRECT, " + what, **{p: (0, BLOCK) for p in paths}, fallbacks=fallbacks) as moved:
            assert os.pwrite(fd, data, 0) == BLOCK
        assert moved.bytes["write"] == BLOCK and moved.ops["write"] == 1 and moved.copied == 0, moved.bytes
    os.close(fd)
    assert read_direct(m.path("direct"), BLOCK) == bytes(data)


def write_small(m):
    with m.moves("small writes", write_buffer=5 * PAGE, flush_log=ANY, flush_buffer=ANY) as moved:
        for n in range(5):
            write_cached(m.path("small"), os.urandom(PAGE), 2 * n * PAGE)
    assert moved.ops["write_buffer"] == moved.ops["write"] == 5, moved.ops
    assert moved.bytes["flush_log"] + moved.bytes["flush_buffer"] >= 5 * PAGE, moved.bytes
    with m.moves("bytes inside a page", write_buffer=100):
        fd = open_direct(m.path("small"))
        assert os.pwrite(fd, b"x" * 100, 1000) == 100
        os.close(fd)


def write_unaligned(m, **fallbacks):
    """A block that begins inside a page: both ends by buffers, the pages between cannot go straight."""
    fd = open_direct(m.path("unaligned"))
    data, body = buffer(BLOCK), BLOCK - PAGE
    with m.moves("unaligned", write_buffer=PAGE, write_copy=body, fallbacks=fallbacks) as moved:
        assert os.pwrite(fd, data, 1000) == BLOCK
    assert moved.ops["write"] == 1, moved.ops
    os.close(fd)
    fd = os.open(m.path("unaligned"), os.O_RDONLY)
    assert os.pread(fd, BLOCK, 1000) == bytes(data)
    os.close(fd)


def make_readable(m):
    """A file whose pages are in the page file, with a hole behind each block."""
    data = bytes(buffer(BLOCK))
    fd = open_direct(m.path("file"))
    for n in range(4):
        b = buffer(BLOCK)
        b[:] = data
        os.pwrite(fd, b, 2 * n * BLOCK)
    os.ftruncate(fd, 8 * BLOCK)
    os.fsync(fd)
    os.close(fd)
    return data


def read_pages(m, data, host, path):
    def read():
        with m.moves(f"a block of pages, {host}", **{path: BLOCK}) as moved:
            assert read_direct(m.path("file"), BLOCK) == data
        assert moved.ops["read"] == moved.ops[path] == 1, moved.ops
        assert moved.copied == (BLOCK if path == "read_copy" else 0), moved.bytes

    if host == "resident":
        m.resident(read)
    else:
        m.chill()
        read()


def read_rest(m, data, path):
    """Holes, pages beside holes, what is in the store's memory, behind the end."""
    page = buffer(PAGE)

    def half():
        with m.moves("a hole and pages", read_zero=BLOCK // 2, **{path: BLOCK // 2}) as moved:
            assert read_direct(m.path("file"), BLOCK, 2 * BLOCK - BLOCK // 2) == bytes(BLOCK // 2) + data[:BLOCK // 2]
        assert moved.ops["read"] == moved.ops["read_zero"] == moved.ops[path] == 1, moved.ops

    def amid():
        with m.moves("a page in a buffer, amid others", read_memory=PAGE, **{path: 15 * PAGE}):
            got = read_direct(m.path("file"), 16 * PAGE)
        assert got == data[:10 * PAGE] + bytes(page) + data[11 * PAGE:16 * PAGE]

    with m.moves("a hole", read_zero=BLOCK):
        assert read_direct(m.path("file"), BLOCK, BLOCK) == bytes(BLOCK)
    m.resident(half)
    fd = open_direct(m.path("file"))
    os.pwrite(fd, page, 10 * PAGE)
    m.resident(amid)
    with m.moves("behind the end"):
        assert os.preadv(fd, [buffer(PAGE)], 8 * BLOCK) == 0
    os.close(fd)


# ---- scenarios: one a mount ----------------------------------------------------------------------


def default(m):
    write_large(m, write_splice=ANY, write_direct=ANY)
    write_small(m)
    write_unaligned(m, write_unaligned=1)
    write_direct(m, "write_splice", "write_direct")  # spliced while large write-backs come
    data = make_readable(m)
    # (In this order: what was mapped stays in the page cache.)
    read_pages(m, data, "cold", "read_direct")
    read_pages(m, data, "resident", "read_map")
    read_rest(m, data, "read_map")


def splice(m):
    write_large(m, write_splice=most_of(SIZE))
    write_small(m)
    write_unaligned(m, write_unaligned=1)
    write_direct(m, "write_splice")
    data = make_readable(m)
    read_pages(m, data, "cold", "read_splice")
    read_pages(m, data, "resident", "read_splice")
    read_rest(m, data, "read_splice")


def copy(m):
    write_large(m, write_direct=most_of(SIZE), fallbacks={"receive_no_splice": None})
    write_direct(m, "write_direct")
    data = make_readable(m)
    read_pages(m, data, "resident", "read_copy")
    read_pages(m, data, "cold", "read_copy")
    read_rest(m, data, "read_copy")


def mapped(m):
    data = make_readable(m)
    read_pages(m, data, "cold", "read_map")
    read_rest(m, data, "read_map")


def checksums(m):
    write_large(m, write_direct=most_of(SIZE), fallbacks={"receive_checksums": None})
    write_direct(m, "write_direct")
    data = make_readable(m)
    with m.moves("checksums", read_copy=BLOCK, fallbacks={"read_checksums": 1}):
        assert read_direct(m.path("file"), BLOCK) == data


def no_direct_io(m):
    write_direct(m, "write_cached", write_no_direct_io=1)
    data = make_readable(m)
    read_pages(m, data, "cold", "read_map")
    read_pages(m, data, "resident", "read_map")


def no_ways_to_read(m):
    """Neither a mapping nor splices"""
    data = make_readable(m)
    lost = {"read_no_splice": 1}

    def read():
        with m.moves("neither mapped nor spliced", read_copy=BLOCK, fallbacks={**lost, "read_no_map": 1}):
            assert read_direct(m.path("file"), BLOCK) == data

    m.resident(read)
    m.chill()
    with m.moves("the same, cold", read_direct=BLOCK, fallbacks=lost):
        assert read_direct(m.path("file"), BLOCK) == data


def small_pipe(m):
    write_large(m, write_direct=most_of(SIZE), fallbacks={"receive_small_pipe": None})
    data = make_readable(m)

    def read():
        with m.moves("a pipe too small for a block", read_map=BLOCK, fallbacks={"read_small_pipe": 1}):
            assert read_direct(m.path("file"), BLOCK) == data

    m.resident(read)
    with m.moves("a pipe large enough", read_splice=8 * PAGE):
        assert read_direct(m.path("file"), 8 * PAGE) == data[:8 * PAGE]


def no_readahead_control(m):
    assert m.stats()["fallbacks"]["no_readahead_control"] == 1, m.stats()["fallbacks"]
    print("ok: read_ahead=keep")


def live(m):
    """A file that a client has live is read from and written to its image."""
    import rawlive

    path, data = m.path("live"), os.urandom(BLOCK)
    with open(path, "wb") as f:
        f.write(data)
        f.flush()
        os.fsync(f.fileno())
    client, image = rawlive.attach(path, os.O_RDWR)
    with m.moves("a live file read", read_image=BLOCK):
        assert read_direct(path, BLOCK) == data
    fd = open_direct(path)
    with m.moves("a live file written", write_image=64 * PAGE):
        assert os.pwrite(fd, buffer(64 * PAGE), 0) == 64 * PAGE
    os.close(fd)
    with m.moves("a live file committed", flush_ahead=64 * PAGE):
        client.track(image.id, 0, 0)
        client.commit_image(image.id)
    client.detach(image.id)


def passed(m):
    """Passed files go by the daemon: it moves bytes into the store only."""
    path, data = m.path("passed"), os.urandom(BLOCK)
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    with m.moves("a passed file, written and read"):
        assert os.pwrite(fd, data, 0) == BLOCK and os.pread(fd, BLOCK, 0) == data
    with m.moves("a passed file committed", flush_ahead=BLOCK):
        os.fsync(fd)
    os.close(fd)


zcctl, mnt, store, name = sys.argv[1:]
globals()[name](Mount(zcctl, mnt, store))
