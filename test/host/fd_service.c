/* SPDX-License-Identifier: MIT */
/*
 * A service for tests of the descriptor layer: files by name without directories, pipes, devices.
 * All state is in struct fake_world; a call is a function under one lock.
 */
#include "test/host/fd_fake.h"

#include <stdio.h>
#include <stdlib.h>

#define MSG ((uint8_t *)EXOS_MSG)

static struct svc_file_info *
info_of(struct fake_inode *inode)
{
	return fake_frame(inode->info_frame);
}

struct fake_inode *
fake_file(const char *name)
{
	struct fake_inode *inode;

	for (inode = world->inodes; inode->name[0]; inode++)
		if (!strcmp(inode->name, name))
			return inode;
	snprintf(inode->name, sizeof(inode->name), "%s", name);
	inode->mode = LX_S_IFREG | 0644;
	inode->info_frame = fake_frame_alloc();
	*info_of(inode) = (struct svc_file_info){
		.mode = inode->mode, .nlink = 1, .ino = (uint64_t)(inode - world->inodes) + 1};
	return inode;
}

static int64_t
object_new(uint32_t type, uint32_t flags)
{
	for (uint32_t i = 1; i < FAKE_OBJECTS; i++) {
		if (world->objects[i].refs)
			continue;
		world->objects[i] = (struct fake_object){.refs = 1, .type = type, .flags = flags};
		fake_held[i / 64] |= 1ul << (i % 64);
		return i;
	}
	return -ENFILE;
}

static struct fake_object *
object_find(uint64_t obj)
{
	if (obj >= FAKE_OBJECTS || !(fake_held[obj / 64] >> (obj % 64) & 1)) {
		fprintf(stderr, "fd_service: object %lu is not held\n", obj);
		abort();
	}
	return &world->objects[obj];
}

static uint32_t
device_type(const char *name)
{
	static const struct {
		char name[16];
		uint32_t type;
	} devices[] = {{"/dev/null", SVC_T_NULL},  {"/dev/zero", SVC_T_ZERO},
		       {"/dev/full", SVC_T_FULL},  {"/dev/urandom", SVC_T_RANDOM},
		       {"/dev/tty", SVC_T_TTY},    {"/", SVC_T_DIR},
		       {"/proc/text", SVC_T_SYNTH}};

	for (size_t i = 0; i < sizeof(devices) / sizeof(devices[0]); i++)
		if (!strcmp(devices[i].name, name))
			return devices[i].type;
	return SVC_T_FILE;
}

static void
file_cut(struct fake_inode *inode, uint64_t size)
{
	struct svc_file_info *info = info_of(inode);
	uint64_t first = (size + 4095) / 4096;

	for (uint64_t i = first; i < FAKE_PAGES; i++) {
		if (inode->pages[i])
			fake_unbind_frame(inode->pages[i]);
		inode->pages[i] = 0;
	}
	if (size < info->size) {
		if (size % 4096 && inode->pages[size / 4096])
			memset((uint8_t *)fake_frame(inode->pages[size / 4096]) + size % 4096, 0,
			       4096 - size % 4096);
		info->layout++;
	}
	info->size = size;
}

static int64_t op_close(const struct svc *s);

static int64_t
op_open(const struct svc *s)
{
	struct svc_opened out = {0};
	char name[64] = {0};
	uint32_t type;
	int64_t obj;

	if (s->e)
		op_close(&(struct svc){.a = s->e});
	memcpy(name, MSG, s->b < 63 ? s->b : 63);
	if (!strcmp(name, "/missing"))
		return -ENOENT;
	type = device_type(name);
	if (type == SVC_T_FILE && !(s->c & LX_O_CREAT) && !fake_file(name)->name[0])
		return -ENOENT;
	obj = object_new(type, (uint32_t)s->c);
	if (obj < 0)
		return obj;
	out = (struct svc_opened){
		.obj = (uint32_t)obj, .type = type, .flags = (uint32_t)s->c, .steady = 1};
	if (type == SVC_T_FILE) {
		struct fake_inode *inode = fake_file(name);

		inode->opens++;
		if (s->c & LX_O_TRUNC)
			file_cut(inode, 0);
		world->objects[obj].inode = inode;
		out.info_frame = inode->info_frame;
	}
	memcpy(MSG, &out, sizeof(out));
	return obj;
}

static void
pipe_end_close(struct fake_pipe *p, uint32_t type)
{
	struct ring_shared *ring = fake_frame(p->frames[0]);

	if (type == SVC_T_PIPE_READ && !--p->readers)
		__atomic_store_n(&ring->read_open, 0, __ATOMIC_SEQ_CST);
	if (type == SVC_T_PIPE_WRITE && !--p->writers)
		__atomic_store_n(&ring->write_open, 0, __ATOMIC_SEQ_CST);
	for (int i = 0; i < (int)RING_WAITERS; i++) {
		core_wake(ring_waiter_env(
			__atomic_exchange_n(&ring->readers_waiting[i], 0, __ATOMIC_SEQ_CST)));
		core_wake(ring_waiter_env(
			__atomic_exchange_n(&ring->writers_waiting[i], 0, __ATOMIC_SEQ_CST)));
	}
}

static int64_t
op_close(const struct svc *s)
{
	struct fake_object *o = object_find(s->a);

	fake_held[s->a / 64] &= ~(1ul << (s->a % 64));
	if (--o->refs)
		return 0;
	if (o->inode)
		o->inode->opens--;
	if (o->pipe)
		pipe_end_close(o->pipe, o->type);
	return 0;
}

