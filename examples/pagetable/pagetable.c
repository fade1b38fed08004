/* SPDX-License-Identifier: MIT */
/*
 * pagetable: the same program over the linear and over the inverted page table, chosen when it starts, and where each of
 * them wins.
 *
 * `dense` writes pages side by side, and then gives and takes the right to write in runs of 100; `sparse` writes pages 2 MiB
 * from each other; both read everything back.  Prints "name value" lines: ticks for a page (instructions under
 * --icount), bytes of the table, and whether what was read is what was written.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <x86intrin.h>

#include <exos/api.h>
#include <exos/vm.h>

#define PAGE    4096ul
#define PRESENT 1024u
#define RUN     100u
#define RW      (AEGIS_BIND_READ | AEGIS_BIND_WRITE)

static struct exos_vm vm;

EXOS_HANDLER static int
absent(struct exos_vm *v, uint64_t va, struct aegis_frame *f)
{
	(void)f;
	return exos_vm_fill(v, va, 1, RW) == 0;
}

EXOS_HANDLER static int
denied(struct exos_vm *v, uint64_t va, struct aegis_frame *f)
{
	(void)f;
	exos_vm_protect(v, va, 1, RW);
	return 1;
}

EXOS_HANDLER static int
on_fault(struct aegis_frame *f)
{
	return exos_vm_fault(&vm, f);
}

static uint64_t *
word_of(uint64_t page)
{
	return (uint64_t *)(vm.start + page * PAGE);
}

static void
tell(const char *workload, const char *what, uint64_t value)
{
	printf("pagetable_%s_%s_%s %" PRIu64 "\n", workload, vm.ops->name, what, value);
}

/* Pages 0, apart, 2 * apart ...: written, then read. */
static void
touch(const char *workload, uint64_t apart)
{
	uint64_t begin = __rdtsc(), good = 1;

	for (uint64_t i = 0; i < PRESENT; i++)
		*word_of(i * apart) = i * 17;
	tell(workload, "ticks_per_fault", (__rdtsc() - begin) / PRESENT);
	tell(workload, "bytes", vm.ops->memory(vm.table));
	for (uint64_t i = 0; i < PRESENT; i++)
		good &= *word_of(i * apart) == i * 17;
	tell(workload, "good", good);
}

/* Runs lose the right to write and get it back; in between a store into each run is a fault. */
static void
protect(void)
{
	uint64_t begin = __rdtsc(), runs = PRESENT / RUN;

	for (uint64_t i = 0; i < runs; i++)
		exos_vm_protect(&vm, vm.start + i * RUN * PAGE, RUN, AEGIS_BIND_READ);
	for (uint64_t i = 0; i < runs; i++)
		*word_of(i * RUN) += 1;
	for (uint64_t i = 0; i < runs; i++)
		exos_vm_protect(&vm, vm.start + i * RUN * PAGE, RUN, RW);
	tell("dense", "ticks_per_protected_page", (__rdtsc() - begin) / (runs * RUN));
}

static void
start(const struct exos_table_ops *ops, uint64_t pages)
{
	/* The hardware's tables first: they are the same for both. */
	if (exos_vm_make(&vm, pages, ops, PRESENT) < 0 || exos_tables(vm.start, pages * PAGE)) {
		fputs("no memory\n", stderr);
		exit(1);
	}
	vm.absent = absent;
	vm.denied = denied;
}

int
main(void)
{
	const struct exos_table_ops *const all[] = {&exos_linear, &exos_inverted};

	if (!exos_here()) {
		puts("pagetable: this is not ExOS");
		return 0;
	}
	exos_fault_handler(on_fault, EXOS_CAUSE(AEGIS_CAUSE_PAGE));
	for (int i = 0; i < 2; i++) {
		start(all[i], PRESENT);
		touch("dense", 1);
		protect();
		exos_vm_destroy(&vm);
		start(all[i], PRESENT * 512);
		touch("sparse", 512);
		exos_vm_destroy(&vm);
	}
	return 0;
}
