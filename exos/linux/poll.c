/* SPDX-License-Identifier: MIT */
/*
 * poll, select and their kin: waiting for any of several files.
 *
 * Owns nothing.  One round looks at every file and notes the caller as a waiter where it would have
 * to wait; if nothing is ready it sleeps on the event count that was read before the round, so no
 * change is missed.  Notes that were not used are taken back.
 *
 * 1. A round never sleeps; a sleep is cut short only when a file had no place for a note.
 */
#include "exos/core/core.h"
#include "exos/fd/fd.h"
#include "exos/linux/abi.h"
#include "exos/linux/call.h"
#include "exos/linux/calls.h"

#define NS         1000000000ll
#define LOOK_NS    20000000ull /* when nobody would wake us */
#define POLL_FAST  16u
#define SET_WORDS  (LX_FD_SETSIZE / 64)
#define BITS_READ  (LX_POLLIN | LX_POLLRDNORM | LX_POLLRDBAND | LX_POLLHUP | LX_POLLERR)
#define BITS_WRITE (LX_POLLOUT | LX_POLLWRNORM | LX_POLLWRBAND | LX_POLLERR)
#define BITS_OTHER LX_POLLPRI

/* ---- timeouts ---- */

static uint64_t
deadline_after(int64_t sec, int64_t ns)
{
	uint64_t now = core_now_ns();

	if (sec > INT64_MAX / NS - 1)
		return AEGIS_NEVER;
	if ((uint64_t)(sec * NS + ns) > AEGIS_NEVER - 1 - now)
		return AEGIS_NEVER;
	return now + (uint64_t)(sec * NS + ns);
}

/* *deadline of a struct timespec of the program, AEGIS_NEVER if it gave none. */
static int64_t
deadline_of_spec(uint64_t user, uint64_t *deadline)
{
	struct lx_timespec t;

	*deadline = AEGIS_NEVER;
	if (!user)
		return 0;
	if (copy_in(&t, user, sizeof(t)))
		return -EFAULT;
	if (t.tv_sec < 0 || t.tv_nsec < 0 || t.tv_nsec >= NS)
		return -EINVAL;
	*deadline = deadline_after(t.tv_sec, t.tv_nsec);
	return 0;
}

/* What is left goes back to where the time came from; Linux does not complain if that fails. */
static void
deadline_give(uint64_t user, uint64_t deadline, int64_t unit)
{
	uint64_t now = core_now_ns(), left = deadline > now ? deadline - now : 0;
	int64_t t[2] = {(int64_t)(left / (uint64_t)NS), (int64_t)(left % (uint64_t)NS) / unit};

	if (user && deadline != AEGIS_NEVER)
		copy_out(user, t, sizeof(t));
}

static int64_t
mask_of(uint64_t user, uint64_t size)
{
	uint64_t mask;

	if (!user)
		return 0;
	if (size != LX_SIGSET_BYTES)
		return -EINVAL;
	if (copy_in(&mask, user, sizeof(mask)))
		return -EFAULT;
	signal_mask_for_call(mask);
	return 0;
}

/* ---- rounds ---- */

/* What is asked of one descriptor, and what the answer was. */
struct watch {
	int32_t fd;
	uint32_t wanted, found;
};

typedef bool watch_next(void *of, uint32_t *cursor, struct watch *w);
typedef void watch_answer(void *of, uint32_t cursor, const struct watch *w);

/* A list of watches, whatever the program calls it. */
struct watches {
	void *of;
	watch_next *next;     /* false: no more; cursor is past the one that it gave */
	watch_answer *answer; /* NULL: not kept */
	bool bad_fd;          /* a descriptor that is not open fails the whole call */
};

/* How many are ready, or -EBADF.  With look, the caller is noted where it has to wait, and *look
 * says that a file had no place for it; without, the answers are kept. */
