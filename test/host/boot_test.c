/* SPDX-License-Identifier: MIT */
/*
 * From the loader's words to the first environment, by the kernel's own source: options, memory map, the archive
 * and the boot library's image, right and damaged; and the kernel's few library functions. What the rest of
 * the kernel does here is to remember what it was told. Prints TAP.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int
check_memory(const void *a, const void *b, size_t n)
{
	return memcmp(a, b, n);
}
static int
check_text(const char *a, const char *b)
{
	return strcmp(a, b);
}

#define memset  lib_memset
#define memcpy  lib_memcpy
#define memmove lib_memmove
#define memcmp  lib_memcmp
#define strlen  lib_strlen
#include "kernel/x86/asm.h"
#define MEMORY (32ul << 20)
static uint8_t memory[MEMORY] __attribute__((aligned(4096))); /* all there is, from physical 0 */
extern uint8_t image_start[], image_end[];
#define IMAGE_END 0x200000ul
#undef KERNEL_BASE
#define KERNEL_BASE    ((uint64_t)image_end - IMAGE_END)
#define MACHINE_DIRECT ((uint64_t)memory)
#include "kernel/lib/string.c"
#include "kernel/lib/print.c"
#include "kernel/main.c"
#define archive_find module_find
#include "kernel/x86/boot.c"
#undef archive_find
#undef memset
#undef memcpy
#undef memmove
#undef memcmp
#undef strlen

#include "alone.h"

/* ---- what the rest of the kernel is here ---- */

uint8_t image_start[1], image_end[1];
struct percpu percpus[AEGIS_CPUS];
struct stacks cpu_stacks[AEGIS_CPUS];
static struct aegis_system_page early_page;
struct aegis_system_page *system_page = &early_page;
struct frame *frames;
static struct frame frame_array[MEMORY / PAGE];
static struct space first_space;
static struct env first_env;
static struct aegis_env_page first_page;
static struct {
	uint64_t start, end;
} given[REGIONS + 2], reserved[4];
static struct {
	uint64_t va;
	uint32_t pfn, prot;
} bound[8192];
static uint32_t given_count, reserved_count, bound_count, frame_next, held_first, held_count;
static uint64_t rsdp_seen, memory_end;
static jmp_buf out;
static const char *panicked;
static char logged[256];

_Noreturn void
machine_panic(const char *why, const struct regs *regs)
{
	(void)regs;
	panicked = why;
	longjmp(out, 1);
}

_Noreturn void
cpu_next(void)
{
	longjmp(out, 1);
}

void
machine_log(const char *text, size_t length)
{
	snprintf(logged, sizeof(logged), "%.*s", (int)length, text);
}

void
lock_acquire(struct lock *l)
{
	EXPECT(!l->held);
	l->held = 1;
}

void
lock_release(struct lock *l)
{
	EXPECT(l->held);
	l->held = 0;
}

void *
machine_frame(uint32_t pfn)
{
	return memory + (uint64_t)pfn * PAGE;
}

uint32_t
mem_kernel_alloc(uint32_t pages, enum frame_kind kind)
{
	uint32_t pfn = frame_next;

	(void)kind;
	frame_next += pages;
	if ((uint64_t)frame_next * PAGE > MEMORY)
		machine_panic("memory", NULL);
	memset(machine_frame(pfn), 0, pages * PAGE);
	return pfn;
}

void
mem_init(uint64_t end)
{
	EXPECT(end && !given_count && !reserved_count);
	memory_end = end * PAGE;
	EXPECT(machine_boot_frames(1)); /* still possible */
}

void
mem_give(uint64_t first, uint64_t end, enum frame_kind kind)
{
	if (kind == FRAME_FREE) {
		given[given_count].start = first * PAGE;
		given[given_count++].end = end * PAGE;
	} else {
		reserved[reserved_count].start = first * PAGE;
		reserved[reserved_count++].end = end * PAGE;
	}
}

