/* SPDX-License-Identifier: MIT */
/*
 * Time, waiting, transfers, and the private heap: what every role stands on.
 *
 * Owns: struct core_state in the last private pages of the role.
 *
 * 1. Everything runs with asynchronous upcalls deferred, so the state needs no lock.
 * 2. heap_map has a bit for every page of EXOS_HEAP that the heap holds; these have frames in
 *    heap_frames, guaranteed, so that the heap never faults.  They are copied at fork.
 * 3. The heap of a supervisor or service grows in the arena instead: it is never copied.
 * 4. An arena block is a power of two of pages, on one free list or in use.
 */
#include "priv.h"
#include "control_asm.h"
#include "../ipc/ring.h"
#include "../linux/errno.h"

_Static_assert(offsetof(struct control, area.defer) == CONTROL_DEFER, "assembly");
_Static_assert(offsetof(struct control, area.pending) == CONTROL_PENDING, "assembly");
_Static_assert(offsetof(struct control, self) == CONTROL_SELF, "assembly");
_Static_assert(offsetof(struct control, resume_rsp) == CONTROL_RESUME, "assembly");
_Static_assert(offsetof(struct control, process) == CONTROL_PROCESS, "assembly");
_Static_assert(offsetof(struct control, stack_top) == CONTROL_STACK, "assembly");
_Static_assert(offsetof(struct control, xsave_mask) == CONTROL_XMASK, "assembly");
_Static_assert(offsetof(struct control, waiter) == CONTROL_WAITER, "assembly");
_Static_assert(offsetof(struct control, xsave_size) == CONTROL_XSIZE, "assembly");
_Static_assert(offsetof(struct control, target) == CONTROL_TARGET, "assembly");
_Static_assert(offsetof(struct control, flags_at) == CONTROL_FLAGS_AT, "assembly");
_Static_assert(FIRST_FRAME == EXOS_AREA_PAGES * AEGIS_PAGE - AEGIS_FRAME_SIZE, "assembly");
_Static_assert(offsetof(struct control, number) == CONTROL_NUMBER, "assembly");
_Static_assert(offsetof(struct control, attention) == CONTROL_ATTENTION, "assembly");
_Static_assert(offsetof(struct control, keys) == CONTROL_KEYS, "assembly");
_Static_assert(offsetof(struct control, serve_entry) == CONTROL_SERVE, "assembly");
_Static_assert(offsetof(struct control, light_rsp) == CONTROL_LIGHT, "assembly");
_Static_assert(offsetof(struct control, fault_handler) == CONTROL_FAULT, "assembly");
_Static_assert(offsetof(struct control, fault_fast) == CONTROL_FAST, "assembly");
_Static_assert(offsetof(struct control, soon) == CONTROL_SOON, "assembly");
_Static_assert(CORE_STATE_AT == EXOS_AREA + VECTOR_AREA && !offsetof(struct core_state, vector),
	       "assembly");
_Static_assert(EXOS_ENVPAGE + offsetof(struct aegis_env_page, cpu) == EXOS_AREA + PAGE_CPU,
	       "assembly");
_Static_assert(offsetof(struct control, calls) == CONTROL_CALLS, "assembly");
_Static_assert(sizeof(struct control) <= 4096, "one page");
_Static_assert(offsetof(struct aegis_frame, cause) == FRAME_CAUSE, "assembly");
_Static_assert(offsetof(struct aegis_frame, deferred) == FRAME_DEFERRED, "assembly");
_Static_assert(offsetof(struct aegis_frame, rax) == FRAME_RAX, "assembly");
_Static_assert(offsetof(struct aegis_frame, rdi) == FRAME_RDI, "assembly");
_Static_assert(offsetof(struct aegis_frame, r10) == FRAME_R10, "assembly");
_Static_assert(offsetof(struct aegis_frame, r11) == FRAME_R11, "assembly");
_Static_assert(offsetof(struct aegis_frame, rip) == FRAME_RIP, "assembly");
_Static_assert(offsetof(struct aegis_frame, ss) == FRAME_SS, "assembly");

int
core_error(int64_t status)
{
	switch (status) {
	case AEGIS_NO_MEMORY:
	case AEGIS_NEED_TABLE:
		return -ENOMEM;
	case AEGIS_LIMIT:
	case AEGIS_BUSY:
	case AEGIS_AGAIN:
		return -EAGAIN;
	case AEGIS_DENIED:
	case AEGIS_BAD_CAP:
	case AEGIS_NOT_HELD:
		return -EPERM;
	case AEGIS_NO_SUCH:
	case AEGIS_DEAD:
		return -ESRCH;
	case AEGIS_IN_USE:
		return -EBUSY;
	case AEGIS_TIMED_OUT:
		return -ETIMEDOUT;
	case AEGIS_NOT_BOUND:
		return -EFAULT;
	case AEGIS_WX:
		return -EACCES;
	default:
		return status >= 0 ? 0 : -EINVAL;
	}
}

