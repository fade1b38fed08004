/* SPDX-License-Identifier: MIT */
/*
 * Processes that accept protected control transfers, and gates to others (include/exos/ipc.h).
 *
 * Owns struct serve, in the private heap, and the words serve_entry, serve_fs, serve, api_env, gates of
 * the control page.
 *
 * 1. A process that sleeps in exos_accept keeps nothing on its upcall stack: the program's context is
 *    in struct serve.  So a call that comes in runs as the program does, with the whole stack for its
 *    upcalls and its Linux calls; and what ends the sleep begins without a context and unparks.
 * 2. `parked` is set exactly from exos_accept until that; meanwhile nobody registers, and no second
 *    exos_accept parks.
 * 3. The words are those of api_env.  A child of fork finds its parent's there, and forgets them: its
 *    environment accepts nothing and has no gate but the service's.
 * 4. serve_fs is the FS base that the kernel sets at each transfer in: the program's at its last exos_accept.
 *
 * The entry that the kernel knows is core_serve_entry (serve.S), which gives the program its upcalls back.
 * Vector registers do not live across exos_accept, which is a function for its caller.
 */
#include "api.h"
#include "exos/core/priv.h"
#include "exos/linux/errno.h"
#include "exos/proc/process.h"
#include <exos/ipc.h>

_Static_assert(EXOS_EVENTS == EXOS_ENVPAGE + offsetof(struct aegis_env_page, events), "assembly");

_Static_assert(EXOS_SLICE == EXOS_ENVPAGE + offsetof(struct aegis_env_page, slice), "assembly");
_Static_assert(EXOS_USED == EXOS_ENVPAGE + offsetof(struct aegis_env_page, time_tsc), "assembly");

int64_t api_light_error(int64_t status);

struct serve {
	uint64_t stack; /* for calls */
	bool parked;
	uint32_t seen;
	uint64_t deadline;
	uint64_t modes; /* MXCSR, x87 control word */
	uint64_t callee[6];
	struct aegis_frame frame;
};

struct control *
api_own(void)
{
	struct control *c = control();

	if (c->api_env != c->env) {
		c->api_env = c->env;
		c->serve_entry = 0;
		c->gates = 1u << EXOS_GATE_SERVICE;
		c->setup_flags = AEGIS_SETUP_EXTRA;
		if (c->serve)
			c->serve->parked = false;
	}
	return c;
}

int
api_setup_write(void)
{
	struct control *c = control(), scratch;
	struct aegis_setup *setup = (struct aegis_setup *)EXOS_BATCH;

	core_setup_fill(setup, &scratch, ROLE_PROCESS, c->env, c->space, c->home_cpu);
	setup->flags = c->setup_flags;
	if (c->serve_entry) {
		setup->call_entry = (uint64_t)(c->keys ? core_serve_entry_keys : core_serve_entry);
		setup->call_stack = c->serve->stack;
		setup->call_fs = c->serve_fs;
	}
	return core_error(aegis_env_write(AEGIS_SELF, c->env, EXOS_BATCH_OFFSET));
}

int64_t
api_serve(struct call *call)
{
	struct control *c = api_own();
	struct exos_serve in;

	if (copy_in(&in, call->a[0], sizeof(in)))
		return -EFAULT;
	if (in.size != sizeof(in) || in.flags || in.entry >= EXOS_USER_TOP ||
	    in.stack > EXOS_USER_TOP || in.stack % 16 || (in.entry && !in.stack))
		return -EINVAL;
	if (!c->serve) {
		c->serve = core_alloc(sizeof(*c->serve));
		if (!c->serve)
			return -ENOMEM;
		memset(c->serve, 0, sizeof(*c->serve));
	}
	if (c->serve->parked)
		return -EBUSY;
	c->serve_entry = in.entry;
	c->serve->stack = in.stack;
	c->serve_fs = api_fs_read();
	return api_setup_write();
}

/* The program's FS base, as the kernel knows it too: a thread library sets it once. */
static int
serve_fs_set(struct control *c)
{
	uint64_t fs = api_fs_read(), known = c->serve_fs;
	int st;

	if (fs == known)
		return 0;
	c->serve_fs = fs;
	st = api_setup_write();
	if (st)
		c->serve_fs = known;
	return st;
}

