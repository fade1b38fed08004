/* SPDX-License-Identifier: MIT */
/*
 * Pipes, fifos, and the rings to the host.
 *
 * The service makes the ring, gives its frames to those who hold an object of it, and keeps the
 * words that say whether an end is still open: it survives every process, so a reader is told of
 * the end of the file however its writers ended.  It never moves a byte of a pipe.
 *
 * Opening a fifo waits for the other end without the service waiting: the first call makes the
 * object, which counts as an open end from then on, and answers -EAGAIN; the caller asks again when
 * it was woken. An end that came and went meanwhile has set `met`, and the open succeeds as it
 * must.  Another open, or the opener's end, takes an unfinished one back.
 *
 *  1. readers and writers count objects.  The host's end is counted by nobody: the supervisor keeps
 * its word in the ring itself.
 *  2. A ring without objects is freed, unless it is the host's.
 *  3. read_alone and write_alone are 1 only if one process holds that end, and whoever held it besides has
 *     closed it by a call (ring.h).
 */
#include "exos/service/priv.h"

struct pipe *
pipe_new(void)
{
	struct pipe *pipe = heap_zalloc(sizeof(*pipe));

	if (!pipe)
		return NULL;
	pipe->pages = PIPE_PAGES;
	if (core_frames_alloc(EXOS_CAP_OWN, pipe->frames, PIPE_PAGES + 1)) {
		core_free(pipe, sizeof(*pipe));
		return NULL;
	}
	pipe->shared = core_arena_map(pipe->frames, 1, AEGIS_BIND_READ | AEGIS_BIND_WRITE);
	if (!pipe->shared) {
		core_frames_free(pipe->frames, PIPE_PAGES + 1);
		core_free(pipe, sizeof(*pipe));
		return NULL;
	}
	return pipe;
}

struct pipe *
pipe_adopt(struct service *sv, uint32_t stream, bool with_data)
{
	const struct host_page *host = sv->host;
	uint32_t pages = host->stream[stream].pages;
	struct pipe *pipe;

	if (sv->stream[stream])
		return sv->stream[stream];
	if (!pages || pages > 16 || pages & (pages - 1))
		return NULL;
	pipe = heap_zalloc(sizeof(*pipe));
	if (!pipe)
		return NULL;
	pipe->pages = pages;
	pipe->host = true;
	memcpy(pipe->frames, host->stream[stream].frames, sizeof(pipe->frames));
	pipe->shared = core_arena_map(pipe->frames, with_data ? pages + 1 : 1,
				      AEGIS_BIND_READ | AEGIS_BIND_WRITE);
	if (!pipe->shared) {
		core_free(pipe, sizeof(*pipe));
		return NULL;
	}
	pipe->data = with_data ? (uint8_t *)pipe->shared + PAGE : NULL;
	sv->stream[stream] = pipe;
	return pipe;
}

static void
slots_wake(uint32_t *slot)
{
	for (uint32_t i = 0; i < RING_WAITERS; i++) {
		uint32_t env = __atomic_load_n(&slot[i], __ATOMIC_RELAXED);

		if (env && (env = __atomic_exchange_n(&slot[i], 0, __ATOMIC_ACQ_REL)))
			core_wake(ring_waiter_env(env));
	}
}

void
pipe_wake(struct pipe *pipe, bool readers, bool writers)
{
	if (readers)
		slots_wake(pipe->shared->readers_waiting);
	if (writers)
		slots_wake(pipe->shared->writers_waiting);
}

void
host_kick(struct service *sv)
{
	kern_wake_host(sv->host->supervisor_env);
}

static void
alone_tell(struct pipe *pipe)
{
	bool private = !pipe->host && !pipe->file;
	bool reader = private && pipe->read_holders == 1;
	bool writer = private && pipe->readers && pipe->write_holders == 1;

	__atomic_store_n(&pipe->shared->read_alone, reader, __ATOMIC_RELEASE);
	__atomic_store_n(&pipe->shared->write_alone, writer, __ATOMIC_RELEASE);
}

void
pipe_held(struct pipe *pipe, bool read, bool write, int more)
{
	pipe->read_holders += read ? (uint32_t)more : 0;
	pipe->write_holders += write ? (uint32_t)more : 0;
	alone_tell(pipe);
}