void
core_log(const char *fmt, ...)
{
	char *line = (char *)EXOS_BATCH + 3072;
	va_list args;
	int n;

	va_start(args, fmt);
	n = format_v(line, 1000, fmt, args);
	va_end(args);
	if (control()->role == ROLE_SUPERVISOR) {
		aegis_log_write(EXOS_CAP_OWN, EXOS_BATCH_OFFSET + 3072,
				n > 999 ? 999 : (uint32_t)n);
	} else {
		struct svc s = {.op = SVC_LOG, .a = (uint64_t)n};

		if (control()->role == ROLE_PROCESS) {
			memcpy((void *)EXOS_MSG, line, n > 999 ? 999 : (size_t)n);
			svc_call(&s);
		} else {
			service_log(line, n > 999 ? 999 : (uint32_t)n);
		}
	}
}

void
core_die(const char *why)
{
	if (control()->role == ROLE_SUPERVISOR)
		core_log("exos: supervisor cannot go on: %s\n", why);
	aegis_env_destroy(AEGIS_SELF, control()->env);
	__builtin_trap();
}

/* ---- time and waiting ---- */

uint64_t
core_now_ns(void)
{
	uint64_t ticks = __builtin_ia32_rdtsc() - SYSPAGE->tsc_boot;

	return (uint64_t)(((unsigned __int128)ticks * SYSPAGE->ns_mult) >> 32);
}

uint64_t
core_wall_ns(void)
{
	return SYSPAGE->wall_ns + core_now_ns();
}

uint64_t
core_tsc_at(uint64_t ns)
{
	uint64_t hz = SYSPAGE->tsc_hz;

	if (ns == AEGIS_NEVER || ns > 100ul * 365 * 86400 * 1000000000)
		return AEGIS_NEVER;
	return SYSPAGE->tsc_boot + ns / 1000000000 * hz + ns % 1000000000 * (hz / 1000) / 1000000;
}

static int
block(uint32_t seen, uint64_t deadline, uint32_t flags)
{
	int64_t st;

	core_soon_wake();
	core_spares_fill();
	st = core_leave(AEGIS_CALL_sleep, seen, deadline, flags);
	if (st == AEGIS_TIMED_OUT ||
	    (st == CORE_CHILD && core_events() == seen && __builtin_ia32_rdtsc() >= deadline))
		return -ETIMEDOUT;
	return 0;
}

int
core_block(uint32_t seen, uint64_t deadline_ns)
{
	return block(seen, core_tsc_at(deadline_ns), 0);
}

int
core_block_accepting(uint32_t seen, uint64_t deadline_ns)
{
	return block(seen, core_tsc_at(deadline_ns), AEGIS_SLEEP_ACCEPT);
}

int64_t
core_park(uint32_t seen, uint64_t deadline_tsc)
{
	core_soon_wake();
	core_spares_fill();
	return aegis_sleep(seen, deadline_tsc, AEGIS_SLEEP_ACCEPT);
}

void
core_soon_wake(void)
{
	uint32_t env = control()->soon;

	if (!env)
		return;
	control()->soon = 0;
	core_wake(env);
}

bool
core_wake_soon(uint32_t env, uint32_t cpu)
{
	struct control *c = control();

	if (c->soon == env)
		return true;
	if (ENVPAGE->cpu != cpu)
		return false;
	core_soon_wake();
	c->soon = env;
	return true;
}

/* It sleeps; or it runs elsewhere, and needs no more. */
__attribute__((noinline)) static bool
hand_asleep(uint32_t env)
{
	core_wake(env);
	return core_yield_to(EXOS_CAP_DOMAIN, env) == CORE_CHILD;
}

bool
core_hand(void)
{
	uint32_t env = control()->soon;
	int64_t st;

	if (!env)
		return false;
	control()->soon = 0;
	st = core_yield_to(EXOS_CAP_DOMAIN, env);
	return st == AEGIS_BUSY ? hand_asleep(env) : st == CORE_CHILD;
}

void
core_yield(void)
{
	core_soon_wake();
	core_leave(AEGIS_CALL_yield, AEGIS_SELF, AEGIS_ANY, 0);
}

void
core_wake(uint32_t env)
{
	aegis_wake(control()->role == ROLE_PROCESS ? EXOS_CAP_DOMAIN : EXOS_CAP_OWN, env, 0);
}