void
space_boot_bind(struct space *s, uint64_t va, uint32_t pfn, uint32_t n, uint32_t prot)
{
	EXPECT(s == &first_space && va % PAGE == 0);
	for (uint32_t i = 0; i < n; i++) {
		bound[bound_count].va = va + i * PAGE;
		bound[bound_count].pfn = pfn + i;
		bound[bound_count++].prot = prot;
	}
}

static uint32_t
bound_at(uint64_t va, uint32_t *prot)
{
	for (uint32_t i = 0; i < bound_count; i++) {
		if (bound[i].va == va) {
			*prot = bound[i].prot;
			return bound[i].pfn;
		}
	}
	return 0;
}

uint32_t
_space_pin(struct space *s, uint64_t va)
{
	uint32_t prot;

	EXPECT(s == &first_space);
	return bound_at(va, &prot);
}

void
space_boot_hold(struct space *s, uint32_t pfn, uint32_t n)
{
	EXPECT(s == &first_space);
	held_first = pfn;
	held_count = n;
}

struct space *
space_boot(void)
{
	first_space = (struct space){.number = 1};
	return &first_space;
}

struct env *
env_boot(struct space *s)
{
	EXPECT(s == &first_space);
	first_env = (struct env){.number = 1, .page = &first_page, .exposed = 77};
	return &first_env;
}

struct env *
env_lock(uint32_t number, uint32_t generation)
{
	(void)generation;
	EXPECT(number == 1);
	return &first_env;
}

void
env_unlock(const struct env *e)
{
	EXPECT(e == &first_env);
}

void
cpu_ready(struct env *e)
{
	e->state = AEGIS_STATE_READY;
}

void
acpi_init(uint64_t rsdp)
{
	rsdp_seen = rsdp;
}

uint64_t
machine_tsc(void)
{
	static uint64_t ticks;

	return ticks += 1000;
}

uint64_t
machine_tsc_hz(void)
{
	return 2500000000;
}

#define NOTHING(name) \
	void name(void) {}
#define ANSWERS(type, name, value) \
	type name(void)            \
	{                          \
		return value;      \
	}
#define NOTHING_OF(name, type) \
	void name(type x)      \
	{                      \
		(void)x;       \
	}
NOTHING(trap_init)
NOTHING(trap_load)
NOTHING(serial_init)
NOTHING(feature_check)
NOTHING(feature_enable)
NOTHING(mmu_init)
NOTHING(apic_init)
NOTHING(apic_enable)
NOTHING(time_init)
NOTHING(pci_init)
NOTHING(virtio_console_init)
NOTHING(smp_init)
NOTHING(cap_init)
NOTHING(account_init)
NOTHING(trace_init)
NOTHING(cpu_init)
NOTHING(chan_init)
NOTHING(chaos_init)
NOTHING(machine_smp_start)
NOTHING_OF(percpu_init, uint32_t)
NOTHING_OF(upcall_prepare, struct env *)
ANSWERS(uint32_t, machine_cpu, 0)
ANSWERS(uint32_t, machine_cpus, 2)
ANSWERS(uint32_t, machine_vector_size, 576)

uint64_t __stack_chk_guard;

bool
feature_offered(char reg, uint32_t leaf, uint32_t sub, uint32_t bit)
{
	return reg == 'c' && leaf == 1 && sub == 0 && bit != 30;
}
ANSWERS(uint64_t, machine_xcr0, 7)

/* ---- a loader ---- */

#define INFO    0x1000u
#define MODULE  0x1100u
#define MAP     0x2000u
#define LINE_AT 0x8000u
#define ARCHIVE 0x1800000u
#define USABLE  1u

static struct start_info *info = (struct start_info *)(memory + INFO);
static struct start_region *map = (struct start_region *)(memory + MAP);

static void
map_add(uint64_t address, uint64_t size, uint32_t type)
{
	map[info->memory_entries++] = (struct start_region){address, size, type, 0};
}

#define LIBRARY 0x400000ul
#define PAGES   6u
static struct aegis_image *image = (struct aegis_image *)(memory + ARCHIVE + PAGE);
static const uint32_t archive_bytes = (2 + PAGES) * PAGE + 100;