void
pipe_opened(struct pipe *pipe, bool read, bool write)
{
	if (read && !pipe->readers++)
		__atomic_store_n(&pipe->shared->read_open, 1, __ATOMIC_RELEASE);
	if (write && !pipe->writers++)
		__atomic_store_n(&pipe->shared->write_open, 1, __ATOMIC_RELEASE);
	pipe_held(pipe, read, write, 1);
}

static void
pipe_free(struct service *sv, struct pipe *pipe)
{
	struct sfile *file = pipe->file;
	struct fs_inode *inode = pipe->inode;

	core_arena_unmap(pipe->shared, 1);
	core_frames_free(pipe->frames, pipe->pages + 1);
	core_free(pipe, sizeof(*pipe));
	if (file) {
		file->fifo = NULL;
		sfile_put(sv, file);
	}
	fs_close(sv->fs, inode);
}

void
pipe_closed(struct service *sv, struct pipe *pipe, bool read, bool write)
{
	bool last_reader = read && !--pipe->readers, last_writer = write && !--pipe->writers;

	alone_tell(pipe);
	if (last_reader)
		__atomic_store_n(&pipe->shared->read_open, 0, __ATOMIC_RELEASE);
	if (last_writer)
		__atomic_store_n(&pipe->shared->write_open, 0, __ATOMIC_RELEASE);
	if (last_reader || last_writer)
		pipe_wake(pipe, true, true);
	if (pipe->host) {
		if (last_reader || last_writer)
			host_kick(sv);
	} else if (!pipe->readers && !pipe->writers) {
		pipe_free(sv, pipe);
	}
}

static int64_t
pipe_object(struct service *sv, struct proc *p, struct pipe *pipe, uint32_t flags,
	    struct object **out)
{
	int64_t id = object_new(sv, p, out);
	struct object *o = *out;

	if (id < 0)
		return id;
	o->flags = flags;
	o->pipe = pipe;
	o->read = (flags & LX_O_ACCMODE) != LX_O_WRONLY;
	o->write = (flags & LX_O_ACCMODE) != LX_O_RDONLY;
	o->type = o->read ? SVC_T_PIPE_READ : SVC_T_PIPE_WRITE;
	pipe_opened(pipe, o->read, o->write);
	return id;
}

int64_t
op_pipe(struct service *sv, struct proc *p, struct svc *s)
{
	uint32_t flags = (uint32_t)s->c & LX_O_NONBLOCK;
	struct svc_opened opened[2];
	struct object *in, *out;
	struct pipe *pipe;
	int64_t from, to;

	if (s->c & ~(uint64_t)(LX_O_NONBLOCK | LX_O_CLOEXEC | LX_O_DIRECT))
		return -EINVAL;
	pipe = pipe_new();
	if (!pipe)
		return -ENOMEM;
	from = pipe_object(sv, p, pipe, LX_O_RDONLY | flags, &in);
	if (from < 0) {
		pipe_free(sv, pipe);
		return from;
	}
	to = pipe_object(sv, p, pipe, LX_O_WRONLY | flags, &out);
	if (to < 0) {
		object_drop(sv, p, in);
		return to;
	}
	if (object_show(sv, p, in, &opened[0])) {
		object_drop(sv, p, in);
		object_drop(sv, p, out);
		return -ENOMEM;
	}
	object_describe(sv, out, &opened[1]);
	memcpy(p->msg, opened, sizeof(opened));
	s->a = (uint64_t)to;
	return from;
}

/* ---- fifos ---- */

/*
 * A pipe becomes a fifo without a name when somebody opens it by /proc, or asks what it is.  Who opens that does not
 * wait for another end.
 */
int
pipe_inode(struct service *sv, struct pipe *pipe, const struct fs_cred *cred, struct fs_inode **out)
{
	int err = pipe->inode ? 0 : fs_fifo(sv->fs, cred, out);

	if (err)
		return err;
	if (!pipe->inode) {
		pipe->file = sfile_get(sv, *out, false);
		if (!pipe->file) {
			fs_close(sv->fs, *out);
			return -ENOMEM;
		}
		pipe->file->fifo = pipe;
		pipe->inode = *out;
		alone_tell(pipe);
	}
	*out = pipe->inode;
	fs_open_ref(*out);
	return 0;
}

/* Whether the host has the other end of a ring.  Of its own it is never the one that is opened. */
static bool
host_has(const struct service *sv, const struct pipe *pipe, uint32_t mode)
{
	return pipe && pipe->host && mode == (pipe == sv->stream[0] ? LX_O_RDONLY : LX_O_WRONLY);
}