static uint64_t
accept_deadline(uint64_t wanted)
{
	uint64_t alarm = timer_next();

	alarm = alarm == AEGIS_NEVER ? alarm : core_tsc_at(alarm);
	return alarm < wanted ? alarm : wanted;
}

static int
accept_result(const struct serve *s)
{
	if (signal_pending())
		return -EINTR;
	if (core_events() != s->seen)
		return 0;
	return __builtin_ia32_rdtsc() >= s->deadline ? -ETIMEDOUT : 0;
}

int64_t
api_accept(struct call *call)
{
	struct control *c = api_own();
	struct serve *s = c->serve;
	int st;

	if (!c->serve_entry)
		return -EINVAL;
	if (s->parked)
		return -EBUSY;
	st = serve_fs_set(c);
	if (st)
		return st;
	s->seen = (uint32_t)call->a[0];
	s->deadline = call->a[1];
	if (signal_pending())
		return -EINTR;
	if (c->area.pending)
		return 0;
	s->frame = *call_frame(call);
	memcpy(s->callee, call->callee, sizeof(s->callee));
	s->modes = api_modes_read();
	s->parked = true;
	core_park(s->seen, accept_deadline(s->deadline));
	s->parked = false;
	return accept_result(s);
}

void
api_unpark(void)
{
	struct control *c = control();
	struct aegis_frame *frame = (struct aegis_frame *)(c->stack_top - AEGIS_FRAME_SIZE);
	struct serve *s = c->serve;

	if (c->api_env != c->env || !s || !s->parked)
		return;
	s->parked = false;
	*frame = s->frame;
	frame->deferred = 0;
	api_state_write(c->serve_fs, s->modes);
	frame->rax = (uint64_t)(int64_t)accept_result(s);
	frame->rcx = frame->rip;
	frame->r11 = frame->rflags;
	call_finish(frame, s->callee);
	core_resume(frame, s->callee);
}

void
api_exec(void)
{
	struct control *c = api_own();
	bool served = c->serve_entry != 0 || c->setup_flags != AEGIS_SETUP_EXTRA || c->keys;

	c->serve_entry = 0;
	c->setup_flags = AEGIS_SETUP_EXTRA;
	if (c->serve)
		c->serve->parked = false;
	if (served)
		api_setup_write();
}

/* ---- gates ---- */

int64_t
api_gate(struct call *call)
{
	struct control *c = api_own();
	struct svc s = {.op = SVC_PEER, .a = call->a[0]};
	uint32_t gate;
	int64_t env, st;

	if (call->a[0] > UINT32_MAX || call->a[0] == MAIL->pid)
		return -EINVAL;
	for (gate = 0; gate < AEGIS_GATES && (c->gates & 1u << gate); gate++)
		;
	if (gate == AEGIS_GATES)
		return -EMFILE;
	aegis_cap_drop(EXOS_CAP_PEER);
	env = svc_call(&s);
	if (env < 0)
		return env;
	st = aegis_pct_bind(EXOS_CAP_PEER, (uint32_t)env, gate);
	aegis_cap_drop(EXOS_CAP_PEER);
	/* Its number is another's if it ended meanwhile. */
	s = (struct svc){.op = SVC_PEER, .a = call->a[0]};
	if (st >= 0 && svc_call(&s) != env)
		st = AEGIS_DEAD;
	aegis_cap_drop(EXOS_CAP_PEER);
	if (st < 0)
		return core_error(st);
	c->gates |= 1u << gate;
	return gate;
}

/* The kernel's gate stays as it is, until it is bound again: the number is what is given up. */
int64_t
api_gate_close(struct call *call)
{
	struct control *c = api_own();
	uint64_t gate = call->a[0];

	if (gate <= EXOS_GATE_SERVICE || gate >= AEGIS_GATES || !(c->gates & 1u << gate))
		return -EBADF;
	c->gates &= ~(1u << gate);
	return 0;
}

/* Of calls that give the processor away, when they did not. */
int64_t
api_light_error(int64_t status)
{
	return core_error(status);
}