static void
archive_make(void)
{
	*image = (struct aegis_image){AEGIS_IMAGE_MAGIC, LIBRARY, LIBRARY + 0x40, {1, 2, 3}, 0};
	for (uint32_t i = 0; i < PAGES; i++)
		memset((uint8_t *)image + (i + 1) * PAGE, 0x90 + (int)i, PAGE);
}

static void
loader_make(const char *options)
{
	struct start_module *m = (struct start_module *)(memory + MODULE);

	memset(memory, 0, IMAGE_END);
	archive_make();
	*info = (struct start_info){.magic = START_MAGIC,
				    .version = 1,
				    .modules = 1,
				    .module_list = MODULE,
				    .command_line = LINE_AT,
				    .rsdp = 0xf0000,
				    .memory_map = MAP};
	*m = (struct start_module){.address = ARCHIVE, .size = archive_bytes};
	strcpy((char *)memory + LINE_AT, options);
	map_add(0, 0x9fc00, USABLE);
	map_add(0x100000, MEMORY - 0x100000, USABLE);
	map_add(0xf0000, 0x10000, 2);
}

/* NULL: the first environment runs. */
static const char *
boot_from(uint64_t address)
{
	panicked = NULL;
	region_count = given_count = reserved_count = bound_count = 0;
	archive = early = (struct region){0};
	archive_size = 0;
	frames = frame_array;
	frame_next = 0x500;
	memset(kernel_options, 0, sizeof(kernel_options));
	if (!setjmp(out))
		x86_boot(address);
	return panicked;
}

static bool
says(const char *why, const char *part)
{
	return why && strstr(why, part);
}

/* ---- tests ---- */

static void
options(void)
{
	loader_make("one a=5 bb=0x1F c\td=07x hex=0XAB upper=0xaF last=12");
	EXPECT(!boot_from(INFO));
	EXPECT(option_number("a", 9) == 5 && option_number("bb", 9) == 31);
	EXPECT(option_number("c", 9) == 0 && option_number("d", 9) == 7);
	EXPECT(option_number("last", 9) == 12 && option_number("b", 9) == 9);
	EXPECT(option_number("hex", 9) == 0 && !option_find("as") && !option_find("5"));
	EXPECT(option_number("upper", 9) == 0xaf && option_number("absent", 9) == 9);
	loader_make("");
	for (uint32_t i = 0; i < 3 * AEGIS_BOOT_OPTIONS; i++)
		memory[LINE_AT + i] = 'x'; /* cut where there is no room */
	EXPECT(!boot_from(INFO));
	EXPECT(strlen(kernel_options) == sizeof(kernel_options) - 1 && !option_find("xx"));
	loader_make("one");
	info->command_line = 0;
	EXPECT(!boot_from(INFO) && !kernel_options[0]);
	info->command_line = FOUR_GIB;
	EXPECT(!boot_from(INFO) && !kernel_options[0]);
	result("options");
}

static void
first(void)
{
	const struct aegis_boot_page *p;
	uint32_t prot, pfn;

	loader_make("one wall=1700000000123456789");
	EXPECT(!boot_from(INFO));
	EXPECT(rsdp_seen == 0xf0000 && percpus[0].released);
	EXPECT(__stack_chk_guard && !(__stack_chk_guard & 0xff));
	EXPECT(region_count == 2 && regions[0].end == 0x9f000 && regions[1].start == 0x100000);
	EXPECT(reserved_count == 2 && reserved[1].start == ARCHIVE);
	EXPECT(given_count == 2 && given[0].start == LOW_MEMORY && given[1].end == MEMORY);
	EXPECT(memory_end == MEMORY);
	EXPECT(held_first == ARCHIVE / PAGE && held_count == (archive_bytes + PAGE - 1) / PAGE);
	pfn = bound_at(LIBRARY, &prot);
	for (uint32_t i = 0; i < PAGES; i++) {
		static const uint32_t rights[] = {AEGIS_BIND_READ | AEGIS_BIND_EXEC,
						  AEGIS_BIND_READ,
						  AEGIS_BIND_READ | AEGIS_BIND_WRITE};

		EXPECT(bound_at(LIBRARY + i * PAGE, &prot) == pfn + i);
		EXPECT(prot == rights[i < 1 ? 0 : i < 3 ? 1 : 2]);
		EXPECT(check_memory(machine_frame(pfn + i), (uint8_t *)image + (i + 1) * PAGE,
				    PAGE) == 0);
	}
	EXPECT(!bound_at(LIBRARY + PAGES * PAGE, &prot));
	p = machine_frame(bound_at(AEGIS_BOOT_PAGE, &prot));
	EXPECT(prot == AEGIS_BIND_READ);
	EXPECT(p->env == 1 && p->archive_bytes == archive_bytes && p->image_low == LIBRARY);
	EXPECT(p->image_high == LIBRARY + 0x6000 && p->env_frame == 77);
	EXPECT(check_text((const char *)p->options, "one wall=1700000000123456789") == 0);
	EXPECT(first_env.state == AEGIS_STATE_READY && first_env.regs.rip == LIBRARY + 0x40);
	EXPECT(system_page->cpus == 2 && system_page->tsc_hz == 2500000000);
	EXPECT(system_page->wall_ns == 1700000000123456789);
	EXPECT(strstr(logged, "aegis: 2 processors"));
	result("the first environment");
}

