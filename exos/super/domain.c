/* SPDX-License-Identifier: MIT */
/*
 * The birth of a domain: a name, a service environment in a space of its own, and what it is given.
 *
 * Everything of a domain is guarded by its name, a child of the root with every right but those to
 * devices and to the machine's end.  The service holds that name as its own capability, so it can
 * make environments and share memory below it, and the right to wake the supervisor; nothing else.
 * Its account limits the domain to an equal share of the machine; frames that the supervisor gives
 * at birth are the supervisor's to pay.
 *
 * A space may have few guaranteed pages.  They go, in this order, to the area and the private
 * pages, without which the service could not handle a fault, and to the text, as far as they reach.
 */
#include "../core/priv.h"
#include "../linux/errno.h"
#include "priv.h"

#define NAME_RIGHTS  (AEGIS_ALL & ~(AEGIS_DEVICE | AEGIS_POWER))
#define READ_WRITE   (AEGIS_BIND_READ | AEGIS_BIND_WRITE)
#define FRAMES_KEPT  512u  /* for the supervisor's own tables */
#define FRAMES_BIRTH 192u  /* what the supervisor gives a domain */
#define NAMES        7680u /* of the kernel's names, those that domains share */
#define BATCH        64u

/* What is given up once the service has it. */
struct birth {
	uint32_t area[EXOS_AREA_PAGES];
	uint32_t private[EXOS_PRIVATE_PAGES];
	uint32_t env_frame;
	const char *step; /* for the log */
};

void
super_shares(struct super *s)
{
	uint32_t n = s->domain_count, kept = FRAMES_KEPT + n * FRAMES_BIRTH;
	uint32_t free = SYSPAGE->free_frames;

	s->share[0] = (free > kept ? free - kept : free / 2) / n;
	s->share[1] = (AEGIS_ENVS - 64) / n;
	s->share[2] = NAMES / n;
	/* Whatever domains do with theirs, a quarter of each processor stays with those who own nothing. */
	s->share[3] = AEGIS_SLICES / 4 * 3 / n;
}

static int
error_of(int64_t st)
{
	return st < 0 ? core_error(st) : 0;
}

static int
space_make(struct domain *d)
{
	struct aegis_frame_rec *rec = (struct aegis_frame_rec *)EXOS_BATCH;
	uint32_t frames[AEGIS_SPACE_FRAMES];
	int64_t st;
	int err = core_frames_alloc(d->slot, frames, AEGIS_SPACE_FRAMES);

	if (err)
		return err;
	for (uint32_t i = 0; i < AEGIS_SPACE_FRAMES; i++)
		rec[i] = (struct aegis_frame_rec){frames[i], 0};
	st = aegis_space_create(d->service_slot, EXOS_BATCH_OFFSET, 0);
	if (st < 0) {
		core_frames_free(frames, AEGIS_SPACE_FRAMES);
		return core_error(st);
	}
	d->space = (uint32_t)st;
	return 0;
}

static int
env_make(const struct super *s, struct domain *d, struct birth *b)
{
	uint32_t frames[AEGIS_ENV_FRAMES];
	int64_t st;
	int err = core_frames_alloc(d->slot, frames, AEGIS_ENV_FRAMES);

	if (err)
		return err;
	*(struct aegis_env_create *)EXOS_BATCH = (struct aegis_env_create){
		.frames = {frames[0], frames[1], frames[2]},
		.space = d->space,
		.flags = AEGIS_ENV_ACCOUNT,
		.frame_limit = s->share[0],
		.env_limit = s->share[1],
		.node_limit = s->share[2],
		.slice_limit = s->share[3],
	};
	st = aegis_env_create(d->service_slot, EXOS_BATCH_OFFSET);
	if (st < 0) {
		core_frames_free(frames, AEGIS_ENV_FRAMES);
		return core_error(st);
	}
	d->env = (uint32_t)st;
	b->env_frame = frames[2];
	return 0;
}

