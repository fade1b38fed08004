/* SPDX-License-Identifier: MIT */
/*
 * Fork and vfork: a second process out of this one, made by the library.
 *
 * The service makes an empty environment and space (and binds the image, the mail and the message
 *pages there); everything else is the parent's work, with its user's capability over the child's
 *space:
 *
 *	area		copied: control page, and the upcall stack from the saved context upwards
 *	private pages	copied, after the copy bits are set in the page entries they hold
 *	private heap	copied
 *	files' pages	bound at the same addresses (fd_mappings)
 *	program's pages	bound for reading, to be copied by whoever writes first
 *
 * The child begins at the context that core_snapshot saved, with its own numbers in its own control
 *page. If anything fails, the service takes the pieces back and the parent goes on.
 *
 * After vfork the child runs in the parent's environment, with the parent's memory, and the library keeps
 * what is the parent's own: descriptors, signals, and the context in which it goes on.  What is of the
 * memory (regions, page entries, frames) is one for both.  The child leaves when it ends, or by exec, which
 * makes a space with a copy of the private state only: exec goes on there, the parent here.
 *
 * The frames of the private copies stay with the parent, in the window: when it knows that the child has ended
 * they serve the next one.  They are no other process's, because a child of the child gets copies too.  That is not
 * so of the program's pages; and what is in an environment's area can be unbound nowhere.
 *
 * 1. process()->lent is not NULL exactly while the service knows this environment under a child of
 *    vfork, or that child has become its only owner.
 * 2. A file of the parent's table has a reference for that table, so that what the child closes stays.
 * 3. copy_frame[0 .. copies) of the core's state are held, and bound at the beginning of the window; a child has some
 *    of them while copies_pid is its number.
 */
#include "exos/core/priv.h"
#include "exos/ipc/ring.h"
#include "exos/linux/errno.h"
#include "exos/proc/process.h"

#define RW       (AEGIS_BIND_READ | AEGIS_BIND_WRITE)
#define PINNED   (RW | AEGIS_BIND_GUARANTEED)
#define MAPPINGS 64u
/* Places of the window: for the private pages of a child, and for those of its area and of the program. */
#define PASSING_PAGES (EXOS_AREA_PAGES + HOT_PAGES)
#define PASSING_FIRST \
	(EXOS_COPY_PAGES - 1 - PASSING_PAGES) /* the very last is that of a copy on write */
#define OWN_PAGES   PASSING_FIRST
#define STATE_PAGES (PROCESS_PAGES + CORE_STATE_PAGES)

/* Pages of the child that are made of pages of the parent: as many as the window has. */
struct copies {
	uint32_t first, n; /* place in the window of the first, and how many */
	uint32_t pfn[OWN_PAGES];
	uint64_t va[OWN_PAGES];
	uint32_t skip[OWN_PAGES]; /* bytes at the start that do not matter */
	uint32_t bytes[OWN_PAGES];
	uint32_t prot[OWN_PAGES];
};

struct child {
	int32_t pid;
	uint32_t cap, env, space, cpu;
	bool memory;  /* the program's memory too */
	uint64_t rsp; /* its context */
	struct core_binds *binds;
	struct copies *own, *passing;
	uint32_t heap[EXOS_HEAP_PAGES];
};

/* Pages from va on, of which bytes [from, end) matter; what else is in them is arbitrary. */
static void
copy_add(struct copies *c, uint64_t va, uint32_t pages, uint32_t from, uint32_t end, uint32_t prot)
{
	for (uint32_t i = 0; i < pages; i++, c->n++) {
		uint32_t first = i * (uint32_t)AEGIS_PAGE, past = first + (uint32_t)AEGIS_PAGE;

		first = first < from ? from : first;
		past = past < end ? past : end;
		c->va[c->n] = va + i * AEGIS_PAGE;
		c->skip[c->n] = first % AEGIS_PAGE;
		c->bytes[c->n] = first < past ? past - first : 0;
		c->prot[c->n] = prot;
	}
}