static void
loaders(void)
{
	loader_make("one");
	EXPECT(says(boot_from(FOUR_GIB), "no memory map"));
	EXPECT(says(boot_from(FOUR_GIB - 4), "no memory map"));
	info->magic++;
	EXPECT(says(boot_from(INFO), "no memory map"));
	info->magic--;
	info->version = 0;
	EXPECT(says(boot_from(INFO), "no memory map"));
	info->version = 1;
	info->memory_map = FOUR_GIB;
	EXPECT(says(boot_from(INFO), "no memory map"));
	info->memory_map = MAP;
	info->memory_entries = ENTRIES + 1;
	EXPECT(says(boot_from(INFO), "no memory map"));
	loader_make("one");
	info->memory_entries = 1;
	EXPECT(says(boot_from(INFO), "no room behind the kernel"));
	loader_make("one");
	info->modules = 0;
	EXPECT(says(boot_from(INFO), "does not begin"));
	info->modules = 1;
	((struct start_module *)(memory + MODULE))->size = 0;
	EXPECT(says(boot_from(INFO), "does not begin"));
	((struct start_module *)(memory + MODULE))->size = MEMORY;
	EXPECT(says(boot_from(INFO), "does not begin")); /* beyond what there is */
	loader_make("one");
	((struct start_module *)(memory + MODULE))->address += 4;
	EXPECT(says(boot_from(INFO), "does not begin"));
	result("loaders that say little");
}

static void
maps(void)
{
	loader_make("one");
	map_add(0x4000000, 0x1000000, USABLE);
	map_add(0x3000000, 0x1800000, 2); /* over its beginning */
	map_add(0x4f00000, 0x1000000, 2); /* and its end */
	map_add(0x8000000, 0x2000, USABLE);
	map_add(0x7000000, 0x2000000, 3); /* over all of it */
	map_add(1ul << 44, 0x1000, USABLE);
	map_add((1ul << 44) - 0x1000, 0x5000, USABLE);
	map_add(0x9000800, 0x800, USABLE); /* no whole page */
	map_add(UINT64_MAX - 0xfff, 0x2000, USABLE);
	map_add(0x4800000, 0x100000, USABLE); /* said before */
	EXPECT(!boot_from(INFO));
	EXPECT(region_count == 4);
	EXPECT(regions[2].start == 0x4800000 && regions[2].end == 0x4f00000);
	EXPECT(regions[3].end == 1ul << 44);
	EXPECT(memory_usable(0x4800000, 0x700000) && !memory_usable(0x4800000, 0x700001));
	EXPECT(!memory_usable(0x47ff000, 1) && !memory_usable(0x4f00000, 1));
	for (uint32_t i = 0; i < REGIONS + 9; i++)
		map_add(0x100000000 + i * 0x10000, 0x1000, USABLE);
	EXPECT(!boot_from(INFO) && region_count == REGIONS);
	result("memory maps");
}

