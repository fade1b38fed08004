/* SPDX-License-Identifier: MIT */
/*
 * The collector (collector.h).
 *
 * Owns: the nursery, two halves of the old generation, and which pages of it were written.
 *
 * 1. Outside a collection every page of the half in use that holds nodes is protected, or marked dirty,
 *    or is the last one, into which the next survivors go; so a pointer from old to new is in a dirty page or in the last.
 * 2. Nodes do not cross pages.
 * 3. The other half is open, and nothing lives in it.
 *
 * The same source runs on ExOS, where faults come to a function and protections change in one call for many pages, and on
 * Linux with signals and mprotect; which is decided when it starts.
 */
#include "collector.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include <exos/api.h>
#include <exos/vm.h>

#define PAGE     4096ul
#define IN_PAGE  (PAGE / sizeof(struct node))
#define OLD_SIZE (GC_OLD_PAGES * IN_PAGE)
#define HALF     (OLD_SIZE + GC_NURSERY) /* a major collection may have the nursery to copy, too */
#define PAGES    (GC_OLD_PAGES + GC_NURSERY / IN_PAGE)
#define BITS     64u

struct node *gc_roots[GC_ROOTS];
struct gc_count gc_count;

static struct node *nursery, *nursery_next;
static struct node *old, *old_next; /* the half in use */
static uint64_t dirty[PAGES / BITS];

/* ---- the barrier, by whatever this system offers ---- */

struct barrier {
	struct node *(*make)(uint64_t pages);
	void (*open)(uint64_t va, uint32_t pages);
	void (*close)(uint64_t va, uint32_t pages); /* may wait until flush */
	void (*flush)(void);
};

static const struct barrier *barrier;

/* A store into the old generation: false, if it is not that. */
EXOS_HANDLER static bool
written(uint64_t va)
{
	uint64_t page = (va - (uint64_t)old) / PAGE;

	if (page >= PAGES)
		return false;
	gc_count.faults++;
	dirty[page / BITS] |= 1ul << page % BITS;
	return true;
}

static struct exos_vm vm;

EXOS_HANDLER static int
exos_absent(struct exos_vm *v, uint64_t va, struct aegis_frame *f)
{
	(void)f;
	return exos_vm_fill(v, va, EXOS_VM_RUN, AEGIS_BIND_READ | AEGIS_BIND_WRITE) == 0;
}

EXOS_HANDLER static int
exos_denied(struct exos_vm *v, uint64_t va, struct aegis_frame *f)
{
	(void)f;
	if (!written(va))
		return 0;
	exos_vm_protect(v, va, 1, AEGIS_BIND_READ | AEGIS_BIND_WRITE);
	return 1;
}

EXOS_HANDLER static int
exos_fault(struct aegis_frame *f)
{
	return exos_vm_fault(&vm, f);
}

static struct node *
exos_make(uint64_t pages)
{
	if (exos_vm_make(&vm, pages, &exos_linear, pages) < 0)
		return NULL;
	vm.absent = exos_absent;
	vm.denied = exos_denied;
	exos_fault_handler(exos_fault, EXOS_CAUSE(AEGIS_CAUSE_PAGE));
	return (struct node *)vm.start;
}

static void
exos_open(uint64_t va, uint32_t pages)
{
	exos_vm_protect(&vm, va, pages, AEGIS_BIND_READ | AEGIS_BIND_WRITE);
}

#define CLOSING 64u
static struct aegis_bind closing[CLOSING];
static uint32_t closings;

static void
exos_flush(void)
{
	exos_protect_each(closing, closings);
	closings = 0;
}

static void
exos_close(uint64_t va, uint32_t pages)
{
	if (closings == CLOSING)
		exos_flush();
	vm.ops->protect(vm.table, va, pages, EXOS_PAGE_READ);
	closing[closings++] = (struct aegis_bind){va, pages, AEGIS_BIND_READ};
}

static const struct barrier exos_barrier = {exos_make, exos_open, exos_close, exos_flush};

static void
linux_open(uint64_t va, uint32_t pages)
{
	mprotect((void *)va, pages * PAGE, PROT_READ | PROT_WRITE);
}

static void
linux_close(uint64_t va, uint32_t pages)
{
	mprotect((void *)va, pages * PAGE, PROT_READ);
}

static void
linux_flush(void)
{
}

static void
linux_fault(int number, siginfo_t *info, void *context)
{
	uint64_t va = (uint64_t)info->si_addr & -PAGE;

	(void)context;
	if (written(va))
		linux_open(va, 1);
	else
		signal(number, SIG_DFL); /* the program's own mistake, once more */
}