static void *
copy_at(const struct copies *c, uint32_t i)
{
	return (void *)(EXOS_COPY + (c->first + i) * AEGIS_PAGE);
}

/* Frames for the copies, seen in the window; `have` of them are there already. */
static int
copies_open(struct copies *c, uint32_t have)
{
	uint32_t more = c->n - have;
	int err = more ? core_frames_used(c->pfn + have, more) : 0;

	if (err)
		return err;
	/* Guaranteed: a fault here could not be mended. */
	if (more)
		err = core_bind(AEGIS_SELF, control()->space, (uint64_t)copy_at(c, have),
				c->pfn + have, more, PINNED | AEGIS_BIND_KEY(EXOS_KEY));
	if (err) {
		core_unbind((uint64_t)copy_at(c, have), more);
		core_frames_free(c->pfn + have, more);
		return err;
	}
	for (uint32_t i = 0; i < c->n; i++)
		memcpy((uint8_t *)copy_at(c, i) + c->skip[i], (void *)(c->va[i] + c->skip[i]),
		       c->bytes[i]);
	return 0;
}

/* The child is to get them. */
static int
copies_give(const struct child *c, const struct copies *copies)
{
	int err = 0;

	for (uint32_t i = 0; i < copies->n && !err; i++)
		err = core_binds_add(c->binds, copies->va[i], copies->pfn[i], copies->prot[i], 0);
	return err;
}

/* Those of the library stay in the window: with what is there already, and the rest for the next time. */
static int
own_open(struct copies *c)
{
	struct core_state *s = CORE_STATE;
	uint32_t have = s->copies < c->n ? s->copies : c->n;
	int err;

	memcpy(c->pfn, s->copy_frame, have * sizeof(*c->pfn));
	err = copies_open(c, have);
	if (!err && c->n > s->copies) {
		memcpy(s->copy_frame + have, c->pfn + have, (c->n - have) * sizeof(*c->pfn));
		s->copies = c->n;
	}
	return err;
}

void
process_copies_drop(void)
{
	struct core_state *s = CORE_STATE;

	if (s->copies) {
		core_unbind(EXOS_COPY, s->copies);
		core_frames_free(s->copy_frame, s->copies);
	}
	s->copies = 0;
	s->copies_pid = 0;
}

/* The frames of the first n copies, which are of pages of the heap. */
static void
heap_note(struct child *c, uint32_t n)
{
	const struct copies *copies = c->own;

	for (uint32_t i = 0; i < n; i++)
		c->heap[(copies->va[i] - EXOS_HEAP) / AEGIS_PAGE] = copies->pfn[i];
}

/* What was gathered goes to the child, and no brother will have these frames. */
static int
heap_flush(struct child *c)
{
	struct copies *copies = c->own;
	int err = own_open(copies);

	heap_note(c, copies->n);
	err = err ? err : copies_give(c, copies);
	err = err ? err : core_binds_flush(c->binds);
	process_copies_drop();
	copies->n = 0;
	return err;
}

/* The pages of the private heap that are in use, but for those that leave room for the state. */
static int
heap_copy(struct child *c)
{
	const struct core_state *own = CORE_STATE;
	int err = 0;

	for (uint32_t i = 0; i < EXOS_HEAP_PAGES; i += 64) {
		for (uint64_t map = own->heap_map[i / 64]; map && !err; map &= map - 1) {
			uint32_t page = i + (uint32_t)__builtin_ctzl(map);
			uint64_t at = EXOS_HEAP + page * AEGIS_PAGE;

			if (c->own->n == OWN_PAGES - STATE_PAGES)
				err = heap_flush(c);
			copy_add(c->own, at, 1, 0, (uint32_t)core_heap_used(at),
				 PINNED | AEGIS_BIND_KEY(EXOS_KEY));
		}
	}
	return err;
}

