/* SPDX-License-Identifier: MIT */
/*
 * What the boot environment finds.
 *
 * The boot archive is whatever its library makes of it, but that struct aegis_image lies at the start of its
 * second page, and the pages of the image behind that one (tools/image makes them of an ELF file, as the data
 * of the archive's first member).  The kernel copies and binds these pages, an area of
 * AEGIS_BOOT_AREA_PAGES at AEGIS_BOOT_AREA whose page 1 is where the upcall
 * stack begins, and the boot page at AEGIS_BOOT_PAGE (read only), and enters the image at its entry as at
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

#define AEGIS_IMAGE_MAGIC 0x31206567616d4941ul /* "AImage 1" */

struct aegis_image {
	uint64_t magic, low, entry; /* low: where its first page is bound */
	/* From there on: pages for reading and executing, for reading, for reading and writing. */
	uint32_t pages[3];
	uint32_t reserved;
};
_Static_assert(sizeof(struct aegis_image) == 40, "ABI");

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
