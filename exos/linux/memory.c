/* SPDX-License-Identifier: MIT */
/* The memory calls, from Linux's arguments to exos/vm. */
#include "exos/core/core.h"
#include "exos/linux/calls.h"
#include "exos/linux/errno.h"
#include "exos/proc/process.h"

static uint32_t
vm_prot(uint64_t prot)
{
	uint32_t flags = 0;

	if (prot & LX_PROT_READ)
		flags |= VM_READ;
	if (prot & LX_PROT_WRITE)
		flags |= VM_READ | VM_WRITE;
	if (prot & LX_PROT_EXEC)
		flags |= VM_READ | VM_EXEC;
	return flags;
}

/* The file to be mapped and the flags it allows; 0 or an error. */
static int
mapped_file(int fd, uint64_t prot, bool shared, struct file **out)
{
	struct file *f = fd_file(fd);

	if (!f)
		return -EBADF;
	if (!file_is_mappable(f))
		return -ENODEV;
	if (!file_readable(f) || (shared && (prot & LX_PROT_WRITE) && !file_writable(f)))
		return -EACCES;
	*out = f;
	return 0;
}

int64_t
sys_mmap(struct call *c)
{
	uint64_t prot = c->a[2], flags = c->a[3], type = flags & LX_MAP_TYPE;
	uint32_t vmflags = vm_prot(prot);
	struct file *f = NULL;

	if (type != LX_MAP_SHARED && type != LX_MAP_PRIVATE && type != LX_MAP_SHARED_VALIDATE)
		return -EINVAL;
	if (c->a[5] % AEGIS_PAGE || (flags & LX_MAP_HUGETLB))
		return -EINVAL;
	if ((vmflags & VM_WRITE) && (vmflags & VM_EXEC))
		return -EACCES;
	if (type != LX_MAP_PRIVATE)
		vmflags |= VM_SHARED;
	if ((flags & LX_MAP_GROWSDOWN) && type == LX_MAP_PRIVATE)
		vmflags |= VM_GROWS;
	if (!(flags & LX_MAP_ANONYMOUS)) {
		int err = mapped_file((int)c->a[4], prot, vmflags & VM_SHARED, &f);

		if (err)
			return err;
	}
	return vm_map(c->a[0], c->a[1], vmflags, f, f ? c->a[5] : 0,
		      flags & (LX_MAP_FIXED | LX_MAP_FIXED_NOREPLACE),
		      !(flags & LX_MAP_FIXED_NOREPLACE));
}

int64_t
sys_munmap(struct call *c)
{
	return vm_unmap(c->a[0], c->a[1]);
}

int64_t
sys_mprotect(struct call *c)
{
	uint32_t prot = vm_prot(c->a[2]);

	if (c->a[2] & ~(uint64_t)(LX_PROT_READ | LX_PROT_WRITE | LX_PROT_EXEC))
		return -EINVAL;
	if ((prot & VM_WRITE) && (prot & VM_EXEC))
		return -EACCES;
	return vm_protect(c->a[0], c->a[1], prot);
}

int64_t
sys_brk(struct call *c)
{
	return vm_brk(c->a[0]);
}

int64_t
sys_mremap(struct call *c)
{
	return vm_remap(c->a[0], c->a[1], c->a[2], (uint32_t)c->a[3], c->a[4]);
}

int64_t
sys_madvise(struct call *c)
{
	if (c->a[0] % AEGIS_PAGE)
		return -EINVAL;
	switch (c->a[2]) {
	case LX_MADV_DONTNEED:
	case LX_MADV_FREE:
		return vm_discard(c->a[0], c->a[1]);
	case LX_MADV_REMOVE:
		return -EINVAL;
	default:
		return c->a[2] <= LX_MADV_POPULATE_WRITE ? 0 : -EINVAL;
	}
}

/* 0 if there is a mapping at every byte.  touch: files that may be written there say that they were. */
static int64_t
range_mapped(uint64_t start, uint64_t bytes, bool touch)
{
	uint64_t at = start & ~(AEGIS_PAGE - 1), end = start + bytes;

	if (end < start)
		return -ENOMEM;
	while (at < end) {
		const struct region *r = vm_find(at);

		if (!r)
			return -ENOMEM;
		if (touch && (r->flags & VM_SHARED) && (r->flags & VM_WRITE) && r->file)
			file_touch(r->file);
		at = r->end;
	}
	return 0;
}

/* Shared pages are the file's own frames: there is nothing to write back but the time. */
int64_t
sys_msync(struct call *c)
{
	if (c->a[0] % AEGIS_PAGE ||
	    (c->a[2] & ~(uint64_t)(LX_MS_ASYNC | LX_MS_INVALIDATE | LX_MS_SYNC)) ||
	    ((c->a[2] & LX_MS_ASYNC) && (c->a[2] & LX_MS_SYNC)))
		return -EINVAL;
	return range_mapped(c->a[0], c->a[1], true);
}

int64_t
sys_mincore(struct call *c)
{
	uint64_t pages = (c->a[1] + AEGIS_PAGE - 1) / AEGIS_PAGE;
	uint8_t one = 1;

	if (c->a[0] % AEGIS_PAGE)
		return -EINVAL;
	for (uint64_t i = 0; i < pages; i++) {
		if (!vm_find(c->a[0] + i * AEGIS_PAGE))
			return -ENOMEM;
		if (copy_out(c->a[2] + i, &one, 1))
			return -EFAULT;
	}
	return 0;
}

/* There is no swap: what is in memory stays there unless the kernel asks for it. */
int64_t
sys_mlock(struct call *c)
{
	return range_mapped(c->a[0], c->a[1], false);
}

int64_t
sys_mlock2(struct call *c)
{
	return c->a[2] & ~(uint64_t)LX_MLOCK_ONFAULT ? -EINVAL : sys_mlock(c);
}

int64_t
sys_munlock(struct call *c)
{
	return sys_mlock(c);
}

int64_t
sys_mlockall(struct call *c)
{
	uint32_t flags = (uint32_t)c->a[0];

	if (!flags || flags == LX_MCL_ONFAULT ||
	    (flags & ~(uint32_t)(LX_MCL_CURRENT | LX_MCL_FUTURE | LX_MCL_ONFAULT)))
		return -EINVAL;
	return 0;
}

int64_t
sys_munlockall(struct call *c)
{
	(void)c;
	return 0;
}