static int
bind(struct domain *d, uint64_t va, const uint32_t *frames, uint32_t n, uint32_t prot)
{
	return core_bind(d->slot, d->space, va, frames, n, prot);
}

static int
own_pages(struct domain *d, struct birth *b)
{
	int err = core_frames_alloc(d->slot, b->area, EXOS_AREA_PAGES);

	if (!err)
		err = core_frames_alloc(d->slot, b->private, EXOS_PRIVATE_PAGES);
	if (!err)
		err = bind(d, EXOS_AREA, b->area, EXOS_AREA_PAGES,
			   READ_WRITE | AEGIS_BIND_GUARANTEED);
	if (!err)
		err = bind(d, EXOS_PRIVATE, b->private, EXOS_PRIVATE_PAGES,
			   READ_WRITE | AEGIS_BIND_GUARANTEED);
	return err;
}

/* The kernel's pages.  Its own page a service can also bind by itself, should this be refused. */
static int
exposed_pages(const struct super *s, struct domain *d, const struct birth *b)
{
	int err = core_hold(EXOS_CAP_OWN, &b->env_frame, 1, AEGIS_READ);

	if (!err)
		err = bind(d, EXOS_ENVPAGE, &b->env_frame, 1, AEGIS_BIND_READ);
	if (err)
		core_log("exos: environment page of service %u is not bound: error %d\n", d->number,
			 -err);
	return bind(d, EXOS_SYSPAGE, &s->boot->system_frame, 1, AEGIS_BIND_READ);
}

/* The image as the boot space has it; what may be written there, nobody writes. */
static int
image_bind(const struct super *s, struct domain *d)
{
	const struct aegis_boot_page *boot = s->boot;
	struct aegis_bind binds[BATCH];
	uint32_t n = 0;
	int err = 0;

	for (uint64_t va = boot->image_low; va < boot->image_high && !err; va += AEGIS_PAGE) {
		uint64_t pte = *aegis_window(va);

		if (!(pte & AEGIS_PTE_PRESENT))
			continue;
		binds[n++] = (struct aegis_bind){
			.va = va,
			.pfn = (uint32_t)((pte & AEGIS_PTE_FRAME) >> AEGIS_PAGE_SHIFT),
			.prot = AEGIS_BIND_READ | (pte & AEGIS_PTE_NX ? 0 : AEGIS_BIND_EXEC),
		};
		if (n == BATCH) {
			err = core_bind_each(d->slot, d->space, binds, n);
			n = 0;
		}
	}
	return err ? err : core_bind_each(d->slot, d->space, binds, n);
}

/* Text again, guaranteed, while the kernel has guarantees left. */
static int
image_pin(const struct super *s, struct domain *d)
{
	const struct aegis_boot_page *boot = s->boot;
	int err = 0;

	for (uint64_t va = boot->image_low; va < boot->image_high && !err; va += AEGIS_PAGE) {
		uint64_t pte = *aegis_window(va);
		uint32_t pfn = (uint32_t)((pte & AEGIS_PTE_FRAME) >> AEGIS_PAGE_SHIFT);

		if ((pte & AEGIS_PTE_PRESENT) && !(pte & AEGIS_PTE_NX))
			err = bind(d, va, &pfn, 1,
				   AEGIS_BIND_READ | AEGIS_BIND_EXEC | AEGIS_BIND_GUARANTEED);
	}
	return err == -EAGAIN ? 0 : err;
}

static int
archive_share(struct super *s, struct domain *d)
{
	uint32_t pages = (uint32_t)((s->boot->archive_bytes + AEGIS_PAGE - 1) / AEGIS_PAGE);
	uint32_t most = sizeof(s->scratch) / sizeof(s->scratch[0]);
	int err = 0;

	for (uint32_t done = 0; done < pages && !err;) {
		uint32_t n = pages - done < most ? pages - done : most;

		for (uint32_t i = 0; i < n; i++)
			s->scratch[i] = s->boot->archive_frame + done + i;
		err = core_share(d->slot, d->space, s->scratch, n, AEGIS_READ);
		done += n;
	}
	return err;
}

