/* SPDX-License-Identifier: MIT */
/*
 * What lies where: the sorted list of regions, and the calls that change it.
 *
 * Owns: vm->regions.
 *
 * 1. Regions are sorted, disjoint, not empty, page aligned, and below EXOS_USER_TOP.
 * 2. A region with a file keeps one reference of it.
 * 3. Pages outside every region have no entry.
 */
#include "priv.h"

struct vm *
vm(void)
{
	return &process()->vm;
}

void
vm_tell(void)
{
	sizes_tell(vm());
}

uint32_t
region_index(const struct vm *v, uint64_t addr)
{
	uint32_t low = 0, high = v->count;

	while (low < high) {
		uint32_t mid = (low + high) / 2;

		if (v->regions[mid].end <= addr)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

const struct region *
vm_find(uint64_t addr)
{
	struct vm *v = vm();
	uint32_t i = region_index(v, addr);

	return i < v->count && v->regions[i].start <= addr ? &v->regions[i] : NULL;
}

/* Room for two more: a split and an insertion. */
static int
region_room(struct vm *v)
{
	uint32_t room;
	struct region *more;

	if (v->count + 2 <= v->room)
		return 0;
	room = v->room ? v->room * 2 : 16;
	more = core_alloc(room * sizeof(*more));
	if (!more)
		return -ENOMEM;
	memcpy(more, v->regions, v->count * sizeof(*more));
	core_free(v->regions, v->room * sizeof(*more));
	v->regions = more;
	v->room = room;
	return 0;
}

static bool
mergeable(const struct region *a, const struct region *b)
{
	return a->end == b->start && a->flags == b->flags && !a->file && !b->file &&
	       !(a->flags & (VM_GROWS | VM_SHARED | VM_FIXED));
}

int
region_insert(struct vm *v, const struct region *r)
{
	uint32_t i;
	int err = region_room(v);

	if (err)
		return err;
	i = region_index(v, r->start);
	v->virtual += r->end - r->start;
	sizes_tell(v);
	if (i && mergeable(&v->regions[i - 1], r)) {
		v->regions[i - 1].end = r->end;
		return 0;
	}
	memmove(v->regions + i + 1, v->regions + i, (v->count - i) * sizeof(*r));
	v->regions[i] = *r;
	v->count++;
	return 0;
}

void
region_remove(struct vm *v, uint32_t i)
{
	if (v->regions[i].file)
		file_put(v->regions[i].file);
	v->virtual -= v->regions[i].end - v->regions[i].start;
	sizes_tell(v);
	v->count--;
	memmove(v->regions + i, v->regions + i + 1, (v->count - i) * sizeof(*v->regions));
}

int
region_split(struct vm *v, uint64_t at)
{
	uint32_t i = region_index(v, at);
	struct region *r;
	int err;

	if (i == v->count || v->regions[i].start >= at)
		return 0;
	err = region_room(v);
	if (err)
		return err;
	r = &v->regions[i];
	memmove(r + 2, r + 1, (v->count - i - 1) * sizeof(*r));
	v->count++;
	r[1] = r[0];
	r[1].start = at;
	r[1].offset += at - r[0].start;
	r[0].end = at;
	r[1].flags &= ~VM_GROWS; /* the lower part is what grows */
	if (r[0].file)
		file_get(r[0].file);
	return 0;
}

/* Whether the program may do something with [addr, addr + len). */
static bool
range_valid(uint64_t addr, uint64_t len)
{
	return len && addr % PAGE == 0 && addr >= PAGE && addr < EXOS_USER_TOP &&
	       len <= EXOS_USER_TOP - addr;
}

/* Splits at both ends; *first is the first region inside, *after the one behind the last. */
static int
range_cut(struct vm *v, uint64_t addr, uint64_t len, uint32_t *first, uint32_t *after)
{
	int err = region_split(v, addr);

	if (!err)
		err = region_split(v, addr + len);
	*first = region_index(v, addr);
	*after = region_index(v, addr + len);
	if (*after < v->count && v->regions[*after].start < addr + len)
		*after = *first;
	return err;
}

int
vm_unmap(uint64_t addr, uint64_t len)
{
	struct vm *v = vm();
	uint32_t first, after;
	int err;

	len = page_up(len);
	if (!range_valid(addr, len))
		return -EINVAL;
	err = range_cut(v, addr, len, &first, &after);
	if (err)
		return err;
	page_drop(addr, addr + len);
	while (after-- > first) {
		if (v->regions[after].flags & VM_OWNED)
			own_drop(v->regions[after].start, v->regions[after].end);
		region_remove(v, after);
	}
	return 0;
}

/* Highest gap of len bytes below v->mmap_top. */
static uint64_t
gap_find(const struct vm *v, uint64_t len)
{
	uint64_t top = v->mmap_top;

	for (uint32_t i = v->count; i-- > 0;) {
		const struct region *r = &v->regions[i];

		if (r->start >= top)
			continue;
		if (r->end <= top && top - r->end >= len)
			return top - len;
		top = r->start;
	}
	return top > len + PAGE * 16 ? top - len : 0;
}

static bool
range_free(const struct vm *v, uint64_t addr, uint64_t len)
{
	uint32_t i = region_index(v, addr);

	return i == v->count || v->regions[i].start >= addr + len;
}

int64_t
vm_map(uint64_t addr, uint64_t len, uint32_t flags, struct file *file, uint64_t offset, bool fixed,
       bool replace)
{
	struct vm *v = vm();
	struct region r;
	int err;

	if (len == 0 || len > EXOS_USER_TOP)
		return len ? -ENOMEM : -EINVAL;
	len = page_up(len);
	if (fixed && !range_valid(addr, len))
		return addr % PAGE ? -EINVAL : -ENOMEM;
	if (fixed && !replace && !range_free(v, addr, len))
		return -EEXIST;
	if (!fixed) {
		addr = page_down(addr);
		if (!addr || !range_valid(addr, len) || !range_free(v, addr, len))
			addr = gap_find(v, len);
		if (!addr)
			return -ENOMEM;
	} else if ((err = vm_unmap(addr, len))) {
		return err;
	}
	r = (struct region){.start = addr,
			    .end = addr + len,
			    .flags = flags,
			    .file = file,
			    .offset = offset,
			    .file_end = addr + len};
	err = region_insert(v, &r);
	if (err)
		return err;
	if (file)
		file_get(file);
	else if (flags & VM_SHARED)
		err = page_populate(&r);
	if (err) {
		vm_unmap(addr, len);
		return err;
	}
	return (int64_t)addr;
}

/* A shared mapping may write only what its open file may. */
static bool
region_allows(const struct region *r, uint32_t prot)
{
	return !(prot & VM_WRITE) || !(r->flags & VM_SHARED) || !r->file || file_writable(r->file);
}

int
vm_protect(uint64_t addr, uint64_t len, uint32_t prot)
{
	struct vm *v = vm();
	uint32_t first, after;
	uint64_t at = addr;
	int err;

	if (addr % PAGE)
		return -EINVAL;
	if (len == 0)
		return 0;
	len = page_up(len);
	if (!range_valid(addr, len))
		return -ENOMEM;
	err = range_cut(v, addr, len, &first, &after);
	if (err)
		return err;
	for (uint32_t i = first; i < after; i++) {
		if (v->regions[i].start != at)
			return -ENOMEM;
		if ((v->regions[i].flags & VM_OWNED) || !region_allows(&v->regions[i], prot))
			return -EACCES;
		at = v->regions[i].end;
		v->regions[i].flags =
			(v->regions[i].flags & ~(VM_READ | VM_WRITE | VM_EXEC)) | prot;
		err = page_rebind(&v->regions[i], v->regions[i].start, v->regions[i].end);
		if (err)
			return err;
	}
	return at == addr + len ? 0 : -ENOMEM;
}

int64_t
vm_brk(uint64_t brk)
{
	struct vm *v = vm();
	uint64_t old_end = page_up(v->brk), new_end = page_up(brk);

	if (brk < v->brk_start || brk >= EXOS_USER_TOP)
		return (int64_t)v->brk;
	if (new_end > old_end) {
		struct region r = {.start = old_end, .end = new_end, .flags = VM_READ | VM_WRITE};

		if (!range_free(v, old_end, new_end - old_end + PAGE) || region_insert(v, &r))
			return (int64_t)v->brk;
	} else if (new_end < old_end && vm_unmap(new_end, old_end - new_end)) {
		return (int64_t)v->brk;
	}
	v->brk = brk;
	return (int64_t)brk;
}

int
vm_discard(uint64_t addr, uint64_t len)
{
	struct vm *v = vm();
	uint64_t end;

	len = page_up(len);
	if (addr % PAGE || !range_valid(addr, len))
		return len ? -EINVAL : 0;
	end = addr + len;
	for (uint32_t i = region_index(v, addr); i < v->count && v->regions[i].start < end; i++) {
		const struct region *r = &v->regions[i];

		if (r->flags & VM_SHARED)
			continue;
		page_drop(r->start > addr ? r->start : addr, r->end < end ? r->end : end);
	}
	return 0;
}

#define REMAP_MAYMOVE 1u
#define REMAP_FIXED   2u

int64_t
vm_remap(uint64_t old, uint64_t old_len, uint64_t new_len, uint32_t flags, uint64_t to)
{
	struct vm *v = vm();
	const struct region *r;
	struct region copy;
	int64_t at;
	int err;

	old_len = page_up(old_len);
	new_len = page_up(new_len);
	if (old % PAGE || !new_len || !old_len || (flags & ~(REMAP_MAYMOVE | REMAP_FIXED)))
		return -EINVAL;
	r = vm_find(old);
	if (!r || old_len > r->end - old || (r->flags & VM_OWNED))
		return -EFAULT;
	if (!(flags & REMAP_FIXED) && new_len <= old_len) {
		err = new_len < old_len ? vm_unmap(old + new_len, old_len - new_len) : 0;
		return err ? err : (int64_t)old;
	}
	copy = *r;
	if (!(flags & REMAP_FIXED) && r->end == old + old_len &&
	    range_free(v, r->end, new_len - old_len) && range_valid(old, new_len)) {
		v->regions[region_index(v, old)].end = old + new_len;
		v->virtual += new_len - old_len;
		sizes_tell(v);
		if (copy.file)
			v->regions[region_index(v, old)].file_end += new_len - old_len;
		return (int64_t)old;
	}
	if (!(flags & REMAP_MAYMOVE))
		return -ENOMEM;
	at = vm_map(flags & REMAP_FIXED ? to : 0, new_len, copy.flags & ~VM_SHARED, copy.file,
		    copy.offset + (old - copy.start), flags & REMAP_FIXED, true);
	if (at < 0)
		return at;
	v->regions[region_index(v, (uint64_t)at)].flags = copy.flags;
	err = page_move(old, (uint64_t)at, old_len < new_len ? old_len : new_len);
	if (!err)
		err = vm_unmap(old, old_len);
	return err ? err : at;
}

void
vm_reset(void)
{
	const struct vm *v = vm();

	page_drop(0, EXOS_USER_TOP);
	for (uint32_t i = 0; i < v->count; i++) {
		if (v->regions[i].flags & VM_OWNED)
			own_drop(v->regions[i].start, v->regions[i].end);
	}
	vm_forget();
}

void
vm_forget(void)
{
	struct vm *v = vm();

	while (v->count)
		region_remove(v, v->count - 1);
	for (uint32_t i = 0; i < v->chunk_count; i++)
		core_free(v->chunks[i].entry, VM_CHUNK_PAGES * sizeof(uint32_t));
	v->chunk_count = 0;
	v->pages = 0;
	v->brk = v->brk_start = 0;
	memset(v->hot, 0, sizeof(v->hot));
	sizes_tell(v);
}
