/* SPDX-License-Identifier: MIT */
/*
 * Advisory locks: of open files (flock), and of ranges of bytes (fcntl).
 *
 * Owns the list sv->locks.
 *
 *  1. A lock is about what its objects are about: an inode, or a ring.  Its owner is a process (fcntl's
 * old locks) or an object (flock, and those of open file descriptions).  It goes, at the latest, when the
 * process lets go of any object about the same thing, or with the object: so `what` is there as long.
 *  2. The locks of one owner about one thing do not overlap; neighbours of one type are one lock.
 *  3. Two of different owners overlap only if both are shared.  flock's are a class of their own.
 *  4. Nobody waits here: who is to wait is noted, and woken when a lock about the same thing goes.
 */
#include "exos/service/priv.h"

#define LOCKS_MAX 4096u

struct lock {
	struct lock *next;
	const void *what, *owner;
	struct proc *proc; /* the owner, if it is a process */
	uint64_t start, end;
	bool file, write;
};

static const void *
object_what(const struct object *o)
{
	return o->inode ? (const void *)o->inode : o->pipe ? (const void *)o->pipe : o;
}

static bool
same_owner(const struct lock *a, const struct lock *b)
{
	return a->what == b->what && a->owner == b->owner && a->file == b->file;
}

static bool
overlap(const struct lock *a, const struct lock *b)
{
	return a->start <= b->end && b->start <= a->end;
}

/* The first of others' locks that is in the way of `want`, or NULL. */
static struct lock *
lock_conflict(struct service *sv, const struct lock *want)
{
	struct lock *first = NULL;

	for (struct lock *l = sv->locks; l; l = l->next) {
		if (l->what == want->what && l->file == want->file && l->owner != want->owner &&
		    (l->write || want->write) && overlap(l, want) &&
		    (!first || l->start < first->start))
			first = l;
	}
	return first;
}

static void
lock_remove(struct service *sv, struct lock **link)
{
	struct lock *l = *link;

	*link = l->next;
	sv->lock_count--;
	core_free(l, sizeof(*l));
}

static void
lock_add(struct service *sv, struct lock *l, const struct lock *as)
{
	*l = *as;
	l->next = sv->locks;
	sv->locks = l;
	sv->lock_count++;
}

static void
waiters_wake(struct service *sv, const void *what)
{
	for (const struct proc *p = sv->all; p; p = p->next) {
		if (p->lock_wait == what && !proc_over(p))
			core_wake(p->env);
	}
}

/* The owner of `want` has no locks in its range any more; *spare is used if one falls into two. */
static void
range_cut(struct service *sv, const struct lock *want, struct lock **spare)
{
	struct lock **link = &sv->locks;

	while (*link) {
		struct lock *l = *link, right = *l;

		link = &l->next;
		if (!same_owner(l, want) || !overlap(l, want))
			continue;
		if (l->start < want->start && l->end > want->end) {
			right.start = want->end + 1;
			l->end = want->start - 1;
			lock_add(sv, *spare, &right);
			*spare = NULL;
			return;
		}
		if (l->start < want->start) {
			l->end = want->start - 1;
		} else if (l->end > want->end) {
			l->start = want->end + 1;
		} else {
			for (link = &sv->locks; *link != l; link = &(*link)->next)
				;
			lock_remove(sv, link);
		}
	}
}

/* Neighbours of the same type become part of *want. */
static void
range_merge(struct service *sv, struct lock *want)
{
	struct lock **link = &sv->locks;

	while (*link) {
		struct lock *l = *link;

		if (same_owner(l, want) && l->write == want->write &&
		    (l->end + 1 == want->start || want->end + 1 == l->start)) {
			want->start = l->start < want->start ? l->start : want->start;
			want->end = l->end > want->end ? l->end : want->end;
			lock_remove(sv, link);
		} else {
			link = &l->next;
		}
	}
}

static int
range_set(struct service *sv, struct lock *want, bool unlock)
{
	struct lock *spare = NULL, *new = NULL;

	if (sv->lock_count < LOCKS_MAX) {
		spare = core_alloc(sizeof(*spare));
		new = core_alloc(sizeof(*new));
	}
	if (!spare || !new) {
		if (spare)
			core_free(spare, sizeof(*spare));
		if (new)
			core_free(new, sizeof(*new));
		return -ENOLCK;
	}
	range_cut(sv, want, &spare);
	if (unlock) {
		core_free(new, sizeof(*new));
	} else {
		range_merge(sv, want);
		lock_add(sv, new, want);
	}
	if (spare)
		core_free(spare, sizeof(*spare));
	waiters_wake(sv, want->what);
	return 0;
}

