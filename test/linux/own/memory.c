/* SPDX-License-Identifier: MIT */
/* Memory that a program manages itself, and handlers of its own: what works, and what misuse gets. */
#define _GNU_SOURCE
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define AEGIS_STUBS
#include <exos/api.h>
#include <exos/fault.h>
#include <exos/mem.h>

#define PAGE  4096ul
#define PAGES 64u
#define RW    (AEGIS_BIND_READ | AEGIS_BIND_WRITE)

static char *base;
static uint32_t frame[PAGES]; /* the program's page table; 0: no page */
static volatile uint32_t asked;

static void
tell(const char *what, int good)
{
	printf("%s %d\n", what, good);
	fflush(stdout);
}

EXOS_HANDLER static int
bring_in(struct aegis_frame *f)
{
	uint64_t page = (f->addr - (uint64_t)base) / PAGE;

	if (page >= PAGES)
		return 0;
	asked++;
	if (!frame[page]) {
		uint32_t pfn = AEGIS_ANY;

		if (exos_frames_alloc(&pfn, 1))
			return 0;
		frame[page] = pfn;
	}
	return exos_bind_one((uint64_t)base + page * PAGE, frame[page], RW) == 0;
}

EXOS_HANDLER static int
step_over(struct aegis_frame *f)
{
	static const uint8_t length[32] = {[AEGIS_CAUSE_DIVIDE] = 2, [AEGIS_CAUSE_UNDEFINED] = 2};

	asked = asked * 10 + f->cause;
	f->rip += length[f->cause];
	return 1;
}

EXOS_HANDLER static int
fall(struct aegis_frame *f)
{
	*(volatile int *)f->rip = 1; /* its own text */
	return 1;
}

/* How a child that does this ends: signal, or status + 256. */
static int
child_end(void (*does)(void))
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		does();
		_exit(0);
	}
	waitpid(pid, &status, 0);
	return WIFSIGNALED(status) ? WTERMSIG(status) : 256 + WEXITSTATUS(status);
}

static void
touch(void)
{
	*(volatile char *)base = 1;
}

static void
touch_with_bad_handler(void)
{
	exos_fault_handler((exos_fault_fn *)0x123456, EXOS_CAUSES);
	touch();
}

static void
touch_with_falling_handler(void)
{
	exos_fault_handler(fall, EXOS_CAUSES);
	touch();
}

static void
fill_again(void)
{
	memset(frame, 0, sizeof(frame));
	exos_fault_handler(bring_in, EXOS_CAUSE(AEGIS_CAUSE_PAGE));
	memset(base, 7, PAGES * PAGE);
	_exit(base[PAGE * 5] == 7 ? 3 : 4);
}

static void
exec_then_touch(void)
{
	char *argv[] = {"/proc/self/exe", "touch", NULL}, *envp[] = {NULL};

	exos_fault_handler(step_over, EXOS_CAUSES);
	execve("/proc/self/exe", argv, envp);
}

static void
ranges(void)
{
	int64_t other = exos_range_own(0, PAGE);

	tell("range", base && (uint64_t)base % PAGE == 0);
	tell("range taken", exos_range_own((uint64_t)base, PAGE) == -EEXIST &&
				    exos_range_own((uint64_t)&other & -PAGE, PAGE) == -EEXIST);
	tell("range of the library", exos_range_own(0x7f7fefe00000, PAGE) < 0 &&
					     exos_range_own(0x7f7fc8100000 - PAGE, 2 * PAGE) < 0);
	tell("range of nobody",
	     exos_range_own(~0ul << 40, PAGE) < 0 && exos_range_own(PAGE, ~0ul) < 0 &&
		     exos_range_own(0, 0) < 0 && exos_range_own(0x10001, PAGE) < 0);
	tell("mprotect refused", mprotect(base, PAGE, PROT_READ) < 0 && errno == EACCES);
	tell("mremap refused", mremap(base, PAGE, 2 * PAGE, MREMAP_MAYMOVE) == MAP_FAILED);
	tell("range ends",
	     munmap((void *)other, PAGE) == 0 && exos_range_own(other, PAGE) == other);
}

static void
demand(void)
{
	uint32_t sum = 0, bytes[PAGES];
	int fd[2];

	exos_fault_handler(bring_in, EXOS_CAUSE(AEGIS_CAUSE_PAGE));
	for (uint32_t i = 0; i < PAGES - 1; i++)
		*(uint32_t *)(void *)(base + i * PAGE) = i;
	for (uint32_t i = 0; i < PAGES - 1; i++)
		sum += *(uint32_t *)(void *)(base + i * PAGE);
	tell("pages on demand", sum == (PAGES - 1) * (PAGES - 2) / 2 && asked >= PAGES - 1);
	tell("calls into the range",
	     pipe(fd) == 0 && write(fd[1], frame, sizeof(frame)) > 0 &&
		     read(fd[0], base + (PAGES - 1) * PAGE, sizeof(frame)) > 0 &&
		     write(fd[1], base + (PAGES - 1) * PAGE, 8) == 8 &&
		     read(fd[0], bytes, 8) == 8 && bytes[0] == frame[0]);
	exos_fault_handler(NULL, 0);
	exos_unbind((uint64_t)base, 1);
	tell("calls without a handler", write(fd[1], base, 1) < 0 && errno == EFAULT);
}

