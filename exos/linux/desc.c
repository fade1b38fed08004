/* SPDX-License-Identifier: MIT */
/*
 * Linux calls on descriptors themselves: dup, close, fcntl, ioctl, pipe, getdents.
 *
 * Owns nothing.
 */
#include "exos/core/core.h"
#include "exos/fd/fd.h"
#include "exos/linux/abi.h"
#include "exos/linux/call.h"
#include "exos/linux/calls.h"

#define SETFL_FLAGS         (LX_O_APPEND | LX_O_NONBLOCK | LX_O_DIRECT | LX_O_NOATIME | LX_O_ASYNC)
#define CLOSE_RANGE_UNSHARE 2u
#define CLOSE_RANGE_CLOEXEC 4u

static int64_t
dup_from(int fd, uint64_t min, bool cloexec)
{
	struct file *f = fd_file(fd);
	int to;

	if (!f)
		return -EBADF;
	if (min > INT32_MAX)
		return -EINVAL;
	to = fd_free((uint32_t)min);
	if (to < 0)
		return to;
	to = fd_install(to, f, cloexec);
	if (to >= 0)
		file_get(f);
	return to;
}

int64_t
sys_dup(struct call *c)
{
	return dup_from((int)c->a[0], 0, false);
}

static int64_t
dup_to(int fd, int to, bool cloexec)
{
	struct file *f = fd_file(fd);

	return f ? fd_replace(to, f, cloexec) : -EBADF;
}

int64_t
sys_dup2(struct call *c)
{
	int from = (int)c->a[0], to = (int)c->a[1];

	if (from == to)
		return fd_file(from) ? to : -EBADF;
	return dup_to(from, to, false);
}

int64_t
sys_dup3(struct call *c)
{
	int from = (int)c->a[0], to = (int)c->a[1];
	uint32_t flags = (uint32_t)c->a[2];

	if ((flags & ~(uint32_t)LX_O_CLOEXEC) || from == to)
		return -EINVAL;
	return dup_to(from, to, flags != 0);
}

int64_t
sys_close(struct call *c)
{
	return fd_close((int)c->a[0]);
}

int64_t
sys_close_range(struct call *c)
{
	uint32_t first = (uint32_t)c->a[0], last = (uint32_t)c->a[1], flags = (uint32_t)c->a[2];

	if (first > last || (flags & ~(CLOSE_RANGE_UNSHARE | CLOSE_RANGE_CLOEXEC)))
		return -EINVAL;
	for (uint32_t fd = first; fd <= last && fd < FD_MAX; fd++) {
		if (flags & CLOSE_RANGE_CLOEXEC)
			fd_cloexec((int)fd, 1);
		else
			fd_close((int)fd);
	}
	return 0;
}

/* ---- fcntl ---- */

/* A pipe keeps its size, which is enough for who asks for less, unless that had no room for what lies in it. */
static int64_t
pipe_size_set(struct file *f, uint64_t size)
{
	int64_t now = file_pipe_size(f);
	uint64_t room = AEGIS_PAGE;

	if (now < 0)
		return now;
	if (size > INT32_MAX)
		return -EINVAL;
	if (size > (uint64_t)now)
		return -EPERM;
	while (room < size)
		room *= 2;
	return file_pipe_used(f) > room ? -EBUSY : now;
}

static int64_t
fcntl_file(struct file *f, uint32_t command, uint64_t argument)
{
	switch (command) {
	case LX_F_SETFL:
		file_flags_set(f, (uint32_t)argument & SETFL_FLAGS);
		return 0;
	case LX_F_GETLK:
	case LX_F_SETLK:
	case LX_F_SETLKW:
	case LX_F_OFD_GETLK:
	case LX_F_OFD_SETLK:
	case LX_F_OFD_SETLKW:
		return lock_fcntl(f, command, argument);
	case LX_F_GETPIPE_SZ:
		return file_pipe_size(f);
	case LX_F_SETPIPE_SZ:
		return pipe_size_set(f, argument);
	case LX_F_GETOWN:
	case LX_F_SETOWN:
	case LX_F_GETSIG:
		return 0;
	case LX_F_GETLEASE:
		return LX_F_UNLCK;
	default:
		return -EINVAL;
	}
}