static int64_t
op_map(const struct svc *s)
{
	struct fake_object *o = object_find(s->a);
	uint32_t *pfns = (uint32_t *)MSG;
	uint64_t end = (info_of(o->inode)->size + 4095) / 4096;
	uint32_t n = 0;

	if (s->d && (o->flags & LX_O_ACCMODE) == LX_O_RDONLY)
		return -EACCES;
	while (n < s->c && n < 1024) {
		uint64_t page = s->b + n;

		if (page >= FAKE_PAGES)
			return n ? (int64_t)n : -EFBIG;
		if (!s->d && page >= end)
			return n ? (int64_t)n : -ENXIO;
		if (s->d && !o->inode->pages[page])
			o->inode->pages[page] = fake_frame_alloc();
		pfns[n++] = o->inode->pages[page];
	}
	return n;
}

static int64_t
op_extend(const struct svc *s)
{
	struct svc_file_info *info = info_of(object_find(s->a)->inode);

	if (info->size < s->c)
		info->size = s->c;
	return 0;
}

static int64_t
op_pipe(struct svc *s)
{
	struct svc_opened out[2];
	struct fake_pipe *p = world->pipes;
	int64_t obj[2];

	while (p->used)
		p++;
	*p = (struct fake_pipe){
		.used = true, .pages = 16, .readers = 1, .writers = 1, .host = world->host_pipes};
	for (int i = 0; i < 17; i++)
		p->frames[i] = fake_frame_alloc();
	((struct ring_shared *)fake_frame(p->frames[0]))->read_open = 1;
	((struct ring_shared *)fake_frame(p->frames[0]))->write_open = 1;
	for (int i = 0; i < 2; i++) {
		obj[i] = object_new(i ? SVC_T_PIPE_WRITE : SVC_T_PIPE_READ, (uint32_t)s->c);
		world->objects[obj[i]].pipe = p;
		out[i] = (struct svc_opened){.obj = (uint32_t)obj[i],
					     .type = world->objects[obj[i]].type,
					     .ring_pages = 16,
					     .host = p->host};
		memcpy(out[i].frames, p->frames, sizeof(p->frames));
	}
	memcpy(MSG, out, sizeof(out));
	s->a = (uint64_t)obj[1];
	return obj[0];
}

/* Three names, longer and longer. */
static int64_t
op_getdents(const struct svc *s)
{
	struct fake_object *o = object_find(s->a);
	size_t at = 0;

	for (; o->cookie < 3; o->cookie++) {
		struct lx_dirent64 *d = (struct lx_dirent64 *)(void *)(MSG + at);
		size_t n = 1 + o->cookie * 5, length = LX_DIRENT64_RECLEN(n);

		if (at + length > s->b)
			return at ? (int64_t)at : -EINVAL;
		memset(d, 0xee, length);
		d->d_ino = o->cookie + 10;
		d->d_off = (int64_t)o->cookie + 1;
		d->d_reclen = (uint16_t)length;
		d->d_type = LX_DT_REG;
		memset(d->d_name, 'a' + (int)o->cookie, n);
		d->d_name[n] = 0;
		at += length;
	}
	return (int64_t)at;
}

static int64_t
op_stat(const struct svc *s)
{
	struct fs_stat st = {.dev = 7,
			     .ino = 8,
			     .mode = LX_S_IFREG | 0600,
			     .size = 9,
			     .rdev = LX_MAKEDEV(5, 300),
			     .mtime = -1,
			     .nlink = 1};

	if (s->b == 8 && !memcmp(MSG, "/missing", 8))
		return -ENOENT;
	memcpy(MSG, &st, sizeof(st));
	return 0;
}

static int64_t
op_synth(const struct svc *s, bool write)
{
	static const char text[] = "generated content";
	uint64_t left = s->b < sizeof(text) ? sizeof(text) - s->b : 0;
	uint64_t n = s->c < left ? s->c : left;

	if (write)
		return (int64_t)s->c;
	memcpy(MSG, text + s->b, n);
	return (int64_t)n;
}

static int64_t
op_serve(struct svc *s)
{
	struct fake_object *o;
	int64_t old;

	switch (s->op) {
	case SVC_OPEN:
		return op_open(s);
	case SVC_CLOSE:
		return op_close(s);
	case SVC_MAP:
		return op_map(s);
	case SVC_EXTEND:
		return op_extend(s);
	case SVC_TRUNCATE:
		file_cut(s->b ? fake_file("/f") : object_find(s->a)->inode, s->c);
		return 0;
	case SVC_PIPE:
		return op_pipe(s);
	case SVC_GETDENTS:
		return op_getdents(s);
	case SVC_SEEKDIR:
		o = object_find(s->a);
		old = (int64_t)o->cookie;
		if (s->b != UINT64_MAX)
			o->cookie = s->b;
		return old;
	case SVC_STAT:
		return op_stat(s);
	case SVC_SYNTH_READ:
	case SVC_SYNTH_WRITE:
		return op_synth(s, s->op == SVC_SYNTH_WRITE);
	case SVC_KICK:
		world->kicks++;
		return 0;
	case SVC_TTY_READ:
		memcpy(MSG, "line\n", 5);
		return s->b < 5 ? (int64_t)s->b : 5;
	case SVC_TTY_WRITE:
		return s->b < 100 ? (int64_t)s->b : 100;
	case SVC_TTY_IOCTL:
		memset(MSG, 0x11, 64);
		return 0;
	case SVC_TTY_POLL:
		return LX_POLLOUT;
	default:
		return 0; /* recorded in world->last */
	}
}

int64_t
svc_call(struct svc *s)
{
	fake_lock(&world->lock);
	world->calls[s->op]++;
	world->last = *s;
	s->op = op_serve(s);
	fake_unlock(&world->lock);
	return s->op;
}
