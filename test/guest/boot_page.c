/* SPDX-License-Identifier: MIT */
/* What boot.h and env.h promise the first environment, and what everyone can see. */
#include "guest.h"

TEST(boot_page)
{
	check_is(boot_page->size, sizeof(*boot_page));
	check_is(boot_page->version, AEGIS_VERSION);
	check_is(boot_page->env, 1);
	check(boot_page->space != 0);
	check(boot_page->image_low <= (uint64_t)boot_page_test);
	check(boot_page->image_high > (uint64_t)boot_page_test);
	check(boot_page->archive_bytes > 110);
	check(option("exit") != NULL);
	check_is(probe_write(AEGIS_BOOT_PAGE, 1), AEGIS_CAUSE_PAGE);
	check_is(self()->last.error & 7, 7);
	check_is(self()->last.addr, AEGIS_BOOT_PAGE);
}

/* Entered with registers clear but rdi and rsp. */
TEST(boot_registers)
{
	const uint64_t *r = (const uint64_t *)&boot_seen;

	for (uint32_t i = 0; i < sizeof(boot_seen) / 8 - 1; i++) {
		if (i != offsetof(struct seen, rdi) / 8)
			check_is(r[i], 0);
	}
	check_is(boot_seen.rdi, AEGIS_BOOT_PAGE);
	check(boot_seen.rsp > AEGIS_BOOT_AREA + PAGE);
	check(boot_seen.rsp <= AEGIS_BOOT_AREA + AEGIS_BOOT_AREA_PAGES * PAGE);
}

/* The archive's frames are held for reading and writing, the image's are where the page says. */
TEST(boot_archive)
{
	const char *magic = "070701";
	uint32_t space = self()->space;

	require_is(bind(space, TEST_VA, boot_page->archive_frame, RW), 1);
	for (int i = 0; i < 6; i++)
		check_is(*(const char *)(TEST_VA + i), magic[i]);
	require_is(bind(space, TEST_VA + PAGE,
			boot_page->image_frame +
				(uint32_t)(((uint64_t)magic - boot_page->image_low) / PAGE),
			RO),
		   1);
	check_is(*(const char *)(TEST_VA + PAGE + (uint64_t)magic % PAGE), '0');
}

TEST(boot_root)
{
	struct aegis_cap_info *info = spare();

	check_is(aegis_cap_read(0, SPARE), AEGIS_OK);
	check_is(info->node, 1);
	check_is(info->rights, AEGIS_ALL);
	check_is(info->depth, 0);
	check_is(info->live, 1);
	check_is(aegis_cap_read(1, SPARE), AEGIS_BAD_CAP);
	check_is(aegis_cap_read(AEGIS_CAP_SLOTS, SPARE), AEGIS_BAD_ARG);
}

TEST(boot_system_page)
{
	uint32_t low, high;

	check(SYSTEM->size >= sizeof(struct aegis_system_page));
	check_is(SYSTEM->version, AEGIS_VERSION);
	check(SYSTEM->cpus >= 1 && SYSTEM->cpus <= AEGIS_CPUS);
	check_is(SYSTEM->slices, AEGIS_SLICES);
	check(SYSTEM->tsc_hz > 10000000);
	check(SYSTEM->wall_ns > 1577836800000000000ul); /* 2020 */
	check(SYSTEM->frames > 1000 && SYSTEM->free_frames < SYSTEM->frames);
	check(SYSTEM->free_map_pages >= SYSTEM->frames / 8 / PAGE);
	check(ns(SYSTEM->slice_tsc) > AEGIS_SLICE_NS - 1000);
	check(ns(SYSTEM->slice_tsc) < AEGIS_SLICE_NS + 1000);
	__asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
	check_is(SYSTEM->xcr0, (uint64_t)high << 32 | low);
	check(SYSTEM->xsave_size >= 576);
	check_is(probe_write(SYSTEM_VA, 0), AEGIS_CAUSE_PAGE);
}

/* What is nobody's faults: the null page, the kernel's half, holes. */
TEST(boot_holes)
{
	static const uint64_t none[] = {0,
					8,
					0xfff,
					FAR_VA,
					0xffff800000000000ul,
					0xffffffff80200000ul,
					0xfffffffffffff000ul};

	for (uint32_t i = 0; i < sizeof(none) / 8; i++) {
		check_is(probe_read(none[i]), AEGIS_CAUSE_PAGE);
		check(self()->last.error & 4);
		check_is(probe_write(none[i], 1), AEGIS_CAUSE_PAGE);
	}
	check(probe_read(0x0000900000000000ul) == AEGIS_CAUSE_PROTECTION);
	check(probe_read(0x8000000000000000ul) == AEGIS_CAUSE_PROTECTION);
}

/* ---- the clock ---- */

static volatile uint64_t clock_word;
static volatile uint32_t clock_turn;

static int64_t
clock_partner(uint64_t cpu)
{
	for (uint32_t i = 0; i < 200; i++) {
		uint64_t end = tsc() + ticks(5000000000ul), now;

		while (clock_turn != 2 * i + 1) {
			if (tsc() > end)
				return -1;
			if (cpu == 0)
				guest_yield(AEGIS_ANY);
		}
		now = tsc();
		if (now < clock_word)
			return 1;
		clock_word = now;
		clock_turn = 2 * i + 2;
	}
	return 0;
}

/* Monotonic from one processor to another and back. */
TEST(boot_clock)
{
	for (uint32_t cpu = 0; cpu < SYSTEM->cpus; cpu++) {
		struct child *c;

		clock_turn = 0;
		clock_word = 0;
		c = spawn_on(clock_partner, cpu, cpu, 0);
		for (uint32_t i = 0; i < 200; i++) {
			uint64_t now = tsc();

			check(now >= clock_word);
			clock_word = now;
			clock_turn = 2 * i + 1;
			while (clock_turn != 2 * i + 2 && tsc() < now + ticks(5000000000ul)) {
				if (cpu == 0)
					guest_yield(AEGIS_ANY);
			}
		}
		check_is(child_result(c), 0);
	}
}