static void
bits(void)
{
	uint64_t va = (uint64_t)base;
	struct aegis_bind two[2] = {{va, 1, AEGIS_BIND_READ}, {va + PAGE, 3, AEGIS_BIND_CLEAR}};
	int64_t was;

	exos_fault_handler(bring_in, EXOS_CAUSE(AEGIS_CAUSE_PAGE));
	touch();
	tell("dirty", exos_dirty(va) || !(exos_pte(va) & AEGIS_PTE_PRESENT));
	was = exos_clean(va, 1);
	tell("clean",
	     was == (int64_t)(AEGIS_WAS_ACCESSED | AEGIS_WAS_DIRTY) || !(exos_pte(va) & 1));
	tell("no longer dirty", !exos_dirty(va));
	touch();
	tell("protect", exos_protect_each(two, 2) == 0 && !(exos_pte(va) & AEGIS_PTE_WRITE));
	tell("tables", exos_tables((uint64_t)base, PAGES * PAGE) == 0);
	exos_fault_handler(NULL, 0);
}

static void
exceptions(void)
{
	asked = 0;
	exos_fault_handler(step_over, EXOS_CAUSES & ~EXOS_CAUSE(AEGIS_CAUSE_PAGE));
	__asm__ volatile("divl %%ecx" ::"a"(1), "d"(0), "c"(0) : "memory", "cc");
	__asm__ volatile("ud2; int3" ::: "memory");
	tell("exceptions", asked == 63); /* 0, 6, 3 */
	exos_fault_handler(NULL, 0);
}

#define SPARE 16u
static uint32_t spare[SPARE], spares, given;

/* The last ones first: the program's choice. */
EXOS_HANDLER static uint32_t
give(uint32_t want)
{
	while (given < want && spares)
		given += (uint32_t)exos_frames_free(&spare[--spares], 1);
	return given;
}

/* The kernel asks for frames; the program chooses which, and keeps the others. */
static void
revocation(void)
{
	struct exos_places p;
	const volatile struct aegis_env_page *page;

	exos_mem_places(&p);
	page = (const volatile struct aegis_env_page *)p.env_page;
	for (uint32_t i = 0; i < SPARE; i++)
		spare[i] = AEGIS_ANY;
	exos_frames_alloc(spare, SPARE);
	spares = SPARE;
	exos_revoke_handler(give);
	tell("asked for nothing",
	     exos_revoke_ask(0, 1000) < 0 && exos_revoke_ask(1ul << 32, 1000) < 0);
	tell("asked", exos_revoke_ask(5, 2000000000) == 0);
	for (uint32_t i = 0; i < 100 && !given; i++)
		usleep(1000);
	tell("what it chose went",
	     given == 5 && spares == SPARE - 5 && page->ask_kind == 0 && page->taken_count == 0);
	tell("the others stay",
	     exos_bind_one((uint64_t)base, spare[spares - 1], RW) == 0 &&
		     exos_bind_one((uint64_t)base, spare[SPARE - 1], RW) == -EPERM);
	exos_revoke_handler(NULL);
}

static sigjmp_buf back;

static void
segv(int sig)
{
	(void)sig;
	siglongjmp(back, 1);
}

static void
passed_on(void)
{
	volatile int caught = 0;

	signal(SIGSEGV, segv);
	exos_fault_handler(bring_in, EXOS_CAUSE(AEGIS_CAUSE_PAGE));
	if (sigsetjmp(back, 1))
		caught = 1;
	else
		*(volatile int *)16 = 1;
	tell("passed on to a signal", caught);
	signal(SIGSEGV, SIG_DFL);
}

static void
children(void)
{
	tell("a child begins without", child_end(touch) == SIGSEGV);
	tell("a child of its own", child_end(fill_again) == 256 + 3);
	tell("a handler nowhere", child_end(touch_with_bad_handler) == SIGSEGV);
	tell("a handler that falls", child_end(touch_with_falling_handler) == SIGSEGV);
	tell("exec without", child_end(exec_then_touch) == SIGSEGV);
}

