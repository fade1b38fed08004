/* SPDX-License-Identifier: MIT */
/*
 * Terminals: the service owns the line discipline; this is its client.
 *
 * Owns nothing.  Bytes go through EXOS_MSG, at most TTY_CHUNK a call.  The service notes the caller
 * as a waiter when it answers -EAGAIN, and wakes it when it is worth another try.
 */
#include "exos/fd/priv.h"

#include "exos/tty/tty.h"

#define TTY_CHUNK 4096u

static bool
nonblocking(const struct file *f)
{
	return (file_flags(f) & LX_O_NONBLOCK) != 0;
}

int64_t
tty_file_read(struct file *f, struct io *io)
{
	uint64_t n = io->left < TTY_CHUNK ? io->left : TTY_CHUNK;
	struct svc s;
	uint32_t seen;
	int64_t got;

	if (!n)
		return 0;
	for (;;) {
		seen = core_events();
		s = (struct svc){.op = SVC_TTY_READ,
				 .a = f->obj,
				 .b = n,
				 .c = nonblocking(f),
				 .d = tty_signals_ignored()};
		got = svc_call(&s);
		if (got != -EAGAIN)
			break;
		if (nonblocking(f))
			return -EAGAIN;
		got = wait_event(seen, s.a ? s.a : AEGIS_NEVER, false);
		if (got)
			return got;
	}
	if (got <= 0)
		return got;
	if ((uint64_t)got > n)
		return -EIO;
	n = io_put(io, msg(0), (size_t)got);
	return n ? (int64_t)n : -EFAULT;
}

/* Gives the service n bytes that are in EXOS_MSG; how many it took, or an error if none. */
static int64_t
chunk_write(struct file *f, size_t n)
{
	size_t done = 0;
	uint32_t seen;
	int64_t got;

	while (done < n) {
		seen = core_events();
		got = service(SVC_TTY_WRITE, f->obj, n - done, 0, tty_signals_ignored());
		if (got > 0 && (size_t)got <= n - done) {
			done += (size_t)got;
			memmove(msg(0), (uint8_t *)msg(0) + got, n - done);
			continue;
		}
		if (got > 0)
			got = -EIO;
		if (!got || got == -EAGAIN)
			got = nonblocking(f) ? -EAGAIN : wait_event(seen, AEGIS_NEVER, false);
		if (got)
			return done ? (int64_t)done : got;
	}
	return (int64_t)done;
}

int64_t
tty_file_write(struct file *f, struct io *io)
{
	size_t done = 0, n, k;
	int64_t got;

	while (io->left) {
		n = io->left < TTY_CHUNK ? io->left : TTY_CHUNK;
		k = io_get(io, msg(0), n);
		got = k ? chunk_write(f, k) : -EFAULT;
		if (got < 0)
			return done ? (int64_t)done : got;
		done += (size_t)got;
		if ((size_t)got < n)
			break;
	}
	return (int64_t)done;
}

int64_t
tty_file_ioctl(struct file *f, uint32_t request, uint64_t argument)
{
	size_t size = tty_ioctl_size(request);
	uint32_t seen;
	int64_t got;

	if (size > 256)
		return -EINVAL;
	do {
		seen = core_events();
		if (size && tty_ioctl_reads(request) && copy_in(msg(0), argument, size))
			return -EFAULT;
		got = service(SVC_TTY_IOCTL, f->obj, request, argument, tty_signals_ignored());
		if (got == -EAGAIN && wait_event(seen, AEGIS_NEVER, false))
			return -LX_ERESTARTSYS;
	} while (got == -EAGAIN);
	if (got >= 0 && size && tty_ioctl_writes(request) && copy_out(argument, msg(0), size))
		return -EFAULT;
	return got;
}
