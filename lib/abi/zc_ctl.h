/* SPDX-License-Identifier: MIT */
/*
 * zc_ctl.h - the control socket of a mounted store.
 *
 * A daemon listens on a SOCK_SEQPACKET socket of the Unix domain, named after its store:
 *
 *	root:		/run/zcfs/UUID.sock
 *	other users:	$XDG_RUNTIME_DIR/zcfs/UUID.sock, else /tmp/zcfs-UID/UUID.sock
 *
 * in a directory of mode 0700 that belongs to the daemon's user. The daemon serves that user and
 * root only (SO_PEERCRED); the client likewise talks to a daemon of root's, of its own user, or of
 * the user who mounted. One request is one packet, and so is its reply; replies come in the order
 * of the requests. Either side gives up after ZC_CTL_TIMEOUT seconds without the other's packet.
 *
 * A packet is this header (little-endian) and `length` bytes:
 *
 *	byte  0  4	magic, ZC_CTL_MAGIC
 *	byte  4  2	version, ZC_CTL_VERSION
 *	byte  6  2	type; a reply has the request's, with ZC_CTL_REPLY set
 *	byte  8  4	length of what follows the header, exactly
 *	byte 12  4	request: 0; reply: 0, or the errno of the failure
 *
 * A request's body has at most ZC_CTL_REQUEST_MAX bytes, a reply's at most ZC_CTL_REPLY_MAX. PING
 * and INFO have an empty one. A reply's body is JSON text, not terminated: an object, which after
 * a failure has the member "error", one line for people. What is no request is answered with
 * EBADMSG (EPROTONOSUPPORT: another version; ENOSYS: unknown type), and the connection is closed.
 *
 *	PING	{"pid": 1, "version": "0.1.0"}
 *	INFO	the same, "uuid", "store" (path), "store_id" ("device:inode" of the store's
 *		directory, to tell copies of a store from each other), and the facts of the mount
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

#define ZC_CTL_ROOT_DIR "/run/zcfs"   /* root's sockets */
#define ZC_CTL_USER_DIR "zcfs"	      /* in $XDG_RUNTIME_DIR */
#define ZC_CTL_TMP_DIR "/tmp/zcfs-%u" /* with the uid */
#define ZC_CTL_SUFFIX ".sock"

enum zc_ctl_type {
	ZC_CTL_PING = 1,
	ZC_CTL_INFO = 2,
	/* Kept for: 3 commit, 4 rollback, 5 policy, 6 stats, 7 ticket. */
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
