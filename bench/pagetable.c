/* SPDX-License-Identifier: MIT */
/*
 * Page tables that a program chooses (include/exos/vm.h): changes of protection and faults over the linear one and
 * over the inverted one, and where each of them wins: pages side by side, and pages far from each other.  A protected
 * page is one that may not be written.  Only on ExOS.
 */
#include <exos/vm.h>

#include "bench.h"
#include "pages.h"

#define DENSE  4096u
#define SPARSE 1024u
#define APART  512u /* pages from one sparse page to the next */
#define RW     (AEGIS_BIND_READ | AEGIS_BIND_WRITE)

static struct exos_vm vm;
static uint64_t open_page;

static char *
page_at(uint64_t page)
{
	return (char *)vm.start + page * PAGE;
}

static void
pages_open(unsigned first, unsigned pages)
{
	exos_vm_protect(&vm, vm.start + first * PAGE, pages, RW);
}

static void
pages_close(unsigned first, unsigned pages)
{
	exos_vm_protect(&vm, vm.start + first * PAGE, pages, AEGIS_BIND_READ);
}

EXOS_HANDLER static int
bring_in(struct exos_vm *v, uint64_t va, struct aegis_frame *f)
{
	(void)f;
	return exos_vm_fill(v, va, 1, RW) == 0;
}

EXOS_HANDLER static int
on_fault(struct aegis_frame *f)
{
	return exos_vm_fault(&vm, f);
}

static void
make(const struct exos_table_ops *ops, uint64_t pages, uint64_t present)
{
	if (vm.end)
		exos_vm_destroy(&vm);
	bench_require(exos_vm_make(&vm, pages, ops, present) == 0);
	vm.absent = bring_in;
	bench_require(exos_fault_handler(on_fault, EXOS_CAUSE(AEGIS_CAUSE_PAGE)) == 0);
}

static void
area_make(const struct exos_table_ops *ops)
{
	make(ops, PAGES, PAGES);
	area_write(PAGES);
}

static void
linear(void)
{
	area_make(&exos_linear);
}

static void
inverted(void)
{
	area_make(&exos_inverted);
}

/* ---- dirty ---- */
static volatile unsigned seen;

static void
dirty(void)
{
	seen += exos_vm_dirty(&vm, vm.start);
}

/* ---- faults that are repaired ---- */
/* Unprotects the page that was touched, and protects another, in one call. */
EXOS_HANDLER static int
appel1_denied(struct exos_vm *v, uint64_t va, struct aegis_frame *f)
{
	struct aegis_bind *change = exos_batch();

	(void)f;
	change[0] = (struct aegis_bind){va, 1, RW};
	change[1] = (struct aegis_bind){open_page, 1, AEGIS_BIND_READ};
	v->ops->protect(v->table, open_page, 1, EXOS_PAGE_READ);
	v->ops->protect(v->table, va, 1, EXOS_PAGE_READ | EXOS_PAGE_WRITE);
	open_page = va;
	return exos_batch_protect(2) == 2;
}

static void
appel1_setup(void)
{
	order_make();
	vm.denied = appel1_denied;
	prot100();
	open_one();
	open_page = vm.start;
}

static void
appel1_linear(void)
{
	linear();
	appel1_setup();
}

static void
appel1_inverted(void)
{
	inverted();
	appel1_setup();
}

EXOS_HANDLER static int
appel2_denied(struct exos_vm *v, uint64_t va, struct aegis_frame *f)
{
	(void)f;
	exos_vm_protect(v, va, 1, RW);
	return 1;
}

static void
appel2_linear(void)
{
	linear();
	order_make();
	vm.denied = appel2_denied;
}

static void
appel2_inverted(void)
{
	inverted();
	order_make();
	vm.denied = appel2_denied;
}

/* ---- dense and sparse ---- */
static void
dense_linear(void)
{
	make(&exos_linear, DENSE, DENSE);
}

static void
dense_inverted(void)
{
	make(&exos_inverted, DENSE, DENSE);
}

static void
dense(void)
{
	area_write(DENSE);
}

static void
sparse_linear(void)
{
	make(&exos_linear, SPARSE * APART, SPARSE);
}

static void
sparse_inverted(void)
{
	make(&exos_inverted, SPARSE * APART, SPARSE);
}

static void
sparse(void)
{
	for (unsigned i = 0; i < SPARSE; i++)
		*(volatile char *)page_at(i * APART) = 1;
}

BENCH(vm_linear_dirty, .setup = linear, .op = dirty)
BENCH(vm_linear_prot1, .setup = linear, .before = open_one, .op = prot1)
BENCH(vm_linear_prot100, .setup = linear, .before = open_all, .op = prot100)
BENCH(vm_linear_unprot100, .setup = linear, .before = close_all, .op = unprot100)
BENCH(vm_linear_appel1, .setup = appel1_linear, .op = appel1)
BENCH(vm_linear_appel2, .setup = appel2_linear, .op = appel2, .per = PAGES)
BENCH(vm_dense_linear, .before = dense_linear, .op = dense, .per = DENSE)
BENCH(vm_sparse_linear, .before = sparse_linear, .op = sparse, .per = SPARSE)
BENCH(vm_inverted_dirty, .setup = inverted, .op = dirty)
BENCH(vm_inverted_prot1, .setup = inverted, .before = open_one, .op = prot1)
BENCH(vm_inverted_prot100, .setup = inverted, .before = open_all, .op = prot100)
BENCH(vm_inverted_unprot100, .setup = inverted, .before = close_all, .op = unprot100)
BENCH(vm_inverted_appel1, .setup = appel1_inverted, .op = appel1)
BENCH(vm_inverted_appel2, .setup = appel2_inverted, .op = appel2, .per = PAGES)
BENCH(vm_dense_inverted, .before = dense_inverted, .op = dense, .per = DENSE)
BENCH(vm_sparse_inverted, .before = sparse_inverted, .op = sparse, .per = SPARSE)