static void
control_change(const struct child *c, struct control *copy)
{
	copy->env = c->env;
	copy->space = c->space;
	copy->home_cpu = c->cpu;
	copy->waiter = ring_waiter(c->env, c->cpu);
	copy->resume_rsp = c->rsp;
	copy->area.pending = 0;
	copy->area.defer = 1;
	copy->service_calls = 0;
	copy->fault_causes = copy->fault_fast = copy->revoke_handler = 0;
	memset(copy->calls, 0, sizeof(copy->calls));
}

/* Pages of the program that are copied at once, and what the child has to know of them. */
static void
hot_copy(struct copies *c)
{
	for (uint32_t i = 0; i < HOT_PAGES; i++) {
		struct hot_page *hot = &vm()->hot[i];

		if (hot->prot)
			copy_add(c, hot->va, 1, 0, AEGIS_PAGE, hot->prot);
	}
}

static void
hot_tell(const struct copies *c, struct vm *child)
{
	uint32_t at = c->n;

	for (uint32_t i = HOT_PAGES; i-- > 0;) {
		if (child->hot[i].prot)
			child->hot[i].pfn = c->pfn[--at];
	}
}

/* The private pages, with what heap_copy left to do; those that pass are copied already. */
static int
state_copy(struct child *c)
{
	const uint32_t key = PINNED | AEGIS_BIND_KEY(EXOS_KEY);
	struct copies *own = c->own;
	const uint32_t heap = own->n; /* the first copies, of pages of the heap */
	struct core_state *state;
	int err;

	copy_add(own, EXOS_PRIVATE, PROCESS_PAGES, 0, offsetof(struct process, local_info), key);
	copy_add(own, (uint64_t)CORE_STATE, 1, 0, control()->xsave_size, key);
	copy_add(own, (uint64_t)CORE_STATE + AEGIS_PAGE, CORE_STATE_PAGES - 1, 0,
		 offsetof(struct core_state, copy_frame) - AEGIS_PAGE, key);
	err = own_open(own);
	if (err)
		return err;
	heap_note(c, heap);
	/* Two pages of the child that follow each other do so in the window too. */
	state = copy_at(own, heap + PROCESS_PAGES);
	state->spares = state->copies = 0;
	state->copies_pid = 0;
	state->service_busy = 0;
	memcpy(state->heap_frames, c->heap, sizeof(c->heap));
	if (c->memory)
		hot_tell(c->passing, &((struct process *)copy_at(own, heap))->vm);
	return copies_give(c, own);
}

/* Area, and pages of the program. */
static int
passing_copy(struct child *c)
{
	const uint32_t area = EXOS_AREA_PAGES * AEGIS_PAGE;
	struct copies *passing = c->passing;
	int err;

	copy_add(passing, EXOS_AREA, 1, 0, offsetof(struct control, calls), PINNED);
	copy_add(passing, EXOS_AREA + AEGIS_PAGE, EXOS_AREA_PAGES - 1,
		 (uint32_t)(c->rsp - EXOS_AREA - AEGIS_PAGE), area - AEGIS_PAGE, PINNED);
	if (c->memory)
		hot_copy(passing);
	err = copies_open(passing, 0);
	if (!err)
		control_change(c, copy_at(passing, 0));
	return err;
}

/* Everything that is copied; when the child has it, what passes leaves the window. */
static int
copies_make(struct child *c)
{
	struct copies *passing = c->passing;
	int err = passing_copy(c);

	if (err)
		return err;
	err = heap_copy(c);
	err = err ? err : state_copy(c);
	err = err ? err : copies_give(c, passing);
	err = err ? err : core_binds_flush(c->binds);
	core_unbind((uint64_t)copy_at(passing, 0), passing->n);
	core_frames_free(passing->pfn, passing->n);
	return err;
}

static int
files_bind(const struct child *c)
{
	struct fd_mapping maps[MAPPINGS];
	size_t n = fd_mappings(maps, MAPPINGS);
	int err = 0;

	if (n > MAPPINGS)
		return -EMFILE;
	for (size_t i = 0; i < n; i++) {
		const uint32_t *pfns = maps[i].pfns, *end = pfns + maps[i].pages;
		uint32_t run;

		for (uint64_t va = maps[i].va; pfns < end && !err;
		     va += run * AEGIS_PAGE, pfns += run) {
			for (run = 1; pfns + run < end && pfns[run] == *pfns + run;)
				run++;
			err = core_binds_add(c->binds, va, *pfns, maps[i].prot, run - 1);
		}
	}
	return err;
}