/* ---- streams ---- */

static uint32_t
stream_kind(const struct super *s, const struct domain *d, uint32_t n)
{
	static const char keys[3][8] = {"stdin", "stdout", "stderr"};
	int number = (int)d->number;

	if (n == 3)
		return d->number == 0 && s->terminal_stream ? HOST_TTY : HOST_CLOSED;
	if (super_manifest_is(s, number, keys[n], "tty"))
		return n == 0 || s->terminal_stream ? HOST_TTY : HOST_CLOSED;
	if (n == 2 && super_manifest_is(s, number, "same", "1"))
		return HOST_SAME;
	if (super_manifest_is(s, number, keys[n], "pipe") ||
	    super_manifest_is(s, number, keys[n], "file"))
		return HOST_PIPE;
	return super_manifest_is(s, number, keys[n], "null") ? HOST_NULL : HOST_CLOSED;
}

static int
ring_make(struct domain *d, uint32_t n, uint32_t kind)
{
	struct stream *st = &d->stream[n];
	int err = core_frames_alloc(d->slot, st->frames, RING_PAGES + 1);
	void *at;

	if (err)
		return err;
	at = core_arena_map(st->frames, RING_PAGES + 1, READ_WRITE);
	if (!at)
		return -ENOMEM;
	super_ring_open(st, at, kind);
	return core_share(d->slot, d->space, st->frames, RING_PAGES + 1, AEGIS_READ | AEGIS_WRITE);
}

/*
 * The terminal has one ring for output, on the stream that the manifest says.  Every other output
 * that is the terminal, and stream 3 always, shows that ring's frames.
 */
static int
streams_make(const struct super *s, struct domain *d)
{
	int err = 0;

	for (uint32_t n = 0; n < CHANNEL_STREAMS && !err; n++) {
		uint32_t kind = stream_kind(s, d, n);

		d->host->stream[n].kind = kind;
		if (kind == HOST_PIPE || (kind == HOST_TTY && (n == 0 || n == s->terminal_stream)))
			err = ring_make(d, n, kind);
	}
	if (d->stream[0].kind == HOST_TTY)
		d->stream[0].wanted = s->terminal_input;
	for (uint32_t n = 0; n < CHANNEL_STREAMS && !err; n++) {
		uint32_t from = n && d->host->stream[n].kind == HOST_TTY ? s->terminal_stream : n;

		if (!d->stream[from].ring.shared)
			continue;
		d->host->stream[n].pages = RING_PAGES;
		memcpy(d->host->stream[n].frames, d->stream[from].frames,
		       sizeof(d->stream[from].frames));
	}
	return err;
}

static int
host_page_make(struct super *s, struct domain *d)
{
	int err = core_frames_alloc(d->slot, &d->host_frame, 1);

	if (err)
		return err;
	d->host = core_arena_map(&d->host_frame, 1, READ_WRITE);
	if (!d->host)
		return -ENOMEM;
	d->host->domain = d->number;
	d->host->supervisor_env = s->boot->env;
	d->host->archive_frame = s->boot->archive_frame;
	d->host->archive_bytes = s->boot->archive_bytes;
	d->host->manifest_frame = s->manifest_frame;
	d->host->manifest_offset = (uint32_t)((uint64_t)s->manifest % AEGIS_PAGE);
	d->host->manifest_bytes = (uint32_t)s->manifest_bytes;
	d->host->image_frame = s->boot->image_frame;
	d->host->image_pages = (uint32_t)((s->boot->image_high - s->boot->image_low) / AEGIS_PAGE);
	return bind(d, EXOS_MAIL, &d->host_frame, 1, READ_WRITE);
}

/* ---- the environment ---- */

