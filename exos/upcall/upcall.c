/* SPDX-License-Identifier: MIT */
/*
 * What the kernel tells, and who in ExOS hears it.
 *
 * upcall_fault gets exceptions, among them the first `syscall` of every site; upcall_async gets the
 * end of a slice, events, requests for resources, interrupts.  Both run on the upcall stack with
 * asynchronous upcalls deferred; frame->deferred says whether the library itself was interrupted.
 *
 * 1. Signals are delivered only when the program, not the library, was interrupted.
 * 2. A fault of the library that nobody can mend ends the environment: there is no state to trust.
 */
#include "exos/core/control_asm.h"
#include "exos/core/priv.h"
#include "exos/linux/errno.h"
#include "exos/proc/process.h"

void upcall_fault(struct aegis_frame *frame, uint64_t callee[6]);
void upcall_async(struct aegis_frame *frame, uint64_t callee[6]);

/* The page at addr is bound again, or was brought in. */
static int
page_fault(uint64_t addr, uint64_t error)
{
	if (addr >= EXOS_ARENA && addr < EXOS_ARENA_END) {
		if (control()->role == ROLE_PROCESS)
			return fd_window_fault(addr);
		return core_arena_fault(addr);
	}
	if (control()->role == ROLE_PROCESS && addr < EXOS_USER_TOP)
		return vm_fault(addr, error);
	return -EFAULT;
}

/* The same, when frames may come back: a process that ends gives them up in steps, while others run. */
#define PATIENCE_NS 200000000ul
static int
page_fault_patient(uint64_t addr, uint64_t error)
{
	int err = page_fault(addr, error);
	uint64_t until = err == -ENOMEM ? core_now_ns() + PATIENCE_NS : 0;

	while (err == -ENOMEM && core_now_ns() < until) {
		core_yield();
		err = page_fault(addr, error);
	}
	return err;
}

/* Where the library touches the program's memory, and goes on when that is not there; 0: this is not such a place. */
static uint64_t
copy_otherwise(uint64_t rip)
{
	if (rip >= (uint64_t)core_copy_start && rip < (uint64_t)core_copy_end)
		return (uint64_t)core_copy_fault;
	if (rip >= (uint64_t)core_pipe_write && rip < (uint64_t)core_pipe_read)
		return (uint64_t)core_pipe_write_not;
	if (rip >= (uint64_t)core_pipe_read && rip < (uint64_t)core_pipe_end)
		return (uint64_t)core_pipe_read_not;
	return 0;
}

_Noreturn static void
library_broken(const struct aegis_frame *f)
{
	int n = 0;

	core_log("exos: env %u role %u: cause %u error %x addr %lx rip %lx rsp %lx\n",
		 control()->env, control()->role, f->cause, f->error, f->addr, f->rip, f->rsp);
	/* Words on the stack that could be return addresses. */
	for (uint64_t at = f->rsp; at < control()->stack_top && n < 12; at += 8) {
		uint64_t word = *(const uint64_t *)at;

		if (word > EXOS_IMAGE && word < EXOS_AREA) {
			core_log("exos:   %lx\n", word);
			n++;
		}
	}
	core_die("fault in the library");
}

/* The signal that Linux makes of an exception of the program. */
static void
exception_signal(const struct aegis_frame *f, int err)
{
	switch (f->cause) {
	case AEGIS_CAUSE_DIVIDE:
		signal_fault(LX_SIGFPE, LX_FPE_INTDIV, f->rip);
		break;
	case AEGIS_CAUSE_DEBUG:
		signal_fault(LX_SIGTRAP, LX_TRAP_TRACE, f->rip);
		break;
	case AEGIS_CAUSE_BREAKPOINT:
		signal_fault(LX_SIGTRAP, LX_SI_KERNEL, f->rip);
		break;
	case AEGIS_CAUSE_UNDEFINED:
		signal_fault(LX_SIGILL, LX_ILL_ILLOPN, f->rip);
		break;
	case AEGIS_CAUSE_FPU:
	case AEGIS_CAUSE_SIMD:
		signal_fault(LX_SIGFPE, LX_FPE_FLTINV, f->rip);
		break;
	case AEGIS_CAUSE_ALIGNMENT:
		signal_fault(LX_SIGBUS, LX_BUS_ADRALN, f->rip);
		break;
	case AEGIS_CAUSE_PAGE:
		if (err == -ENXIO || err == -EIO)
			signal_fault(LX_SIGBUS, LX_BUS_ADRERR, f->addr);
		else
			signal_fault(LX_SIGSEGV, err == -EACCES ? LX_SEGV_ACCERR : LX_SEGV_MAPERR,
				     f->addr);
		break;
	default:
		signal_fault(LX_SIGSEGV, LX_SI_KERNEL, 0);
	}
}