static int
child_set_up(const struct child *c)
{
	struct aegis_setup *setup = (struct aegis_setup *)EXOS_BATCH;
	struct control scratch;
	int64_t st;

	core_setup_fill(setup, &scratch, ROLE_PROCESS, c->env, c->space, c->cpu);
	st = aegis_env_write(c->cap, c->env, EXOS_BATCH_OFFSET);
	return st < 0 ? core_error(st) : 0;
}

/* Runs with the context saved at rsp; answers the parent's result. */
static int64_t
child_make(void *arg, uint64_t rsp)
{
	struct core_binds binds;
	struct copies own, passing;
	struct child *c = arg;
	int err;

	core_binds_new(&binds, c->cap, c->space, EXOS_BASE);
	own.n = own.first = passing.n = 0;
	passing.first = PASSING_FIRST;
	c->binds = &binds;
	c->own = &own;
	c->passing = &passing;
	c->rsp = rsp;
	/* What the last child has is not for this one. */
	if (CORE_STATE->copies_pid)
		process_copies_drop();
	err = c->memory ? vm_fork(&binds) : 0;
	if (!err)
		err = files_bind(c);
	if (!err)
		err = copies_make(c);
	if (!err)
		err = child_set_up(c);
	if (err)
		process_copies_drop();
	else
		CORE_STATE->copies_pid = c->pid;
	return err;
}

void
process_reaped(int64_t pid)
{
	if (CORE_STATE->copies_pid == pid)
		CORE_STATE->copies_pid = 0;
}

/* First steps of the child: what it has of its own. */
static void
child_begin(uint64_t clear_tid)
{
	struct process *p = process();

	aegis_pct_bind(EXOS_CAP_SERVICE, MAIL->service_env, EXOS_GATE_SERVICE);
	vm_fork_child();
	vm_tell();
	fd_tell();
	signal_fork_child();
	p->timer = (struct timer_state){0};
	p->clear_child_tid = clear_tid;
	p->start_ns = core_now_ns();
}

/* The environment and space that `call` was answered are filled from the context here. */
static int64_t
child_fill(const struct svc *call, int64_t pid, bool memory)
{
	struct child c;

	c.pid = (int32_t)pid;
	c.env = (uint32_t)call->a;
	c.space = (uint32_t)call->b;
	c.cpu = (uint32_t)call->c;
	c.cap = (uint32_t)call->d;
	c.memory = memory;
	memset(c.heap, 0, sizeof(c.heap));
	return core_snapshot(child_make, &c);
}

int64_t
process_fork(uint32_t flags, uint64_t clear_tid)
{
	struct svc call = {.op = SVC_FORK, .a = flags};
	int64_t pid, result = fd_fork();

	if (result < 0)
		return result;
	site_refresh();
	pid = svc_call(&call);
	if (pid < 0)
		return pid;
	result = child_fill(&call, pid, true);
	if (result == CORE_CHILD) {
		child_begin(clear_tid);
		return 0;
	}
	call = (struct svc){.op = result < 0 ? SVC_ABANDON : SVC_START, .a = (uint64_t)pid};
	if (svc_call(&call) < 0 && result >= 0)
		return call.op;
	return result < 0 ? result : pid;
}

/* ---- vfork: the child runs in its parent's environment and memory ---- */

/* What is the parent's while the child uses its place. */
struct lent {
	struct lent *outer; /* the parent itself may be such a child */
	int64_t pid;        /* the child's */
	struct process state;
	uint64_t rsp;
	uint32_t bytes,
		vector;    /* of the context on the stack, from rsp on, and of the vector state */
	uint8_t context[]; /* both */
};

static size_t
lent_size(const struct lent *l)
{
	return sizeof(*l) + l->bytes + l->vector;
}