static int64_t
round_look(const struct watches *list, bool *look)
{
	uint32_t cursor = 0;
	int64_t ready = 0;
	struct watch w;
	struct file *f;

	while (list->next(list->of, &cursor, &w)) {
		f = fd_file(w.fd);
		if (!f && list->bad_fd)
			return -EBADF;
		w.found = f ? file_poll(f, look && !ready) : LX_POLLNVAL;
		if (look && (w.found & FILE_POLL_FULL))
			*look = true;
		w.found &= w.wanted | LX_POLLERR | LX_POLLHUP | LX_POLLNVAL;
		if (list->bad_fd)
			w.found &= w.wanted;
		ready += w.found != 0;
		if (!look)
			list->answer(list->of, cursor, &w);
	}
	return ready;
}

static void
round_forget(const struct watches *list)
{
	uint32_t cursor = 0;
	struct watch w;
	struct file *f;

	while (list->next(list->of, &cursor, &w)) {
		f = fd_file(w.fd);
		if (f)
			file_poll_done(f);
	}
}

static int64_t
watches_wait(const struct watches *list, uint64_t deadline)
{
	uint64_t until;
	uint32_t seen;
	int64_t ready;
	bool look;

	for (;;) {
		seen = core_events();
		ready = round_look(list, NULL);
		if (ready || core_now_ns() >= deadline)
			return ready;
		look = false;
		ready = round_look(list, &look);
		until = look ? core_now_ns() + LOOK_NS : AEGIS_NEVER;
		if (until > deadline)
			until = deadline;
		if (!ready && process_block(seen, until) == -LX_ERESTARTSYS)
			ready = -EINTR;
		round_forget(list);
		if (ready < 0)
			return ready;
	}
}

/* ---- poll ---- */

struct poll_list {
	struct lx_pollfd *fds;
	uint32_t count;
};

static bool
poll_next(void *of, uint32_t *cursor, struct watch *w)
{
	const struct poll_list *list = of;
	const struct lx_pollfd *p;

	while (*cursor < list->count) {
		p = &list->fds[(*cursor)++];
		if (p->fd < 0)
			continue;
		*w = (struct watch){.fd = p->fd, .wanted = (uint16_t)p->events};
		return true;
	}
	return false;
}

static void
poll_answer(void *of, uint32_t cursor, const struct watch *w)
{
	const struct poll_list *list = of;

	list->fds[cursor - 1].revents = (int16_t)w->found;
}

/* Only revents go back: another may hold the rest. */
static int64_t
poll_give(uint64_t user, const struct poll_list *list)
{
	for (uint32_t i = 0; i < list->count; i++)
		if (copy_out(user + i * sizeof(*list->fds) + offsetof(struct lx_pollfd, revents),
			     &list->fds[i].revents, sizeof(list->fds[i].revents)))
			return -EFAULT;
	return 0;
}

static int64_t
poll_until(uint64_t user, uint64_t count, uint64_t deadline)
{
	struct lx_pollfd fast[POLL_FAST];
	struct poll_list list = {fast, (uint32_t)count};
	struct watches watches = {&list, poll_next, poll_answer, false};
	size_t bytes = count * sizeof(*fast);
	int64_t ready;

	if (count > fd_table()->limit)
		return -EINVAL;
	if (count > POLL_FAST)
		list.fds = core_alloc(bytes);
	if (!list.fds)
		return -ENOMEM;
	ready = bytes && copy_in(list.fds, user, bytes) ? -EFAULT : 0;
	if (!ready) {
		for (uint32_t i = 0; i < list.count; i++)
			list.fds[i].revents = 0;
		ready = watches_wait(&watches, deadline);
	}
	if (ready >= 0 && poll_give(user, &list))
		ready = -EFAULT;
	if (list.fds != fast)
		core_free(list.fds, bytes);
	return ready;
}

int64_t
sys_poll(struct call *c)
{
	int32_t ms = (int32_t)c->a[2];

	return poll_until(c->a[0], (uint32_t)c->a[1],
			  ms < 0 ? AEGIS_NEVER
				 : deadline_after(ms / 1000, ms % 1000 * (NS / 1000)));
}

int64_t
sys_ppoll(struct call *c)
{
	uint64_t deadline;
	int64_t got = deadline_of_spec(c->a[2], &deadline);

	if (!got)
		got = mask_of(c->a[3], c->a[4]);
	if (got)
		return got;
	got = poll_until(c->a[0], (uint32_t)c->a[1], deadline);
	deadline_give(c->a[2], deadline, 1);
	return got;
}