static int
grants_make(const struct domain *d)
{
	int64_t st = aegis_cap_grant(d->slot, d->slot, d->env, NAME_RIGHTS, EXOS_CAP_OWN);

	if (st >= 0)
		st = aegis_cap_grant(d->service_slot, d->slot, d->env, AEGIS_CALL | AEGIS_GRANT,
				     EXOS_CAP_SERVICE);
	if (st >= 0)
		st = aegis_cap_grant(EXOS_CAP_OWN, d->slot, d->env, AEGIS_WAKE, EXOS_CAP_HOST);
	return error_of(st);
}

/* The window onto the control page is closed first: the last binding of a page of an area stays. */
static int
setup_write(struct domain *d, const struct birth *b)
{
	struct control *c = core_arena_map(b->area, 1, READ_WRITE);
	struct aegis_setup setup;

	if (!c)
		return -ENOMEM;
	core_setup_fill(&setup, c, ROLE_SERVICE, d->env, d->space, d->number % SYSPAGE->cpus);
	core_arena_unmap(c, 1);
	*(struct aegis_setup *)EXOS_BATCH = setup;
	return error_of(aegis_env_write(d->slot, d->env, EXOS_BATCH_OFFSET));
}

static int
domain_make(struct super *s, struct domain *d, struct birth *b)
{
	int err;

	b->step = "name";
	err = error_of(aegis_cap_derive(EXOS_CAP_OWN, NAME_RIGHTS, d->slot));
	if (!err)
		err = error_of(aegis_cap_derive(d->slot, NAME_RIGHTS, d->service_slot));
	if (err)
		return err;
	b->step = "space";
	err = space_make(d);
	if (err)
		return err;
	b->step = "environment";
	err = env_make(s, d, b);
	if (err)
		return err;
	b->step = "pages of its own";
	err = own_pages(d, b);
	if (err)
		return err;
	b->step = "pages of the kernel";
	err = exposed_pages(s, d, b);
	if (err)
		return err;
	b->step = "host page";
	err = host_page_make(s, d);
	if (err)
		return err;
	b->step = "streams";
	err = streams_make(s, d);
	if (err)
		return err;
	b->step = "archive";
	err = archive_share(s, d);
	if (err)
		return err;
	b->step = "image";
	err = image_bind(s, d);
	if (err)
		return err;
	b->step = "start";
	err = grants_make(d);
	if (!err)
		err = setup_write(d, b);
	if (!err)
		err = image_pin(s, d);
	return err ? err : error_of(aegis_wake(d->slot, d->env, 0));
}

/* What a birth that failed has made so far. */
static void
domain_undo(struct domain *d)
{
	int64_t st;

	if (d->env) {
		do
			st = aegis_env_destroy(d->slot, d->env);
		while (st == AEGIS_AGAIN);
	}
	if (d->space) {
		do
			st = aegis_space_destroy(d->slot, d->space);
		while (st == AEGIS_AGAIN);
	}
	for (uint32_t n = 0; n < CHANNEL_STREAMS; n++) {
		struct stream *st_n = &d->stream[n];

		if (!st_n->ring.shared)
			continue;
		core_arena_unmap(st_n->ring.shared, RING_PAGES + 1);
		core_frames_free(st_n->frames, RING_PAGES + 1);
		st_n->ring.shared = NULL;
	}
	if (d->host)
		core_arena_unmap(d->host, 1);
	if (d->host_frame)
		core_frames_free(&d->host_frame, 1);
	d->host = NULL;
}

int
super_domain_start(struct super *s, uint32_t number)
{
	struct domain *d = &s->domain[number];
	struct birth b = {.step = ""};
	int err;

	d->number = number;
	d->slot = SLOT_FIRST + number;
	d->service_slot = SLOT_FIRST + CHANNEL_DOMAINS + number;
	err = domain_make(s, d, &b);
	if (err) {
		core_log("exos: domain %u: no %s: error %d\n", number, b.step, -err);
		domain_undo(d);
	} else {
		d->state = DOMAIN_RUNNING;
	}
	if (b.area[0])
		core_frames_free(b.area, EXOS_AREA_PAGES);
	if (b.private[0])
		core_frames_free(b.private, EXOS_PRIVATE_PAGES);
	return err;
}