/* The parent's side of vfork: remembers how to go on. */
static int64_t
lent_save(void *arg, uint64_t rsp)
{
	uint32_t bytes = (uint32_t)(control()->stack_top - rsp), vector = control()->xsave_size;
	struct lent *l = core_alloc(sizeof(*l) + bytes + vector);
	int err;

	if (!l)
		return -ENOMEM;
	l->rsp = rsp;
	l->bytes = bytes;
	l->vector = vector;
	memcpy(l->context, (void *)rsp, bytes);
	memcpy(l->context + bytes, CORE_STATE->vector, vector);
	memcpy(&l->state, process(), offsetof(struct process, local_info));
	err = fd_lend(&l->state.fds);
	if (err)
		core_free(l, lent_size(l));
	else
		*(struct lent **)arg = l;
	return err;
}

int64_t
process_vfork(uint64_t clear_tid)
{
	struct svc call = {.op = SVC_FORK, .a = SVC_FORK_VFORK | SVC_FORK_LEND};
	struct process *p = process();
	struct lent *l;
	int64_t pid, result = core_snapshot(lent_save, &l);

	if (result == CORE_CHILD) {
		/* The parent again, long after. */
		l = p->lent;
		pid = l->pid;
		p->lent = l->outer;
		core_free(l, lent_size(l));
		return pid;
	}
	if (result < 0)
		return result;
	pid = svc_call(&call);
	if (pid < 0) {
		fd_lend_end(&l->state.fds);
		core_free(l, lent_size(l));
		return pid;
	}
	l->pid = pid;
	l->outer = p->lent;
	p->lent = l;
	signal_fork_child();
	p->timer = (struct timer_state){0};
	p->clear_child_tid = clear_tid;
	p->start_ns = core_now_ns();
	attention_update();
	return 0;
}

/* The caller is the parent again, says the service. */
_Noreturn static void
lent_return(void)
{
	struct process *p = process();
	struct lent *l = p->lent;
	const struct process *s = &l->state;

	fd_lend_return(&l->state.fds);
	p->sig = s->sig;
	signal_tell();
	p->timer = s->timer;
	p->clear_child_tid = s->clear_child_tid;
	p->umask = s->umask;
	memcpy(p->comm, s->comm, sizeof(p->comm));
	p->start_ns = s->start_ns;
	memcpy(p->limits, s->limits, sizeof(p->limits));
	attention_update();
	memcpy(CORE_STATE->vector, l->context + l->bytes, l->vector);
	core_context_load(l->rsp, l->context, l->bytes);
}

void
process_lent_exit(void)
{
	if (process()->lent)
		lent_return();
}

/* Whatever was lent to this process is nobody else's, or is not here. */
static void
lent_forget(void)
{
	struct process *p = process();

	while (p->lent) {
		struct lent *l = p->lent;

		p->lent = l->outer;
		fd_lend_end(&l->state.fds);
		core_free(l, lent_size(l));
	}
}

int
process_detach(void (*drop)(void *arg), void *arg)
{
	struct svc call = {.op = SVC_DETACH};
	uint32_t zero = 0;
	int64_t result;

	if (!process()->lent)
		return 0;
	result = fd_fork();
	if (!result)
		result = svc_call(&call);
	if (result == -ENXIO) {
		lent_forget();
		return 0;
	}
	if (result)
		return (int)result;
	result = child_fill(&call, process()->lent->pid, false);
	if (result == CORE_CHILD) {
		aegis_pct_bind(EXOS_CAP_SERVICE, MAIL->service_env, EXOS_GATE_SERVICE);
		vm_forget();
		lent_forget();
		fd_tell();
		signal_tell();
		return 0;
	}
	if (process()->clear_child_tid && result >= 0)
		copy_out(process()->clear_child_tid, &zero, sizeof(zero));
	call = (struct svc){.op = SVC_DETACHED, .a = result >= 0};
	if (svc_call(&call) < 0 && result >= 0)
		result = call.op;
	if (result < 0)
		return (int)result;
	drop(arg);
	lent_return();
}
