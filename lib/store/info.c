/* SPDX-License-Identifier: MIT */
/* Facts about an open store. */
#include <string.h>

#include "store/store_i.h"

static uint64_t pending_pages(const struct store *s)
{
	uint64_t pages = 0;

	for (const struct inode *i = s->data_dirty; i; i = i->data_next) {
		struct chunk *c;

		if (!i->pend)
			continue;
		RB_FOREACH(c, chunk_tree, &i->pend->chunks)
			for (unsigned n = 0; n < c->count; n++)
				if (c->runs[n].flags & (RUN_FRESH | RUN_SHARED))
					pages += c->runs[n].count;
	}
	return pages;
}

static uint64_t total_pages(const struct store *s)
{
	return s->pages - s->free_pages - s->quarantined + alloc_available(s);
}

void store_get_info(struct store *s, struct store_info *o)
{
	LOCKED(s);

	*o = (struct store_info){
		.version = ZCF_VERSION,
		.incompat = s->super.incompat,
		.ro_compat = s->super.ro_compat,
		.compat = s->super.compat,
		.commit = s->super.commit,
		.commits = s->commit_serial,
		.logged_commits = s->intent.commits,
		.logged_bytes = s->intent.bytes,
		.inodes = s->inodes_now,
		.pages = s->super.pages,
		.free_pages = s->super.free_pages,
		.limit_pages = s->super.limit_pages,
		.total_pages = total_pages(s),
		.avail_pages = alloc_available(s),
		.pending_files = s->ndata_dirty,
		.pending_pages = pending_pages(s),
		.buffered_bytes = s->nbuffers * (uint64_t)PAGE,
		.cached_inodes = s->cached,
		.known_inodes = s->known.count,
		.read_only = s->read_only,
		.checksum = s->checksum,
		.direct = s->direct,
		.can_allocate = s->can_allocate,
		.can_punch = s->can_punch,
		.failed = s->failed,
		.failed_at = s->failed_at,
	};
	tally_get(s, o);
	memcpy(o->uuid, s->super.uuid, sizeof(o->uuid));
	memcpy(o->failure, s->failure, sizeof(o->failure));
}

void store_get_space(struct store *s, struct store_space *o)
{
	LOCKED(s);

	o->avail_pages = alloc_available(s);
	o->total_pages = total_pages(s);
	o->inodes = s->inodes_now;
}
