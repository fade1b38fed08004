/* SPDX-License-Identifier: MIT */
/*
 * Fork: a second process out of this one, made by the library.
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
 */
#include "exos/core/priv.h"
#include "exos/linux/errno.h"
#include "exos/proc/process.h"

#define MAPPINGS 64u
#define RW       (AEGIS_BIND_READ | AEGIS_BIND_WRITE)
#define PINNED   (RW | AEGIS_BIND_GUARANTEED)

struct child {
	int32_t pid;
	uint32_t env, space;
	uint32_t area[EXOS_AREA_PAGES];
	uint64_t rsp; /* its context */
	uint32_t cpu;
};

/* New frames with the content of n <= EXOS_COPY_PAGES pages at va, bound at va in the child. */
static int
pages_copy(const struct child *c, uint64_t va, uint32_t n, uint64_t from, uint32_t key,
	   uint32_t *pfns)
{
	int err = core_frames_alloc(EXOS_CAP_OWN, pfns, n);

	if (err)
		return err;
	err = core_bind(AEGIS_SELF, control()->space, EXOS_COPY, pfns, n, RW);
	if (!err) {
		memcpy((uint8_t *)EXOS_COPY + (from - va), (void *)from,
		       n * AEGIS_PAGE - (from - va));
		err = core_bind(EXOS_CAP_OWN, c->space, va, pfns, n, PINNED | AEGIS_BIND_KEY(key));
	}
	return err;
}

/* Unbinds the copy window and lets go: the child holds the frames. */
static void
pages_leave(const uint32_t *pfns, uint32_t n)
{
	core_unbind(EXOS_COPY, n);
	core_frames_free(pfns, n);
}

static int
area_copy(struct child *c)
{
	struct control *copy = (struct control *)EXOS_COPY;
	uint32_t stack = 2;
	uint64_t low = EXOS_AREA + stack * AEGIS_PAGE;
	int err = pages_copy(c, EXOS_AREA, stack, EXOS_AREA, 0, c->area);

	if (err)
		return err;
	copy->env = c->env;
	copy->space = c->space;
	copy->home_cpu = c->cpu;
	copy->resume_rsp = c->rsp;
	copy->area.pending = 0;
	copy->area.defer = 1;
	copy->service_calls = 0;
	copy->fault_causes = copy->fault_fast = copy->revoke_handler = 0;
	memset(copy->calls, 0, sizeof(copy->calls));
	pages_leave(c->area, stack);
	err = pages_copy(c, low, EXOS_AREA_PAGES - stack, c->rsp, 0, c->area + stack);
	pages_leave(c->area + stack, EXOS_AREA_PAGES - stack);
	return err;
}

/* The heap first: the child's core state lists its frames. */
static int
private_copy(const struct child *c)
{
	struct core_state *own = CORE_STATE;
	struct core_state *copy = (struct core_state *)EXOS_COPY;
	uint32_t heap[EXOS_HEAP_PAGES], pfns[PROCESS_PAGES];
	uint32_t bound = own->heap_bound;
	int err = 0;

	for (uint32_t i = 0; i < bound && !err; i += EXOS_COPY_PAGES) {
		uint32_t n = bound - i < EXOS_COPY_PAGES ? bound - i : EXOS_COPY_PAGES;
		uint64_t va = EXOS_HEAP + i * AEGIS_PAGE;

		err = pages_copy(c, va, n, va, EXOS_KEY, heap + i);
		pages_leave(heap + i, n);
	}
	if (err)
		return err;
	err = pages_copy(c, EXOS_PRIVATE, PROCESS_PAGES, EXOS_PRIVATE, EXOS_KEY, pfns);
	pages_leave(pfns, PROCESS_PAGES);
	if (err)
		return err;
	err = pages_copy(c, (uint64_t)CORE_STATE, CORE_STATE_PAGES, (uint64_t)CORE_STATE, EXOS_KEY,
			 pfns);
	if (!err) {
		copy->spares = 0;
		memcpy(copy->heap_frames, heap, bound * sizeof(heap[0]));
	}
	pages_leave(pfns, CORE_STATE_PAGES);
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
	for (size_t i = 0; i < n && !err; i++)
		err = core_bind(EXOS_CAP_OWN, c->space, maps[i].va, maps[i].pfns, maps[i].pages,
				maps[i].prot);
	return err;
}

static int
child_set_up(const struct child *c)
{
	struct aegis_setup *setup = (struct aegis_setup *)EXOS_BATCH;
	struct control scratch;
	int64_t st;

	core_setup_fill(setup, &scratch, ROLE_PROCESS, c->env, c->space, c->cpu);
	st = aegis_env_write(EXOS_CAP_OWN, c->env, EXOS_BATCH_OFFSET);
	return st < 0 ? core_error(st) : 0;
}

/* Runs with the context saved at rsp; answers the parent's result. */
static int64_t
child_make(void *arg, uint64_t rsp)
{
	struct child *c = arg;
	int err;

	c->rsp = rsp;
	err = vm_fork(EXOS_CAP_OWN, c->space);
	if (!err)
		err = files_bind(c);
	if (!err)
		err = private_copy(c);
	if (!err)
		err = area_copy(c);
	if (!err)
		err = child_set_up(c);
	return err;
}

/* First steps of the child: what it has of its own. */
static void
child_begin(uint64_t clear_tid)
{
	struct process *p = process();

	core_spares_fill();
	aegis_pct_bind(EXOS_CAP_DOMAIN, MAIL->service_env, EXOS_GATE_SERVICE);
	signal_fork_child();
	p->timer = (struct timer_state){0};
	p->clear_child_tid = clear_tid;
	p->start_ns = core_now_ns();
}

int64_t
process_fork(uint32_t flags, uint64_t clear_tid)
{
	struct svc call = {.op = SVC_FORK, .a = flags};
	struct child c;
	int64_t result = fd_fork();

	if (result < 0)
		return result;
	result = svc_call(&call);
	if (result < 0)
		return result;
	c = (struct child){.pid = (int32_t)result,
			   .env = (uint32_t)call.a,
			   .space = (uint32_t)call.b,
			   .cpu = (uint32_t)call.c};
	result = core_snapshot(child_make, &c);
	if (result == CORE_CHILD) {
		child_begin(clear_tid);
		return 0;
	}
	call = (struct svc){.op = result < 0 ? SVC_ABANDON : SVC_START, .a = (uint64_t)c.pid};
	if (svc_call(&call) < 0 && result >= 0)
		return call.op;
	return result < 0 ? result : c.pid;
}