static bool
in_image(uint64_t rip)
{
	return rip >= EXOS_IMAGE && rip < EXOS_AREA;
}

/* Closed while the program's code runs, like when it runs by itself. */
static void
keys_set(uint32_t pkru)
{
	if (control()->keys)
		__asm__ volatile("wrpkru" ::"a"(pkru), "c"(0), "d"(0) : "memory");
}

/*
 * The program's handler, where assembly has not asked it.  A fault of the library in a copy from or to
 * the program's own range, or of a handler itself there, may be mended by binding a page, and not by
 * changing the frame: the handler sees a copy of it.
 */
static bool
program_asked(struct aegis_frame *f, bool library)
{
	int (*handler)(struct aegis_frame *) = (void *)control()->fault_handler;
	struct aegis_frame copy = *f;
	int mended;

	if (f->cause >= 32 || !(control()->fault_causes >> f->cause & 1))
		return false;
	if (library && (f->cause != AEGIS_CAUSE_PAGE || !vm_owned(f->addr) ||
			(in_image(f->rip) && !copy_otherwise(f->rip))))
		return false;
	keys_set(PKRU_PROGRAM);
	mended = handler(library ? &copy : f);
	keys_set(0);
	return mended;
}

void
upcall_fault(struct aegis_frame *f, uint64_t callee[6])
{
	bool library = f->deferred;
	uint64_t otherwise;
	int err = 0;

	if (f->cause == AEGIS_CAUSE_SYSCALL && !library && control()->role == ROLE_PROCESS) {
		control()->traps++;
		site_trapped(f->rip - 2, f->rax);
		call_serve(f, callee);
		return;
	}
	/* What the program did by itself, assembly has asked about. */
	if ((library || !(control()->fault_fast >> f->cause & 1)) && program_asked(f, library))
		return;
	if (f->cause == AEGIS_CAUSE_PAGE) {
		err = page_fault_patient(f->addr, f->error);
		if (err == 0)
			return;
	}
	if (library && !in_image(f->rip) && control()->role == ROLE_PROCESS)
		process_exit(LX_SIGSEGV); /* a handler of the program, see include/exos/fault.h */
	if (library) {
		otherwise = copy_otherwise(f->rip);
		if (f->cause != AEGIS_CAUSE_PAGE || !otherwise)
			library_broken(f);
		f->rip = otherwise;
		return;
	}
	if (control()->role != ROLE_PROCESS)
		library_broken(f);
	exception_signal(f, err);
	signal_deliver(f, callee, 0, 0);
}

/* The kernel asks for something back. */
static void
revocation_answer(void)
{
	uint32_t (*handler)(uint32_t) = (void *)control()->revoke_handler;
	uint32_t want = ENVPAGE->ask_count, given = 0;

	if (ENVPAGE->ask_kind != AEGIS_KIND_FRAME || control()->role != ROLE_PROCESS)
		return;
	/* The program's choice first; what it does not give, the library does. */
	if (handler) {
		keys_set(PKRU_PROGRAM);
		given = handler(want);
		keys_set(0);
	}
	if (given < want)
		given += vm_give(want - given);
	if (given < want)
		process_copies_drop();
}

void
upcall_async(struct aegis_frame *f, uint64_t callee[6])
{
	uint32_t pending = __atomic_exchange_n(&control()->area.pending, 0, __ATOMIC_SEQ_CST);

	if (pending & AEGIS_PEND_REVOKE)
		revocation_answer();
	if (pending & AEGIS_PEND_SLICE)
		core_yield();
	if (control()->role == ROLE_PROCESS && signal_pending())
		signal_deliver(f, callee, 0, 0);
}