int64_t
svc_call(struct svc *s)
{
	int64_t st;

	control()->service_calls++;
	while ((st = core_transfer(EXOS_GATE_SERVICE, s)) == AEGIS_BUSY) {
		CORE_STATE->service_busy++;
		core_yield();
	}
	return st >= 0 ? s->op : core_error(st);
}

/* ---- set-up ---- */

void
core_setup_fill(struct aegis_setup *setup, struct control *c, uint32_t role, uint32_t env,
		uint32_t space, uint32_t cpu)
{
	bool keys = role == ROLE_PROCESS && control()->keys;

	*setup = (struct aegis_setup){
		.area_va = EXOS_AREA,
		.area_pages = EXOS_AREA_PAGES,
		.stack_page = role == ROLE_SERVICE ? 5 : 2,
		.fault_entry = (uint64_t)core_fault_entry,
		.async_entry = (uint64_t)core_async_entry,
		.begin_entry = (uint64_t)(keys ? core_begin_entry_keys : core_begin_entry),
		.call_entry = role == ROLE_SERVICE ? (uint64_t)core_call_entry : 0,
		.call_stack = role == ROLE_SERVICE ? EXOS_AREA + 5 * AEGIS_PAGE : 0,
		.resume_start = (uint64_t)core_resume_first,
		.resume_rip = (uint64_t)core_resume_rip,
		.gs_base = EXOS_AREA,
		.space = space,
		.cpu = cpu,
		.flags = AEGIS_SETUP_EXTRA,
	};
	c->area.defer = 1;
	c->self = (struct control *)EXOS_AREA;
	c->process = (struct process *)EXOS_PRIVATE;
	c->stack_top = EXOS_AREA + EXOS_AREA_PAGES * AEGIS_PAGE;
	c->flags_at = c->stack_top - AEGIS_FRAME_SIZE + FRAME_RSP;
	c->role = role;
	c->home_cpu = cpu;
	c->waiter = ring_waiter(env, cpu);
	c->env = env;
	c->space = space;
}

void
core_state_init(void)
{
	struct control *c = control();

	c->xsave_size = SYSPAGE->xsave_size;
	c->xsave_mask = (uint32_t)SYSPAGE->xcr0;
	core_heap_init();
	core_spares_fill();
	if (c->xsave_size > sizeof(CORE_STATE->vector) || SYSPAGE->xcr0 != c->xsave_mask)
		core_die("vector state is too large");
}

/* ---- the program's memory ---- */

static bool
user_range(uint64_t at, size_t n)
{
	return n == 0 || (at < EXOS_USER_TOP && n <= EXOS_USER_TOP - at);
}

/* Of the library, the program sees the image. */
static bool
user_image(uint64_t at, size_t n)
{
	return at >= EXOS_IMAGE && at < EXOS_AREA && n <= EXOS_AREA - at;
}

int
copy_in(void *to, uint64_t from, size_t n)
{
	if (!user_range(from, n) && !user_image(from, n))
		return -EFAULT;
	return core_copy(to, (const void *)from, n) ? -EFAULT : 0;
}

int
copy_out(uint64_t to, const void *from, size_t n)
{
	if (!user_range(to, n))
		return -EFAULT;
	return core_copy((void *)to, from, n) ? -EFAULT : 0;
}

int
clear_out(uint64_t to, size_t n)
{
	if (!user_range(to, n))
		return -EFAULT;
	return core_clear((void *)to, n) ? -EFAULT : 0;
}

/* Index of the first zero of n bytes, or n. */
static size_t
zero_find(const char *s, size_t n)
{
	size_t i = 0;
	uint64_t word, zeros;

	for (; n - i >= 8; i += 8) {
		memcpy(&word, s + i, 8);
		zeros = (word - 0x0101010101010101ul) & ~word & 0x8080808080808080ul;
		if (zeros)
			return i + (size_t)__builtin_ctzll(zeros) / 8;
	}
	while (i < n && s[i])
		i++;
	return i;
}

int64_t
copy_in_string(char *to, uint64_t from, size_t size)
{
	size_t done = 0, length;

	while (done < size) {
		/* Up to the next page edge at a time, so that no byte behind the string is needed.
		 */
		size_t step = AEGIS_PAGE - (from + done) % AEGIS_PAGE;

		if (step > 64)
			step = 64 - (from + done) % 64;
		if (step > size - done)
			step = size - done;
		if (copy_in(to + done, from + done, step))
			return -EFAULT;
		length = zero_find(to + done, step);
		if (length < step)
			return (int64_t)(done + length);
		done += step;
	}
	return -ENAMETOOLONG;
}