/* ---- select ---- */

struct select_sets {
	uint64_t in[3][SET_WORDS], out[3][SET_WORDS]; /* read, write, exceptional */
	uint32_t count;
	int64_t bits; /* set in out */
};

static bool
set_test(const uint64_t *set, uint32_t fd)
{
	return set[fd / 64] >> (fd % 64) & 1;
}

static bool
select_next(void *of, uint32_t *cursor, struct watch *w)
{
	const struct select_sets *s = of;

	while (*cursor < s->count) {
		uint32_t fd = (*cursor)++;

		*w = (struct watch){.fd = (int32_t)fd};
		if (set_test(s->in[0], fd))
			w->wanted |= BITS_READ;
		if (set_test(s->in[1], fd))
			w->wanted |= BITS_WRITE;
		if (set_test(s->in[2], fd))
			w->wanted |= BITS_OTHER;
		if (w->wanted)
			return true;
	}
	return false;
}

static void
select_answer(void *of, uint32_t cursor, const struct watch *w)
{
	static const uint32_t bits[3] = {BITS_READ, BITS_WRITE, BITS_OTHER};
	struct select_sets *s = of;
	uint32_t fd = cursor - 1;

	for (int i = 0; i < 3; i++) {
		if (!set_test(s->in[i], fd) || !(w->found & bits[i]))
			continue;
		s->out[i][fd / 64] |= 1ul << (fd % 64);
		s->bits++;
	}
}

static int64_t
select_sets_take(struct select_sets *s, const uint64_t user[3], int32_t n)
{
	uint64_t last;
	size_t bytes;

	if (n < 0)
		return -EINVAL;
	s->count = n < LX_FD_SETSIZE ? (uint32_t)n : LX_FD_SETSIZE;
	bytes = (s->count + 63) / 64 * 8;
	last = s->count % 64 ? (1ul << (s->count % 64)) - 1 : UINT64_MAX;
	for (int i = 0; i < 3; i++) {
		if (user[i] && bytes && copy_in(s->in[i], user[i], bytes))
			return -EFAULT;
		if (bytes)
			s->in[i][bytes / 8 - 1] &= last;
	}
	return 0;
}

static int64_t
select_until(const uint64_t user[3], int32_t n, uint64_t deadline)
{
	struct select_sets s = {0};
	struct watches watches = {&s, select_next, select_answer, true};
	int64_t got = select_sets_take(&s, user, n);
	size_t bytes = (s.count + 63) / 64 * 8;

	if (!got)
		got = watches_wait(&watches, deadline);
	if (got < 0)
		return got;
	for (int i = 0; i < 3; i++)
		if (user[i] && bytes && copy_out(user[i], s.out[i], bytes))
			return -EFAULT;
	return s.bits;
}

int64_t
sys_select(struct call *c)
{
	const uint64_t user[3] = {c->a[1], c->a[2], c->a[3]};
	uint64_t deadline = AEGIS_NEVER;
	int64_t t[2], got;

	if (c->a[4]) {
		if (copy_in(t, c->a[4], sizeof(t)))
			return -EFAULT;
		if (t[0] < 0 || t[1] < 0)
			return -EINVAL;
		if (__builtin_add_overflow(t[0], t[1] / 1000000, &t[0]))
			t[0] = INT64_MAX;
		deadline = deadline_after(t[0], t[1] % 1000000 * 1000);
	}
	got = select_until(user, (int32_t)c->a[0], deadline);
	deadline_give(c->a[4], deadline, 1000);
	return got;
}

int64_t
sys_pselect6(struct call *c)
{
	const uint64_t user[3] = {c->a[1], c->a[2], c->a[3]};
	struct lx_sigset_argpack pack = {0};
	uint64_t deadline;
	int64_t got;

	if (c->a[5] && copy_in(&pack, c->a[5], sizeof(pack)))
		return -EFAULT;
	got = deadline_of_spec(c->a[4], &deadline);
	if (!got)
		got = mask_of(pack.set, pack.size);
	if (got)
		return got;
	got = select_until(user, (int32_t)c->a[0], deadline);
	deadline_give(c->a[4], deadline, 1);
	return got;
}