int64_t
sys_fcntl(struct call *c)
{
	int fd = (int)c->a[0];
	uint32_t command = (uint32_t)c->a[1];
	uint64_t argument = c->a[2];
	struct file *f = fd_file(fd);
	int got;

	if (!f)
		return -EBADF;
	switch (command) {
	case LX_F_DUPFD:
	case LX_F_DUPFD_CLOEXEC:
		return dup_from(fd, argument, command == LX_F_DUPFD_CLOEXEC);
	case LX_F_GETFD:
		return fd_cloexec(fd, -1);
	case LX_F_SETFD:
		got = fd_cloexec(fd, (argument & LX_FD_CLOEXEC) != 0);
		return got < 0 ? got : 0;
	case LX_F_GETFL:
		return file_flags(f);
	default:
		return file_flags(f) & LX_O_PATH ? -EBADF : fcntl_file(f, command, argument);
	}
}

int64_t
sys_ioctl(struct call *c)
{
	int fd = (int)c->a[0];
	uint32_t request = (uint32_t)c->a[1], flags;
	struct file *f = fd_file(fd);
	int32_t on;

	if (!f || (file_flags(f) & LX_O_PATH))
		return -EBADF;
	switch (request) {
	case LX_FIOCLEX:
	case LX_FIONCLEX:
		fd_cloexec(fd, request == LX_FIOCLEX);
		return 0;
	case LX_FIONBIO:
		if (copy_in(&on, c->a[2], sizeof(on)))
			return -EFAULT;
		flags = file_flags(f) & ~(uint32_t)LX_O_NONBLOCK;
		file_flags_set(f, on ? flags | LX_O_NONBLOCK : flags);
		return 0;
	default:
		return file_ioctl(f, request, c->a[2]);
	}
}

/* ---- pipe ---- */

/* Both ends have descriptors, or neither. */
static int64_t
pipe_install(struct file *const end[2], uint64_t user, bool cloexec)
{
	int fds[2], err;

	for (int i = 0; i < 2; i++) {
		fds[i] = fd_free(0);
		err = fds[i] < 0 ? fds[i] : fd_install(fds[i], end[i], cloexec);
		if (err < 0) {
			file_put(end[1]);
			if (i)
				fd_close(fds[0]);
			else
				file_put(end[0]);
			return err == -EINVAL ? -EMFILE : err;
		}
	}
	if (!copy_out(user, fds, sizeof(fds)))
		return 0;
	fd_close(fds[0]);
	fd_close(fds[1]);
	return -EFAULT;
}

static int64_t
pipe_make(uint64_t user, uint32_t flags)
{
	uint32_t status = flags & (LX_O_NONBLOCK | LX_O_DIRECT);
	struct svc s = {.op = SVC_PIPE, .c = status};
	struct svc_opened opened[2];
	struct file *end[2];
	int64_t err;

	if (flags & ~(uint32_t)(LX_O_CLOEXEC | LX_O_NONBLOCK | LX_O_DIRECT))
		return -EINVAL;
	err = svc_call(&s);
	if (err < 0)
		return err;
	memcpy(opened, (const void *)EXOS_MSG, sizeof(opened));
	err = file_create(&opened[0], LX_O_RDONLY | status, &end[0]);
	if (err) {
		s = (struct svc){.op = SVC_CLOSE, .a = opened[1].obj};
		svc_call(&s);
		return err;
	}
	err = file_create(&opened[1], LX_O_WRONLY | status, &end[1]);
	if (err) {
		file_put(end[0]);
		return err;
	}
	return pipe_install(end, user, (flags & LX_O_CLOEXEC) != 0);
}

int64_t
sys_pipe(struct call *c)
{
	return pipe_make(c->a[0], 0);
}

int64_t
sys_pipe2(struct call *c)
{
	return pipe_make(c->a[0], (uint32_t)c->a[1]);
}

/* ---- directories ---- */

static int64_t
getdents(struct call *c, bool old)
{
	struct file *f = fd_file((int)c->a[0]);

	return f ? file_getdents(f, c->a[1], (uint32_t)c->a[2], old) : -EBADF;
}

int64_t
sys_getdents(struct call *c)
{
	return getdents(c, true);
}

int64_t
sys_getdents64(struct call *c)
{
	return getdents(c, false);
}
