/* SPDX-License-Identifier: MIT */
/*
 * Which kind of file serves what.
 *
 * One function for each operation, which checks what is the same for all kinds (access mode, -EBADF
 * for O_PATH) and switches over the type: the compiler sees through a switch, and warns when a kind
 * is missing.
 */
#include "exos/fd/priv.h"

int64_t
file_read(struct file *f, struct io *io, const uint64_t *pos)
{
	if (!file_readable(f))
		return -EBADF;
	switch ((enum svc_type)f->type) {
	case SVC_T_FILE:
		return regular_read(f, io, pos);
	case SVC_T_PIPE_READ:
	case SVC_T_PIPE_WRITE:
		return pipe_read(f, io);
	case SVC_T_TTY:
		return tty_file_read(f, io);
	case SVC_T_NULL:
	case SVC_T_ZERO:
	case SVC_T_FULL:
	case SVC_T_RANDOM:
		return device_read(f, io);
	case SVC_T_SYNTH:
		return synth_read(f, io, pos);
	case SVC_T_DIR:
		return -EISDIR;
	case SVC_T_PATH:
		break;
	}
	return -EBADF;
}

int64_t
file_write(struct file *f, struct io *io, const uint64_t *pos)
{
	if (!file_writable(f))
		return -EBADF;
	switch ((enum svc_type)f->type) {
	case SVC_T_FILE:
		return regular_write(f, io, pos);
	case SVC_T_PIPE_READ:
	case SVC_T_PIPE_WRITE:
		return pipe_write(f, io);
	case SVC_T_TTY:
		return tty_file_write(f, io);
	case SVC_T_NULL:
	case SVC_T_ZERO:
	case SVC_T_FULL:
	case SVC_T_RANDOM:
		return device_write(f, io);
	case SVC_T_SYNTH:
		return synth_write(f, io, pos);
	case SVC_T_DIR:
		return -EISDIR;
	case SVC_T_PATH:
		break;
	}
	return -EBADF;
}

int64_t
fd_read(int fd, uint64_t at, size_t n)
{
	struct file *f = fd_file(fd);
	struct io io;

	if (!f)
		return -EBADF;
	io_user(&io, at, n);
	return file_read(f, &io, NULL);
}

int64_t
fd_write(int fd, uint64_t at, size_t n)
{
	struct file *f = fd_file(fd);
	struct io io;

	if (!f)
		return -EBADF;
	io_user(&io, at, n);
	return file_write(f, &io, NULL);
}

int64_t
file_seek(struct file *f, int64_t offset, int whence)
{
	if (whence < LX_SEEK_SET || whence > LX_SEEK_HOLE)
		return -EINVAL;
	switch ((enum svc_type)f->type) {
	case SVC_T_FILE:
		return regular_seek(f, offset, whence);
	case SVC_T_SYNTH:
		return synth_seek(f, offset, whence);
	case SVC_T_DIR:
		return dir_seek(f, offset, whence);
	case SVC_T_NULL:
	case SVC_T_ZERO:
	case SVC_T_FULL:
	case SVC_T_RANDOM:
		return 0;
	case SVC_T_PIPE_READ:
	case SVC_T_PIPE_WRITE:
	case SVC_T_TTY:
		return -ESPIPE;
	case SVC_T_PATH:
		break;
	}
	return -EBADF;
}

bool
file_seekable(const struct file *f)
{
	return !file_is_pipe(f) && f->type != SVC_T_TTY;
}

int
file_stat(struct file *f, struct fs_stat *out)
{
	int64_t got;

	if (f->type == SVC_T_FILE) {
		regular_stat(f, out);
		return 0;
	}
	got = service(SVC_STAT, f->obj, 0, LX_AT_EMPTY_PATH, 0);
	if (got < 0)
		return (int)got;
	memcpy(out, msg(0), sizeof(*out));
	return 0;
}

/* FIONREAD: what a read would find now. */
static int64_t
readable_bytes(struct file *f)
{
	uint64_t size, at;

	if (file_is_pipe(f))
		return ring_used(&f->ring);
	if (f->type != SVC_T_FILE)
		return -ENOTTY;
	size = __atomic_load_n(&f->info->size, __ATOMIC_RELAXED);
	at = __atomic_load_n(file_position(f), __ATOMIC_RELAXED);
	if (at >= size)
		return 0;
	return size - at < INT32_MAX ? (int64_t)(size - at) : INT32_MAX;
}

int64_t
file_ioctl(struct file *f, uint32_t request, uint64_t argument)
{
	int64_t got;
	int32_t n;

	if (f->flags & LX_O_PATH)
		return -EBADF;
	if (f->type == SVC_T_TTY)
		return tty_file_ioctl(f, request, argument);
	if (request != LX_FIONREAD)
		return -ENOTTY;
	got = readable_bytes(f);
	if (got < 0)
		return got;
	n = (int32_t)got;
	return copy_out(argument, &n, sizeof(n)) ? -EFAULT : 0;
}

uint32_t
file_poll(struct file *f, bool note)
{
	int64_t got;

	if (file_is_pipe(f))
		return pipe_poll(f, note);
	if (f->type == SVC_T_TTY) {
		got = service(SVC_TTY_POLL, f->obj, 0, 0, 0);
		return got < 0 ? LX_POLLERR : (uint32_t)got;
	}
	if (f->type == SVC_T_PATH)
		return LX_POLLNVAL;
	return LX_POLLIN | LX_POLLOUT | LX_POLLRDNORM | LX_POLLWRNORM;
}

void
file_poll_done(struct file *f)
{
	if (file_is_pipe(f))
		pipe_poll_done(f);
}

int64_t
file_pipe_size(const struct file *f)
{
	return file_is_pipe(f) ? (int64_t)f->ring.size : -EBADF;
}

uint32_t
file_pipe_used(const struct file *f)
{
	return ring_used(&f->ring);
}

bool
file_is_mappable(const struct file *f)
{
	return f->type == SVC_T_FILE && !(f->flags & LX_O_PATH);
}

int64_t
fd_object_read(struct file *f, void *to, size_t n, uint64_t offset)
{
	struct io io;

	io_library(&io, to, n);
	return file_read(f, &io, &offset);
}

static int64_t
exec_open(const char *path, size_t length)
{
	int64_t got;

	if (!length)
		return -ENOENT;
	if (length >= LX_PATH_MAX)
		return -ENAMETOOLONG;
	memcpy(msg(0), path, length);
	got = service(SVC_ACCESS, SVC_CWD, length, LX_X_OK, LX_AT_EACCESS);
	if (got < 0)
		return got;
	memcpy(msg(0), path, length);
	return service(SVC_OPEN, SVC_CWD, length, LX_O_RDONLY | LX_O_NONBLOCK, 0);
}

int
fd_open_for_exec(const char *path, size_t length, struct file **out)
{
	struct svc_opened opened;
	int64_t got = exec_open(path, length);
	int err;

	if (got < 0)
		return got == -ENXIO ? -EACCES : (int)got;
	memcpy(&opened, msg(0), sizeof(opened));
	err = file_create(&opened, LX_O_RDONLY, out);
	if (err)
		return err;
	if ((*out)->type != SVC_T_FILE) {
		file_put(*out);
		return -EACCES;
	}
	return 0;
}
