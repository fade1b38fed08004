/* SPDX-License-Identifier: MIT */
/*
 * What the boot environment finds.
 *
 * The kernel loads the ELF file `boot/NAME` of the boot archive (NAME from the option libos=NAME), binds
 * its segments, an area of AEGIS_BOOT_AREA_PAGES at AEGIS_BOOT_AREA whose page 1 is where the upcall
 * stack begins, and the boot page at AEGIS_BOOT_PAGE (read only), and enters it at its ELF entry as at
 * a begin_entry: registers clear, rsp at the top of the upcall stack, rdi = AEGIS_BOOT_PAGE, GS base = AEGIS_BOOT_AREA.
 * Its own env_write replaces all of this.  Capability slot 0 is the root with every right.  Its space
 * holds the frames of the archive (READ, WRITE) and of its image; its holdings pages are all there.
 */
#ifndef AEGIS_BOOT_H
#define AEGIS_BOOT_H

#include <stdint.h>

#define AEGIS_BOOT_AREA       0x00007f7ff0000000ul
#define AEGIS_BOOT_AREA_PAGES 8u
#define AEGIS_BOOT_PAGE       0x00007f7ff0100000ul
#define AEGIS_BOOT_OPTIONS    2048u

struct aegis_boot_page {
	uint32_t size, version;
	uint32_t env, space;
	uint32_t system_frame;          /* of struct aegis_system_page */
	uint32_t archive_frame;         /* first frame of the boot archive */
	uint64_t archive_bytes;         /* its length */
	uint64_t image_low, image_high; /* virtual range of the image */
	uint32_t image_frame; /* frames of [image_low, image_high) are consecutive from here */
	uint32_t env_frame;   /* of struct aegis_env_page */
	char options[AEGIS_BOOT_OPTIONS]; /* the kernel's command line, zero terminated */
};
_Static_assert(sizeof(struct aegis_boot_page) <= 4096, "one page");

#endif
