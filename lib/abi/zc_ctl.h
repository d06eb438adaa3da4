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
 * in a directory that belongs to the daemon's user and that nobody else may write to. PING, INFO, STATS, SCRUB
 * and LIVE_LIST are for that user and root (SO_PEERCRED), the others for everybody who has the tickets they need
 * (zc_ioctl.h, which also names the socket's path). A client talks to a daemon of root's, of its own
 * user, or of the user who mounted. One request is one packet, and so is its reply; replies come in
 * the order of the requests. The daemon hangs up on who sends nothing for ZC_CTL_TIMEOUT seconds
 * (ZC_CTL_ROLLBACK_TIMEOUT during a rollback; never while the connection is attached). It answers
 * PING, INFO, STATS, LIVE_LIST and LIVE_STATUS at once; the others take as long as the disk does.
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
 * unknown type), and the connection is closed. EACCES: PING, INFO, STATS and SCRUB are not for this user. Whom
 * the daemon has no place for gets a reply of type 0, EBUSY, before it asks anything.
 *
 *	PING	no body. Reply: JSON {"pid": 1, "version": "0.1.0"}
 *	INFO	no body. Reply: the same, "uuid", "store" (path), "store_id" ("device:inode" of the
 *		store's directory, to tell copies of a store from each other), and the facts of the mount
 *
 *	STATS	no body. Reply: JSON {"pid", "version", "uuid", "store", "store_id"} as of INFO, and the
 *		ledger of the mount: the members are in zcctl(8)
 *
 *	SCRUB	verifies the pages of the last commit, from a place on, for a moment (0.2 s)
 *		byte  0  8	inode number where to begin, 0 at the start
 *		byte  8  8	chunk (MiB) of it
 *		Reply: JSON: "pages" (verified), "total", "damaged_pages", "damaged_files", "findings"
 *		(lines, at most 200), "checksums", and "next_ino", "next_chunk": where to go on, both 0 at
 *		the end.
 *
 *	COMMIT	commits the data of `n` files, all or none, as fsync does each of them; of live files
 *		their images
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
 * Live files: a client maps the very memory that the daemon serves the file from, its image (a memfd).
 * A connection is attached to one image at a time, from the reply of ATTACH to DETACH or to its own
 * end; `id` below is the image's number from that reply, and means nothing on another connection.
 *
 *	ATTACH	makes the file live, if it is not yet, and gives its image
 *		byte  0  16	a ticket
 *		byte 16  8	capacity wanted, bytes; 0: what the daemon thinks right (twice the file's
 *				size, at least 16 MiB). An image that is there already keeps its own.
 *		byte 24  4	flags: ZC_CTL_ATTACH_READ_ONLY: give a read-only descriptor, also if the
 *				ticket's file is open for writing
 *		byte 28  4	0
 *		Reply, with the memfd as the only descriptor of SCM_RIGHTS:
 *		byte  0  8	id, not 0
 *		byte  8  8	generation: other than that of every other image, also of other daemons
 *		byte 16  8	size of the file
 *		byte 24  8	capacity: length of the memfd. Bytes from the size on are zeros; what is
 *				stored there is thrown away when the file grows
 *		byte 32  4	flags: ZC_CTL_LIVE_WRITABLE: the descriptor can write;
 *				ZC_CTL_LIVE_PASSTHROUGH: the memfd has no capacity but the size of the file,
 *				and changes with it
 *		byte 36  4	0
 *		The ticket's own file may stay open, but nobody may write through it (write(2),
 *		MAP_SHARED): such bytes are refused when the kernel delivers them.
 *
 *	TRACK	tells where the image is mapped for writing, once for an attachment, before anything is
 *		stored. The mapping is registered for asynchronous userfaultfd write protection over all
 *		of its length.
 *		byte  0  8	id
 *		byte  8  8	address of the image's byte 0, of whole pages
 *		byte 16  8	length of the mapping, whole pages, at most the capacity; 0: the client cannot
 *				track
 *		and, unless the length is 0, its open /proc/self/pagemap, in SCM_RIGHTS
 *		Reply:
 *		byte  0  4	1: tracked; 0: commits compare the whole image, which is slower, not wrong
 *		byte  4  4	0
 *		Without it a writable attachment counts as one that cannot track.
 *
 *	LIVE_COMMIT	commits the image: what all clients have stored before
 *		byte  0  8	id
 *		Reply when all is durable:
 *		byte  0  8	pages that were written to the store
 *		byte  8  8	pages that had to be compared, 0 if all is tracked
 *		A read-only attachment may ask, too, as with fsync.
 *
 *	LIVE_LIST	no body. Reply: JSON: "limit_bytes", "used_bytes" (capacities), "images": [{"ino",
 *		"id", "generation", "size", "capacity", "resident_bytes", "state", "kind", "policy",
 *		"clients": [{"pid", "uid", "writable", "tracked"}], "dirty_pages" (at the last commit),
 *		"commit_age_ms" (since then; -1: never), "commits", "compares", "fills_ms"}], "left_out":
 *		images for which the packet has no room
 *
 *	LIVE_STATUS
 *		byte  0  8	id
 *		Reply:
 *		byte  0  8	generation
 *		byte  8  8	size of the file
 *		byte 16  8	capacity
 *		byte 24  4	flags, as of ATTACH
 *		byte 28  4	0
 *
 *	LIVE_ROLLBACK	gives the image its committed bytes back, in place. Stores meanwhile may be lost.
 *		byte  0  8	id, of a writable attachment
 *		Reply:
 *		byte  0  8	committed size: the size of the file from now on; the client calls
 *				ftruncate(2) to it on the mount, for the kernel has its own idea of it
 *		byte  8  8	committed mtime, seconds, signed
 *		byte 16  4	and nanoseconds
 *		byte 20  4	0
 *
 *	DETACH	ends the attachment. The client sends it while the image is still mapped, and stores
 *		nothing afterwards: its last stores are found now.
 *		byte  0  8	id
 *		Reply: no body. The client then unmaps, and may hang up or attach again.
 *		A writable client that ends without it costs one comparison of the whole image, no bytes.
 *		(But bytes that it stored, unmapped without DETACH, and that another client commits before
 *		this connection ends, may be missing in that one commit.)
 *
 *	Errors of these: ESTALE, EPERM, EBADMSG, EIO, EROFS, ENOMEM as below; EINVAL: no such id on this
 *	connection, not a regular file, a bad address or length. ATTACH also: EBUSY: this connection is
 *	attached, the file is open for writing through the kernel's cache by somebody else, or is in a
 *	rollback, or too many are attached; ENOSPC: the capacity does not fit into live_limit; EFBIG: no
 *	file is so long. TRACK: EALREADY; EACCES: not a writable attachment (TRACK, LIVE_ROLLBACK). LIVE_COMMIT:
 *	ENOSPC, EDQUOT: the store is full, nothing was committed, try again when there is room.
 *
 *	Errors of COMMIT and ROLLBACK_*: ESTALE: a ticket is unknown, used, or too old, or the file is gone; EPERM: a
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
	ZC_CTL_STATS = 7,
	ZC_CTL_ATTACH = 8,
	ZC_CTL_TRACK = 9,
	ZC_CTL_LIVE_COMMIT = 10,
	ZC_CTL_LIVE_LIST = 11,
	ZC_CTL_LIVE_STATUS = 12,
	ZC_CTL_LIVE_ROLLBACK = 13,
	ZC_CTL_DETACH = 14,
	ZC_CTL_REPLY = 0x8000,
};

#define ZC_CTL_ATTACH_READ_ONLY 1u /* flag of ATTACH */
#define ZC_CTL_LIVE_WRITABLE 1u	   /* flags of its reply and LIVE_STATUS's */
#define ZC_CTL_LIVE_PASSTHROUGH 2u

#define ZC_CTL_ATTACH_SIZE 32u /* bytes of the bodies above */
#define ZC_CTL_ATTACH_REPLY 40u
#define ZC_CTL_TRACK_SIZE 24u
#define ZC_CTL_TRACK_REPLY 8u
#define ZC_CTL_ID_SIZE 8u
#define ZC_CTL_LIVE_COMMIT_REPLY 16u
#define ZC_CTL_LIVE_STATUS_REPLY 32u
#define ZC_CTL_LIVE_ROLLBACK_REPLY 24u

struct zc_ctl_header {
	uint8_t magic[4];
	uint8_t version[2];
	uint8_t type[2];
	uint8_t length[4];
	uint8_t status[4];
};
static_assert(sizeof(struct zc_ctl_header) == 16, "on the wire");

#endif