/* Whether p, by waiting for the owner of `l`, would wait for itself. */
static bool
deadlock(struct service *sv, const struct proc *p, const struct lock *l)
{
	const struct proc *q = l->proc;

	for (uint32_t i = 0; q && i < PROC_MAX; i++) {
		if (q == p)
			return true;
		q = q->lock_wait ? proc_find(sv, q->lock_blocker) : NULL;
	}
	return false;
}

static int64_t
lock_wait(struct service *sv, struct proc *p, const struct lock *want, const struct lock *l,
	  bool wait)
{
	if (!wait)
		return -EAGAIN;
	if (want->proc && deadlock(sv, p, l))
		return -EDEADLK;
	p->lock_wait = want->what;
	p->lock_blocker = l->proc ? l->proc->pid : 0;
	return -EAGAIN;
}

static int64_t
lock_ask(struct svc *s, const struct lock *l)
{
	if (!l)
		return 0;
	s->a = l->write;
	s->b = l->start;
	s->c = l->end;
	s->d = l->proc ? (uint64_t)l->proc->pid : UINT64_MAX;
	return 1;
}

int64_t
op_lock(struct service *sv, struct proc *p, struct svc *s)
{
	struct object *o = object_find(sv, p, s->a);
	uint64_t flags = s->b;
	bool process = flags & SVC_LOCK_PROCESS;
	struct lock *l;
	struct lock want;

	p->lock_wait = NULL;
	if (flags & SVC_LOCK_CANCEL)
		return 0;
	if (!o || o->type == SVC_T_PATH)
		return -EBADF;
	if (s->c > s->d || s->d > INT64_MAX || flags >= SVC_LOCK_FLAGS)
		return -EINVAL;
	want = (struct lock){
		.what = object_what(o),
		.owner = process ? (const void *)p : o,
		.proc = process ? p : NULL,
		.start = s->c,
		.end = s->d,
		.file = flags & SVC_LOCK_FILE,
		.write = flags & SVC_LOCK_WRITE,
	};
	if (flags & SVC_LOCK_UNLOCK)
		return range_set(sv, &want, true);
	l = lock_conflict(sv, &want);
	if (flags & SVC_LOCK_ASK)
		return lock_ask(s, l);
	if (!want.file && (o->flags & LX_O_ACCMODE) == (want.write ? LX_O_RDONLY : LX_O_WRONLY))
		return -EBADF;
	/* A lock of a file that changes its type is given up first, as Linux does. */
	if (l && want.file)
		(void)range_set(sv, &want, true);
	return l ? lock_wait(sv, p, &want, l, flags & SVC_LOCK_WAIT) : range_set(sv, &want, false);
}

static void
locks_drop(struct service *sv, const void *what, const void *owner)
{
	struct lock **link = &sv->locks;
	bool any = false;

	while (*link) {
		if ((*link)->what == what && (*link)->owner == owner) {
			lock_remove(sv, link);
			any = true;
		} else {
			link = &(*link)->next;
		}
	}
	if (any)
		waiters_wake(sv, what);
}

/* p lets go of o. */
void
lock_process_drop(struct service *sv, const struct proc *p, const struct object *o)
{
	if (sv->locks)
		locks_drop(sv, object_what(o), p);
}

/* o is gone. */
void
lock_object_drop(struct service *sv, const struct object *o)
{
	if (sv->locks)
		locks_drop(sv, object_what(o), o);
}

/* NULL, or what is wrong. */
const char *
lock_check(struct service *sv)
{
	uint32_t count = 0;

	for (const struct lock *l = sv->locks; l; l = l->next) {
		if (l->start > l->end || (l->proc && proc_over(l->proc)))
			return "a lock";
		if (lock_conflict(sv, l))
			return "two locks exclude each other";
		for (const struct lock *m = l->next; m; m = m->next) {
			if (same_owner(l, m) && overlap(l, m))
				return "locks of one owner overlap";
		}
		count++;
	}
	return count == sv->lock_count ? NULL : "number of locks";
}