void
fifo_cancel(struct service *sv, struct proc *p)
{
	struct object *o = object_find(sv, p, p->opening);

	p->opening = SVC_CWD;
	if (o)
		object_drop(sv, p, o);
}

/* Those who wait for an end like this one need not wait any more. */
static void
fifo_meet(struct service *sv, const struct object *end)
{
	for (struct proc *p = sv->all; p; p = p->next) {
		struct object *o;

		if (proc_over(p) || p->opening == SVC_CWD)
			continue;
		o = object_find(sv, p, p->opening);
		if (o && o->pipe == end->pipe && !o->met &&
		    ((o->read && end->write) || (o->write && end->read))) {
			o->met = true;
			core_wake(p->env);
		}
	}
}

static int64_t
fifo_start(struct service *sv, struct proc *p, struct fs_inode *inode, uint32_t flags,
	   struct object **out)
{
	struct sfile *file = sfile_get(sv, inode, false);
	uint32_t mode = flags & LX_O_ACCMODE;
	int64_t id;

	if (!file)
		return -ENOMEM;
	if (file->fifo && file->fifo->host && !host_has(sv, file->fifo, mode))
		return -EACCES;
	if (mode == LX_O_WRONLY && flags & LX_O_NONBLOCK &&
	    !(file->fifo && (file->fifo->readers || file->fifo->inode))) {
		sfile_put(sv, file);
		return -ENXIO;
	}
	if (!file->fifo) {
		file->fifo = pipe_new();
		if (!file->fifo) {
			sfile_put(sv, file);
			return -ENOMEM;
		}
		file->fifo->file = file;
	}
	id = pipe_object(sv, p, file->fifo, flags, out);
	if (id < 0 && !file->fifo->readers && !file->fifo->writers)
		pipe_free(sv, file->fifo);
	return id;
}

/* Takes the reference on inode over, whatever the outcome. */
int64_t
fifo_open(struct service *sv, struct proc *p, struct fs_inode *inode, uint32_t flags,
	  struct object **out)
{
	struct object *o = object_find(sv, p, p->opening);
	int64_t id;

	if (o && o->inode == inode && o->flags == flags) {
		fs_close(sv->fs, inode);
		if (!o->met)
			return -EAGAIN;
		p->opening = SVC_CWD;
		*out = o;
		return object_id(sv, o);
	}
	fifo_cancel(sv, p);
	id = fifo_start(sv, p, inode, flags, &o);
	if (id < 0) {
		fs_close(sv->fs, inode);
		return id;
	}
	o->inode = inode;
	*out = o;
	fifo_meet(sv, o);
	if (flags & LX_O_NONBLOCK || o->pipe->inode || (o->read && o->pipe->writers) ||
	    (o->write && o->pipe->readers))
		return id;
	p->opening = (uint32_t)id;
	return -EAGAIN;
}

/* ---- the host ---- */

int64_t
op_kick(struct service *sv, struct proc *p, struct svc *s)
{
	const struct object *o = object_find(sv, p, s->a);

	if (!o)
		return -EBADF;
	if (!(o->pipe && o->pipe->host) && o->type != SVC_T_TTY)
		return -EINVAL;
	host_kick(sv);
	return 0;
}

static int64_t
host_close(struct service *sv, struct svc *s)
{
	struct pipe *pipe = s->a < 4 ? sv->stream[s->a] : NULL;

	if (!pipe)
		return -EBADF;
	pipe->shared->write_error = (uint32_t)s->b;
	__atomic_store_n(&pipe->shared->read_open, 0, __ATOMIC_RELEASE);
	pipe_wake(pipe, true, true);
	if (pipe == sv->tty_out)
		term_pump(sv);
	return 0;
}

int64_t
op_host(struct service *sv, struct svc *s)
{
	struct mail_signal sig = {.signal = (int32_t)s->a, .code = LX_SI_KERNEL};

	switch (s->op) {
	case SVC_HOST_INPUT:
	case SVC_HOST_ROOM:
		for (uint32_t i = 0; i < 4; i++) {
			if (sv->stream[i])
				pipe_wake(sv->stream[i], i == 0, i != 0);
		}
		term_pump(sv);
		return 0;
	case SVC_HOST_WINSIZE:
		term_resize(sv, s);
		return 0;
	case SVC_HOST_SIGNAL:
		if (s->a < 1 || s->a > LX_NSIG || !sv->first)
			return -EINVAL;
		signal_group(sv, sv->first->pgid, &sig);
		return 0;
	default:
		return host_close(sv, s);
	}
}
