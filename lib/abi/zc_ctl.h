/* SPDX-License-Identifier: MIT */
/*
 * zc_ctl.h - the control socket of a mounted store.
 *
 * A daemon listens on a SOCK_SEQPACKET socket of the Unix domain, named after its store:
 *
 *	root:		/run/zcfs/UUID.sock
 *	other users:	$XDG_RUNTIME_DIR/zcfs/UUID.sock, else, and with -o allow_other,
 *			/tmp/zcfs-UID/UUID.sock
 *
 * in a directory that belongs to the daemon's user and that nobody else may write to. PING, INFO and SCRUB are
 * for that user and root (SO_PEERCRED), the others for everybody who has the tickets they need
 * (zc_ioctl.h, which also names the socket's path). A client talks to a daemon of root's, of its own
 * user, or of the user who mounted. One request is one packet, and so is its reply; replies come in
 * the order of the requests. The daemon hangs up on who sends nothing for ZC_CTL_TIMEOUT seconds
 * (ZC_CTL_ROLLBACK_TIMEOUT during a rollback). It answers PING and INFO at once; the others take as
 * long as the disk does.
 *
 * A packet is this header (little-endian) and `length` bytes:
 *
 *	byte  0  4	magic, ZC_CTL_MAGIC
 *	byte  4  2	version, ZC_CTL_VERSION
 *	byte  6  2	type; a reply has the request's, with ZC_CTL_REPLY set
 *	byte  8  4	length of what follows the header, exactly
 *	byte 12  4	request: 0; reply: 0, or the errno of the failure
 *
 * A request's body has at most ZC_CTL_REQUEST_MAX bytes, a reply's at most ZC_CTL_REPLY_MAX. After a
 * failure a reply's body is JSON text, not terminated: an object with the member "error", one line for
 * people. What is no request is answered with EBADMSG (EPROTONOSUPPORT: another version; ENOSYS:
 * unknown type), and the connection is closed. EACCES: PING, INFO and SCRUB are not for this user. Whom
 * the daemon has no place for gets a reply of type 0, EBUSY, before it asks anything.
 *
 *	PING	no body. Reply: JSON {"pid": 1, "version": "0.1.0"}
 *	INFO	no body. Reply: the same, "uuid", "store" (path), "store_id" ("device:inode" of the
 *		store's directory, to tell copies of a store from each other), and the facts of the mount
 *
 *	SCRUB	verifies the pages of the last commit, from a place on, for a moment (0.2 s)
 *		byte  0  8	inode number where to begin, 0 at the start
 *		byte  8  8	chunk (MiB) of it
 *		Reply: JSON: "pages" (verified), "total", "damaged_pages", "damaged_files", "findings"
 *		(lines, at most 200), "checksums", and "next_ino", "next_chunk": where to go on, both 0 at
 *		the end.
 *
 *	COMMIT	commits the data of `n` files, all or none, as fsync does each of them
 *		byte  0  4	n, 1 to ZC_CTL_COMMIT_MAX
 *		byte  4  4	0
 *		byte  8  16 n	tickets
 *		Reply when all is durable: no body. The kernel's dirty pages are not part of it: have each
 *		file flushed before (close(dup(fd))).
 *
 *	ROLLBACK_BEGIN	returns a file to its last commit. One at a time on a connection.
 *		byte  0  16	a ticket of a file open for writing
 *		Reply, once the store has the committed state:
 *		byte  0  8	id
 *		byte  8  8	committed size
 *		byte 16  8	committed mtime, seconds, signed
 *		byte 24  4	and nanoseconds
 *		byte 28  4	0
 *		From here on what is written to the file, and its size and times, are thrown away. The
 *		client now does ftruncate(2) to this size and futimens(2) to this mtime (atime:
 *		UTIME_OMIT), for the kernel has its own idea of both.
 *	ROLLBACK_END
 *		byte  0  8	id
 *		Reply: no body; every reader sees the committed bytes now. EAGAIN: the file has another
 *		size in the kernel, because ftruncate was left out or somebody wrote behind the end
 *		since: do both again, then ask again.
 *		Without it the end of the connection ends the rollback; the file then has the committed
 *		bytes at the size that the kernel knows.
 *
 *	Errors of these three: ESTALE: a ticket is unknown, used, or too old, or the file is gone; EPERM: a
 *	ticket of another process; EBADMSG: a wrong length or number; EROFS, EIO: the store is
 *	read-only, or became so; ENOMEM. COMMIT also: EINVAL. ROLLBACK_*: EACCES: the ticket's file is
 *	not open for writing; EINVAL: not a regular file, or no such id; EBUSY: the file, or this
 *	connection, is in a rollback already, or too many are going on. The tickets are used up.
 *
 * Since version 0.1.
 */
#ifndef ZC_CTL_H
#define ZC_CTL_H

#include <assert.h>
#include <stdint.h>

#define ZC_CTL_MAGIC 0x4354435au /* "ZCTC" */
#define ZC_CTL_VERSION 1u
#define ZC_CTL_REQUEST_MAX 4096u
#define ZC_CTL_REPLY_MAX 65536u
#define ZC_CTL_TIMEOUT 5
#define ZC_CTL_ROLLBACK_TIMEOUT 60
#define ZC_CTL_COMMIT_MAX 255u

#define ZC_CTL_ROOT_DIR "/run/zcfs"   /* root's sockets */
#define ZC_CTL_USER_DIR "zcfs"	      /* in $XDG_RUNTIME_DIR */
#define ZC_CTL_TMP_DIR "/tmp/zcfs-%u" /* with the uid */
#define ZC_CTL_SUFFIX ".sock"

enum zc_ctl_type {
	ZC_CTL_PING = 1,
	ZC_CTL_INFO = 2,
	ZC_CTL_COMMIT = 3,
	ZC_CTL_ROLLBACK_BEGIN = 4,
	ZC_CTL_ROLLBACK_END = 5,
	ZC_CTL_SCRUB = 6,
	/* Kept for: 7 stats. */
	ZC_CTL_REPLY = 0x8000,
};

struct zc_ctl_header {
	uint8_t magic[4];
	uint8_t version[2];
	uint8_t type[2];
	uint8_t length[4];
	uint8_t status[4];
};
static_assert(sizeof(struct zc_ctl_header) == 16, "on the wire");

#endif