static struct node *
linux_make(uint64_t pages)
{
	struct sigaction act = {.sa_sigaction = linux_fault, .sa_flags = SA_SIGINFO | SA_NODEFER};
	void *at = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			0);

	return at == MAP_FAILED || sigaction(SIGSEGV, &act, NULL) ? NULL : at;
}

static const struct barrier linux_barrier = {linux_make, linux_open, linux_close, linux_flush};

/* ---- collections ---- */

static bool
in_nursery(const struct node *n)
{
	return n >= nursery && n < nursery + GC_NURSERY;
}

static bool
in_half(const struct node *n, const struct node *half)
{
	return n >= half && n < half + HALF;
}

/* The node's copy behind old_next; `from`: half that is left, or NULL. */
static struct node *
copied(struct node *n, const struct node *from)
{
	if (!n || !(in_nursery(n) || (from && in_half(n, from))))
		return n;
	if (!n->forward) {
		*old_next = *n;
		n->forward = old_next++;
		gc_count.copied++;
	}
	return n->forward;
}

static void
node_scan(struct node *n, const struct node *from)
{
	struct node *left = n->left, *right = n->right;

	/* A store only where something moved: others would touch pages for nothing. */
	if (copied(left, from) != left)
		n->left = copied(left, from);
	if (copied(right, from) != right)
		n->right = copied(right, from);
}

static void
roots_copy(const struct node *from)
{
	for (uint32_t i = 0; i < GC_ROOTS; i++)
		gc_roots[i] = copied(gc_roots[i], from);
}

static void
survivors_scan(struct node *scan, const struct node *from)
{
	for (; scan < old_next; scan++)
		node_scan(scan, from);
}

static uint32_t
page_of(const struct node *n)
{
	return (uint32_t)((n - old) / IN_PAGE);
}

static uint64_t
room(void)
{
	return old_next < old + OLD_SIZE ? (uint64_t)(old + OLD_SIZE - old_next) : 0;
}

static bool
is_dirty(uint32_t page)
{
	return dirty[page / BITS] >> page % BITS & 1;
}

/* Protects the dirty pages and those from `first` on, up to the last one; in runs. */
static void
pages_close(uint32_t first)
{
	uint32_t last = page_of(old_next);

	for (uint32_t i = 0; i < last;) {
		uint32_t run = i;

		if (i < first && !dirty[i / BITS]) {
			i = (i / BITS + 1) * BITS;
			i = i < first ? i : first;
			continue;
		}
		while (run < last && (run >= first || is_dirty(run)))
			run++;
		if (run > i)
			barrier->close((uint64_t)(old + i * IN_PAGE), run - i);
		i = run > i ? run : i + 1;
	}
	barrier->flush();
	for (uint32_t i = 0; i < PAGES / BITS; i++)
		dirty[i] = 0;
}

static void
minor(void)
{
	struct node *scan = old_next;
	uint32_t last = page_of(old_next);

	gc_count.minor++;
	roots_copy(NULL);
	for (uint32_t page = 0; page <= last && page < PAGES; page++) {
		struct node *n = old + page * IN_PAGE, *end = n + IN_PAGE;

		if (page < last && !dirty[page / BITS]) {
			page |= BITS - 1; /* none of these */
			page = page < last ? page : last - 1;
			continue;
		}
		if (page < last && !is_dirty(page))
			continue;
		for (end = end < scan ? end : scan; n < end; n++)
			node_scan(n, NULL);
	}
	survivors_scan(scan, NULL);
	nursery_next = nursery;
	pages_close(last);
}

static void
major(void)
{
	struct node *from = old, *base = nursery + GC_NURSERY;

	gc_count.major++;
	barrier->open((uint64_t)from, PAGES); /* for the forward pointers */
	old = old_next = from == base ? base + HALF : base;
	roots_copy(from);
	survivors_scan(old, from);
	nursery_next = nursery;
	pages_close(0);
	if (room() < GC_NURSERY) {
		fputs("the old generation is full\n", stderr);
		abort();
	}
}

void
gc_collect(void)
{
	if (room() < GC_NURSERY)
		major();
	else
		minor();
}

struct node *
gc_alloc(struct node *left, struct node *right, uint64_t value)
{
	struct node *n;

	if (nursery_next == nursery + GC_NURSERY)
		gc_collect();
	n = nursery_next++;
	*n = (struct node){left, right, value, NULL};
	return n;
}

bool
gc_make(bool signals)
{
	barrier = exos_here() && !signals ? &exos_barrier : &linux_barrier;
	nursery = barrier->make(GC_NURSERY / IN_PAGE + 2 * PAGES);
	nursery_next = nursery;
	old = old_next = nursery + GC_NURSERY;
	return nursery;
}
