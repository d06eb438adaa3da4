/* SPDX-License-Identifier: MIT */
/* ctl_calls.c - see ctl_calls.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "abi/zc_ctl.h"
#include "ctl_calls.h"
#include "fs.h"
#include "live.h"
#include "passthrough.h"
#include "util/bytes.h"
#include "util/cleanup.h"

struct commit {
	struct ctl_call *call;
	size_t n;
	uint64_t inos[];
};

int ctl_calls_redeem(struct ctl_call *call, const uint8_t *id, struct ticket *ret_ticket)
{
	struct store_attr attr;
	int r = tickets_take(id, call->peer.uid, call->peer.pid, fs_now_ms(), ret_ticket);

	if (r == 0)
		r = store_ref(fs.store, ret_ticket->ino, &attr);
	if (r == -ENOENT)
		r = -ESTALE;
	if (r < 0)
		ctl_call_answer(call, r,
				r == -ESTALE  ? "a ticket is unknown, used, or too old; ask for "
						"another one"
				: r == -EPERM ? "a ticket belongs to another process"
					      : NULL,
				NULL, 0);
	return r;
}

static void forget(const struct commit *c)
{
	for (size_t i = 0; i < c->n; i++)
		store_forget(fs.store, c->inos[i], 1);
}

static void committed(void *arg, int result)
{
	zu_cleanup_free struct commit *c = arg;

	forget(c);
	ctl_call_answer(c->call, result,
			result < 0 ? "the commit failed; zcctl info says why" : NULL, NULL, 0);
}

static void commit_live(void *arg)
{
	struct commit *c = arg;

	committed(c, live_commit(fs_live, c->inos, c->n, 0, NULL));
}

/* Some of them may be live. */
static void start_live(struct commit *c)
{
	int r = live_run(fs_live, LIVE_OF_CLIENT, c->inos[0], c->call->peer.uid, commit_live, c);

	if (r == 0)
		return;
	forget(c);
	ctl_call_answer(c->call, r, NULL, NULL, 0);
	free(c);
}

static void commit(struct ctl_call *call)
{
	size_t n = call->length >= 8 ? zu_get_le32(call->body) : 0;
	zu_cleanup_free struct commit *c = NULL;
	struct ticket t;

	if (n == 0 || n > ZC_CTL_COMMIT_MAX || call->length != 8 + n * ZC_TICKET_SIZE ||
	    zu_get_le32(call->body + 4) != 0) {
		ctl_call_answer(call, -EBADMSG, "a commit with a wrong length or number", NULL, 0);
		return;
	}
	c = malloc(sizeof(*c) + n * sizeof(c->inos[0]));
	if (!c) {
		ctl_call_answer(call, -ENOMEM, NULL, NULL, 0);
		return;
	}
	*c = (struct commit){ .call = call };
	for (size_t i = 0; i < n; i++) {
		if (ctl_calls_redeem(call, call->body + 8 + i * ZC_TICKET_SIZE, &t) < 0) {
			forget(c);
			return;
		}
		c->inos[c->n++] = t.ino;
	}
	if (fs_live_is(0) || passthrough_has(0))
		start_live(c);
	else
		store_commit_start(fs.store, c->inos, c->n, 0, committed, c);
	TAKE_PTR(c); /* the callback's, and gone already perhaps */
}

void ctl_calls_gone(void *arg, uint64_t client)
{
	rollback_gone(arg, client);
	live_ctl_gone(client);
}

void ctl_calls_take(void *arg, struct ctl_call *call)
{
	switch (call->type) {
	case ZC_CTL_COMMIT:
		commit(call);
		return;
	case ZC_CTL_ROLLBACK_BEGIN:
		rollback_begin(call);
		return;
	case ZC_CTL_ATTACH:
	case ZC_CTL_TRACK:
	case ZC_CTL_LIVE_COMMIT:
	case ZC_CTL_LIVE_STATUS:
	case ZC_CTL_LIVE_ROLLBACK:
	case ZC_CTL_DETACH:
		live_ctl_call(call);
		return;
	default:
		rollback_end(call);
		return;
	}
}