static void
early_frames(void)
{
	struct start_module *m = (struct start_module *)(memory + MODULE);

	loader_make("one");
	memmove(memory + IMAGE_END + PAGE, memory + ARCHIVE, archive_bytes);
	m->address = IMAGE_END + PAGE; /* right behind the image */
	EXPECT(!boot_from(INFO) && held_first == (IMAGE_END + PAGE) / PAGE);
	early = (struct region){IMAGE_END, IMAGE_END + 16 * PAGE};
	if (!setjmp(out)) {
		EXPECT(early_alloc() == IMAGE_END);
		EXPECT(early_alloc() == archive.end && memory[archive.end] == 0);
		for (;;)
			EXPECT(early_alloc() < IMAGE_END + 16 * PAGE);
	}
	EXPECT(says(panicked, "out of memory") && early.start == IMAGE_END + 16 * PAGE);
	early.start = 0;
	if (!setjmp(out))
		early_alloc();
	EXPECT(says(panicked, "too late"));
	result("frames before there is memory");
}

static void
images(void)
{
	uint32_t lived = 0;

#define IMAGE(change)                                                     \
	do {                                                              \
		loader_make("one");                                       \
		image->change;                                            \
		EXPECT(says(boot_from(INFO), "the boot archive begins")); \
	} while (0)
	IMAGE(pages[0] = 0x80000000);
	IMAGE(pages[1] = IMAGE_PAGES);
	IMAGE(pages[2] = UINT32_MAX);
	IMAGE(pages[2]++); /* one more than there is */
	IMAGE(low++);
	IMAGE(low = 0);
	IMAGE(low = AEGIS_BOOT_AREA - (PAGES - 1) * PAGE);
	IMAGE(low = -PAGE);
	loader_make("one");
	image->low = AEGIS_BOOT_AREA - PAGES * PAGE;
	EXPECT(!boot_from(INFO));
	memset(image->pages, 0, sizeof(image->pages));
	EXPECT(says(boot_from(INFO), "the boot archive begins"));
	loader_make("one");
	image->magic++;
	EXPECT(says(boot_from(INFO), "does not begin"));
	loader_make("one");
	((struct start_module *)(memory + MODULE))->size = PAGE + sizeof(*image) - 1;
	EXPECT(says(boot_from(INFO), "does not begin"));
	srand(7);
	for (int round = 0; round < 400; round++) {
		loader_make("one");
		for (int i = 0; i < 1 + rand() % 2; i++)
			((uint8_t *)image)[rand() % (int)sizeof(*image)] = (uint8_t)rand();
		lived += boot_from(INFO) == NULL;
	}
	EXPECT(lived > 0 && lived < 400);
	result("images that lie");
}

static void
texts(void)
{
	char a[32], b[32];

	EXPECT(print_to(a, sizeof(a), "%5u|%05x|%lx", 42u, 0xabu, 1ul << 40) == 23);
	EXPECT(check_text(a, "   42|000ab|10000000000") == 0);
	EXPECT(print_to(a, 4, "%s", "longer") == 3 && check_text(a, "lon") == 0);
	b[0] = 'z';
	EXPECT(print_to(b, 0, "text") == 0 && b[0] == 'z');
	for (size_t i = 0; i < 24; i++)
		b[i] = (char)i;
	lib_memmove(b + 3, b, 20); /* to behind itself */
	EXPECT(b[3] == 0 && b[22] == 19 && b[2] == 2);
	lib_memmove(b, b + 3, 20);
	EXPECT(b[0] == 0 && b[19] == 19);
	EXPECT(lib_memcmp("abc", "abd", 3) == -1 && lib_memcmp("b", "a", 1) == 1);
	EXPECT(lib_memcmp("abc", "abd", 2) == 0 && lib_strlen("12345") == 5);
	log_unlock_forever();
	log_print("after %s", "that");
	EXPECT(check_text(logged, "after that") == 0);
	log_unlocked = false;
	result("texts and bytes");
}

int
main(void)
{
	texts();
	options();
	first();
	loaders();
	maps();
	early_frames();
	images();
	return results_end();
}
