/* SPDX-License-Identifier: MIT */
/*
 * Virtual memory as programs use it (Appel and Li, ASPLOS '91): ask whether a page is dirty, change
 * protections, take faults and repair them, touch new memory.  On ExOS the area is a range of the program's own
 * (exos/mem.h): its frames and bindings are between the program and the kernel.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bench.h"
#include "pages.h"

#ifdef EXOS
#define AEGIS_STUBS
#include <exos/api.h>
#include <exos/fault.h>
#include <exos/vm.h>
#endif

#define TABLE   (512 * PAGE)
#define TOUCHED 256u /* less than a large page */

static char *area;
static unsigned open_page;

#ifdef EXOS
#define OPEN   (AEGIS_BIND_READ | AEGIS_BIND_WRITE)
#define CLOSED AEGIS_BIND_READ

static uint32_t frames[PAGES];

/* The program's page table is frames[]: whatever vanished is bound again, open. */
EXOS_HANDLER static int
bring_in(struct aegis_frame *frame)
{
	uint64_t page = (frame->addr - (uint64_t)area) / PAGE;

	return page < PAGES && exos_bind_one((uint64_t)area + page * PAGE, frames[page], OPEN) == 0;
}

static void
area_make(void)
{
	int64_t va = exos_range_own(0, PAGES * PAGE);

	bench_require(va > 0);
	area = (char *)va;
	for (unsigned i = 0; i < PAGES; i++)
		frames[i] = AEGIS_ANY;
	bench_require(exos_frames_alloc(frames, PAGES) == 0);
	bench_require(exos_fault_handler(bring_in, EXOS_CAUSE(AEGIS_CAUSE_PAGE)) == 0);
	for (unsigned i = 0; i < PAGES; i++)
		bench_require(exos_bind_one((uint64_t)va + i * PAGE, frames[i], OPEN) == 0);
	memset(area, 1, PAGES * PAGE);
}

static void
protect(unsigned first, unsigned pages, uint32_t protection)
{
	bench_require(exos_protect((uint64_t)area + first * PAGE, pages, protection) >= 0);
}

static void
dirty_setup(void)
{
	area_make();
}

static void
dirty(void)
{
	static volatile unsigned seen;

	seen += exos_dirty((uint64_t)area);
}

/* Unprotects the page that was touched, and protects another, the one before, in one call. */
EXOS_HANDLER static int
appel1_fault(struct aegis_frame *frame)
{
	uint64_t page = (frame->addr - (uint64_t)area) / PAGE;
	struct aegis_bind *change = exos_batch();

	if (page >= PAGES)
		return 0;
	change[0] = (struct aegis_bind){(uint64_t)area + page * PAGE, 1, OPEN};
	change[1] = (struct aegis_bind){(uint64_t)area + open_page * PAGE, 1, CLOSED};
	open_page = (unsigned)page;
	return exos_batch_protect(2) == 2;
}

EXOS_HANDLER static int
appel2_fault(struct aegis_frame *frame)
{
	uint64_t page = (frame->addr - (uint64_t)area) / PAGE;

	return page < PAGES && exos_protect((uint64_t)area + page * PAGE, 1, OPEN) >= 0;
}