/* A frame of a process that lives, by its number. */
static int
another(void)
{
	uint32_t pfn = AEGIS_ANY;
	int fd[2], end[2], good;
	pid_t pid;

	if (pipe(fd) || pipe(end) || (pid = fork()) < 0)
		return 0;
	if (pid == 0) {
		exos_frames_alloc(&pfn, 1);
		write(fd[1], &pfn, sizeof(pfn));
		read(end[0], &pfn, 1);
		_exit(0);
	}
	read(fd[0], &pfn, sizeof(pfn));
	good = exos_bind_one((uint64_t)base, pfn, RW) == -EPERM &&
	       exos_frames_alloc(&pfn, 1) == -EBUSY && exos_frames_free(&pfn, 1) == 0;
	write(end[1], &pfn, 1);
	waitpid(pid, NULL, 0);
	return good;
}

/* Other names than its own: what the kernel answers. */
static void
others(void)
{
	struct exos_self self = {.size = sizeof(self)};
	struct exos_places p;
	struct aegis_bind *rec;
	uint32_t one = frame[1], again = one, bad = 0;
	int64_t got = 0;

	exos_self(&self);
	exos_mem_places(&p);
	rec = (void *)(p.area + p.program_batch);
	tell("places nowhere", exos_mem_places((void *)8) == -EFAULT);
	tell("a handler outside", exos_fault_handler((exos_fault_fn *)(~0ul << 47), 1) == -EINVAL &&
					  exos_revoke_handler((exos_revoke_fn *)(~0ul)) == -EINVAL);
	tell("a frame twice", exos_frames_alloc(&again, 1) == -EBUSY);
	for (uint32_t pfn = 512; pfn < 640; pfn++) /* the kernel lies there */
		got += exos_bind_one((uint64_t)base, pfn, RW) == 0;
	tell("the kernel's frames", got == 0);
	tell("another's frame", another());
	tell("frames beyond", exos_bind_one((uint64_t)base, AEGIS_ANY, RW) < 0 &&
				      exos_bind_one((uint64_t)base, 0x00ffffff, RW) < 0);
	bad = (uint32_t)((*aegis_window_large((uint64_t)base) & AEGIS_PTE_FRAME) >> 12);
	tell("its page table", exos_bind_one((uint64_t)base, bad, RW) == -EPERM &&
				       exos_bind_one((uint64_t)base, bad, AEGIS_BIND_READ) < 0);
	tell("addresses", exos_bind_one(AEGIS_WINDOW, one, RW) == -EINVAL &&
				  exos_bind_one(~0xfffff000ul, one, RW) == -EINVAL &&
				  exos_bind_one(0, one, RW) == -EINVAL &&
				  exos_bind_one(17, one, RW) < 0);
	tell("the library's area",
	     exos_bind_one(p.area, one, RW) < 0 && exos_unbind(p.area, 1) < 0);
	tell("written and executed", exos_bind_one((uint64_t)base, one, 7) == -EACCES &&
					     exos_protect((uint64_t)base + PAGE, 1, 6) < 0);
	for (uint32_t space = 0; space < 16; space++) {
		if (space == self.space)
			continue;
		*rec = (struct aegis_bind){(uint64_t)base, one, RW};
		got += aegis_tlb_write(AEGIS_SELF, space, p.program_batch, 1) > 0;
		*rec = (struct aegis_bind){PAGE * 1024, 512, AEGIS_BIND_READ};
		got += aegis_tlb_protect(AEGIS_SELF, space, p.program_batch, 1) > 0;
	}
	tell("spaces of others", got == 0);
	tell("batches outside",
	     aegis_tlb_protect(AEGIS_SELF, self.space, 8 * PAGE, 1) < 0 &&
		     aegis_tlb_protect(AEGIS_SELF, self.space, 8 * PAGE - 16, 2) < 0 &&
		     aegis_tlb_protect(AEGIS_SELF, self.space, ~15u, 1) < 0 &&
		     aegis_tlb_protect(AEGIS_SELF, self.space, 7, 1) < 0);
}

int
main(int argc, char **argv)
{
	int64_t at;

	(void)argv;
	if (argc > 1) {
		touch();
		return 0;
	}
	if (!exos_here()) {
		printf("not here %d\n", exos_bind_one(PAGE, 1, RW) == -ENOSYS &&
						exos_protect(PAGE, 1, RW) == -ENOSYS);
		return 0;
	}
	at = exos_range_own(0, PAGES * PAGE);
	base = (char *)at;
	ranges();
	demand();
	bits();
	exceptions();
	passed_on();
	revocation();
	children();
	others();
	exos_frames_free(frame, 1);
	tell("bound frames stay",
	     exos_frames_free(frame + 2, 1) == 0 ||
		     !(exos_pte((uint64_t)base + 2 * PAGE) & AEGIS_PTE_PRESENT));
	/* Frames whose binding the kernel dropped meanwhile are left to the program. */
	at = munmap(base, PAGES * PAGE);
	exos_frames_free(frame + 3, 8);
	tell("the end of the range", at == 0 && exos_frames_free(frame + 3, 8) == 0);
	return 0;
}
