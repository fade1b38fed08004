/* SPDX-License-Identifier: MIT */
/*
 * The program's memory: what lies where, and in which frames.
 *
 * Regions say what an address may be used for.  Page entries say which frame holds a page: they are
 * the truth of which the hardware table is a cache.  vm_fault() brings a page in, copies it on write,
 * or binds again what the kernel dropped.
 */
#ifndef EXOS_VM_VM_H
#define EXOS_VM_VM_H

#include <stdbool.h>
#include <stdint.h>

struct file;

#define VM_READ   1u
#define VM_WRITE  2u
#define VM_EXEC   4u
#define VM_SHARED 8u  /* MAP_SHARED */
#define VM_GROWS  16u /* stack: extends downwards on a fault */
#define VM_FIXED  32u /* the library's own: not to be changed by the program */
#define VM_OWNED  64u /* the program's own page table (own.c): the library keeps off */

struct region {
	uint64_t start, end;
	uint32_t flags; /* VM_* */
	uint32_t pad;
	struct file *file; /* NULL: anonymous */
	uint64_t offset;   /* of start in the file */
	uint64_t file_end; /* address from which pages are zero instead of the file's */
};

/* Page entry: frame number and flags; 0: nothing there yet. */
#define PAGE_PRESENT (1u << 31)
#define PAGE_COPY    (1u << 30) /* shared with others: to be copied before it is written */
#define PAGE_FILE    (1u << 29) /* a frame of a file */
#define PAGE_PFN     0x00ffffffu

#define VM_CHUNK_PAGES 256u /* pages of one chunk of entries: 1 MiB of addresses */

struct chunk {
	uint64_t base; /* address / 1 MiB */
	uint32_t *entry;
	uint32_t used;
	uint32_t pad;
};

/* A private page that was written after a fork: it will be after the next one too. */
struct hot_page {
	uint64_t va;
	uint32_t prot; /* fork under way: the page is to be copied at once, and bound so; 0: not */
	uint32_t pfn;  /* in the child: its copy */
};
#define HOT_PAGES 8u

struct vm {
	struct region *regions; /* sorted, disjoint */
	uint32_t count, room;
	struct chunk *chunks; /* sorted by base */
	uint32_t chunk_count, chunk_room;
	uint64_t brk_start, brk;
	uint64_t mmap_top; /* mappings are placed below */
	uint64_t stack_limit;
	uint64_t pages;   /* present */
	uint64_t virtual; /* bytes in regions */
	struct hot_page hot[HOT_PAGES];
	uint32_t hot_next;
	uint64_t zero_next; /* a first touch here goes on with the last one */
};

struct vm *vm(void);

/* Tells the service how big the process is, for /proc: two stores. */
void vm_tell(void);

/* 0: bound; else what the signal is for: -EFAULT nothing mapped, -EACCES protection, -ENXIO past the end of
 * the file, -ENOMEM. */
int vm_fault(uint64_t addr, uint64_t error);

/* Maps len bytes at addr (0: anywhere); answers the address or a negative error. */
int64_t vm_map(uint64_t addr, uint64_t len, uint32_t flags, struct file *file, uint64_t offset,
	       bool fixed, bool replace);
int vm_unmap(uint64_t addr, uint64_t len);
int vm_protect(uint64_t addr, uint64_t len, uint32_t prot);
int64_t vm_brk(uint64_t brk);
int64_t vm_remap(uint64_t old, uint64_t old_len, uint64_t new_len, uint32_t flags, uint64_t to);
int vm_discard(uint64_t addr, uint64_t len); /* MADV_DONTNEED */
void vm_reset(void);                         /* exec: everything of the program goes */
const struct region *vm_find(uint64_t addr); /* region that contains addr, or NULL */

/* va's page is this frame of a file, bound with prot. */
int page_set(uint64_t va, uint32_t pfn, uint32_t flags, uint32_t prot);

/* Whether va's page is there, in a frame of a file. */
bool vm_page_of_file(uint64_t va);

/* A range whose pages the program binds itself; addr 0: anywhere.  The address or a negative error. */
int64_t vm_own(uint64_t addr, uint64_t len);
/* Whether addr is in such a range. */
bool vm_owned(uint64_t addr);

/*
 * Fork: marks private pages for copying on write, and adds what is there to the child's bindings, but
 * for pages of vm->hot which then have a `prot`: the caller makes copies, and tells the child.
 */
struct core_binds;
int vm_fork(struct core_binds *child);
/* In the child: entries of the pages that were copied at once. */
void vm_fork_child(void);
/* In a space that has none of the program's pages: forgets regions and entries. */
void vm_forget(void);
/* A request of the kernel for n frames: gives back what can be had again. */
uint32_t vm_give(uint32_t n);

#endif