static void
handle(exos_fault_fn *handler)
{
	bench_require(exos_fault_handler(handler, EXOS_CAUSE(AEGIS_CAUSE_PAGE)) == 0);
}
#else
/* At a multiple of 2 MiB, because what Linux does for a page depends on where it lies in its table. */
static void
area_make(void)
{
	char *found = mmap(NULL, 2 * TABLE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	bench_require(found != MAP_FAILED && munmap(found, 2 * TABLE) == 0);
	area = mmap((void *)(((uint64_t)found + TABLE - 1) / TABLE * TABLE), PAGES * PAGE,
		    PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	bench_require(area != MAP_FAILED);
	memset(area, 1, PAGES * PAGE);
}

#define OPEN   (PROT_READ | PROT_WRITE)
#define CLOSED PROT_READ

static void
protect(unsigned first, unsigned pages, int protection)
{
	bench_require(mprotect(area + first * PAGE, pages * PAGE, protection) == 0);
}

static int map;

static void
dirty_setup(void)
{
	area_make();
	map = open("/proc/self/pagemap", O_RDONLY);
	if (map < 0)
		bench_null("/proc/self/pagemap: %s", strerror(errno));
}

static void
dirty(void)
{
	static volatile unsigned seen;
	uint64_t entry;

	bench_require(pread(map, &entry, 8, (off_t)((uint64_t)area / PAGE * 8)) == 8);
	seen += entry >> 55 & 1;
}

static void
handle(void (*handler)(int, siginfo_t *, void *))
{
	struct sigaction act = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};

	bench_require(sigaction(SIGSEGV, &act, NULL) == 0);
}

static unsigned
page_of(const siginfo_t *info)
{
	uint64_t offset = (uint64_t)info->si_addr - (uint64_t)area;

	if (offset >= PAGES * PAGE)
		bench_fail("an unexpected fault");
	return (unsigned)(offset / PAGE);
}

/* Unprotects the page that was touched, and protects another: the one before. */
static void
appel1_fault(int number, siginfo_t *info, void *context)
{
	unsigned page = page_of(info);

	(void)number;
	(void)context;
	protect(page, 1, OPEN);
	protect(open_page, 1, CLOSED);
	open_page = page;
}

static void
appel2_fault(int number, siginfo_t *info, void *context)
{
	(void)number;
	(void)context;
	protect(page_of(info), 1, OPEN);
}

#endif

static char *
page_at(uint64_t page)
{
	return area + page * PAGE;
}

static void
pages_open(unsigned first, unsigned pages)
{
	protect(first, pages, OPEN);
}

static void
pages_close(unsigned first, unsigned pages)
{
	protect(first, pages, CLOSED);
}

static void
appel1_setup(void)
{
	area_make();
	order_make();
	handle(appel1_fault);
	protect(0, PAGES, CLOSED);
	protect(open_page, 1, OPEN);
}

static void
appel2_setup(void)
{
	area_make();
	order_make();
	handle(appel2_fault);
}

/* ---- new memory ---- */
static char *fresh;

#ifdef EXOS
#define AROUND 8u /* pages that a fault brings in: the program knows that it goes on behind it */

static struct exos_vm fresh_vm;

EXOS_HANDLER static int
fresh_absent(struct exos_vm *v, uint64_t va, struct aegis_frame *frame)
{
	(void)frame;
	return exos_vm_fill(v, va, AROUND, OPEN) == 0;
}

EXOS_HANDLER static int
fresh_fault(struct aegis_frame *frame)
{
	return exos_vm_fault(&fresh_vm, frame);
}

static void
fresh_make(void)
{
	if (fresh)
		exos_vm_destroy(&fresh_vm);
	bench_require(exos_vm_make(&fresh_vm, TOUCHED, &exos_linear, TOUCHED) == 0);
	fresh_vm.absent = fresh_absent;
	fresh = (char *)fresh_vm.start;
	handle(fresh_fault);
}
#else
static void
fresh_make(void)
{
	if (fresh)
		bench_require(munmap(fresh, TOUCHED * PAGE) == 0);
	fresh = mmap(NULL, TOUCHED * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		     0);
	bench_require(fresh != MAP_FAILED);
	madvise(fresh, TOUCHED * PAGE, MADV_NOHUGEPAGE);
}
#endif

static void
touch(void)
{
	for (unsigned i = 0; i < TOUCHED; i++)
		((volatile char *)fresh)[i * PAGE] = 1;
}

BENCH(dirty, .setup = dirty_setup, .op = dirty)
BENCH(prot1, .setup = area_make, .before = open_one, .op = prot1)
BENCH(prot100, .setup = area_make, .before = open_all, .op = prot100)
BENCH(unprot100, .setup = area_make, .before = close_all, .op = unprot100)
BENCH(appel1, .setup = appel1_setup, .op = appel1)
BENCH(appel2, .setup = appel2_setup, .op = appel2, .per = PAGES)
BENCH(minor_fault, .before = fresh_make, .op = touch, .per = TOUCHED)
