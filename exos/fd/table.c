/* SPDX-License-Identifier: MIT */
/*
 * The descriptor table of a process.
 *
 * Owns struct fd_table's used, entry and more.  An entry is the address of a struct file with bit 0
 * saying close-on-exec.
 *
 * 1. Bit n of used is set exactly if entry n is not zero; entries past the array that exists are
 * free.
 * 2. Each entry holds one reference of its file.
 * 3. Behind the messages stands, for /proc, what the first SVC_FDS entries are (fd_tell).
 *
 * The table grows in steps that double, so that what fork copies stays small for those who have few
 * descriptors open.
 */
#include "exos/fd/priv.h"

#define UMASK_DEFAULT 022u

void
fd_init(void)
{
	struct fd_table *t = fd_table();

	memset(t, 0, sizeof(*t));
	t->limit = FD_MAX;
	t->umask = UMASK_DEFAULT;
	t->size_limit = UINT64_MAX;
}

static uint64_t *
entry_at(struct fd_table *t, uint32_t fd)
{
	if (fd < FD_EMBEDDED)
		return &t->entry[fd];
	if (fd - FD_EMBEDDED < t->more_count)
		return &t->more[fd - FD_EMBEDDED];
	return NULL;
}

struct file *
fd_file_more(int fd)
{
	uint64_t *e = entry_at(fd_table(), (uint32_t)fd);

	return e ? entry_file(*e) : NULL;
}

int
fd_free(uint32_t min)
{
	struct fd_table *t = fd_table();
	uint64_t word;
	uint32_t fd;

	if (min >= t->limit)
		return -EINVAL;
	word = ~t->used[min / 64] & (UINT64_MAX << (min % 64));
	for (uint32_t i = min / 64;;) {
		if (word) {
			fd = i * 64 + (uint32_t)__builtin_ctzll(word);
			return fd < t->limit ? (int)fd : -EMFILE;
		}
		if (++i == FD_MAX / 64)
			return -EMFILE;
		word = ~t->used[i];
	}
}

/* Tells what descriptor n is now. */
static void
entry_tell(const struct fd_table *t, uint32_t n, const struct file *f)
{
	struct svc_tail *tail = SVC_TAIL(EXOS_MSG);

	if (n >= SVC_FDS)
		return;
	if (f)
		tail->object[n] = f->obj;
	tail->open[n / 64] = t->used[n / 64];
}

void
fd_tell(void)
{
	struct fd_table *t = fd_table();

	for (uint32_t i = 0; i < SVC_FDS / 64; i++) {
		entry_tell(t, i * 64, NULL);
		for (uint64_t word = t->used[i]; word; word &= word - 1) {
			uint32_t fd = i * 64 + (uint32_t)__builtin_ctzll(word);

			entry_tell(t, fd, entry_file(*entry_at(t, fd)));
		}
	}
}

/* Makes sure that there is an entry for fd. */
static int
table_grow(struct fd_table *t, uint32_t fd)
{
	uint32_t count = t->more_count ? t->more_count : FD_EMBEDDED;
	uint64_t *more;

	if (entry_at(t, fd))
		return 0;
	while (count <= fd - FD_EMBEDDED)
		count *= 2;
	if (count > FD_MAX - FD_EMBEDDED)
		count = FD_MAX - FD_EMBEDDED;
	more = core_alloc(count * sizeof(*more));
	if (!more)
		return -ENOMEM;
	memset(more, 0, count * sizeof(*more));
	if (t->more) {
		memcpy(more, t->more, t->more_count * sizeof(*more));
		core_free(t->more, t->more_count * sizeof(*more));
	}
	t->more = more;
	t->more_count = count;
	return 0;
}

int
fd_install(int fd, struct file *f, bool cloexec)
{
	struct fd_table *t = fd_table();
	uint32_t n = (uint32_t)fd;
	int err;

	if (n >= FD_MAX)
		return -EMFILE;
	err = table_grow(t, n);
	if (err)
		return err;
	*entry_at(t, n) = (uint64_t)(uintptr_t)f | cloexec;
	t->used[n / 64] |= 1ul << (n % 64);
	entry_tell(t, n, f);
	return fd;
}

int
fd_close(int fd)
{
	struct fd_table *t = fd_table();
	uint32_t n = (uint32_t)fd;
	uint64_t *e = entry_at(t, n);
	struct file *f;

	if (!e || !*e)
		return -EBADF;
	f = entry_file(*e);
	*e = 0;
	t->used[n / 64] &= ~(1ul << (n % 64));
	entry_tell(t, n, NULL);
	/* A process's own locks on a file end with any descriptor of it. */
	if (t->locks)
		service(SVC_LOCK, f->obj, SVC_LOCK_PROCESS | SVC_LOCK_UNLOCK, 0, INT64_MAX);
	file_put(f);
	return 0;
}

int
fd_replace(int fd, struct file *f, bool cloexec)
{
	int err;

	if ((uint32_t)fd >= fd_table()->limit)
		return -EBADF;
	err = table_grow(fd_table(), (uint32_t)fd);
	if (err)
		return err;
	file_get(f);
	fd_close(fd);
	return fd_install(fd, f, cloexec);
}

int
fd_cloexec(int fd, int set)
{
	uint64_t *e = entry_at(fd_table(), (uint32_t)fd);

	if (!e || !*e)
		return -EBADF;
	if (set >= 0)
		*e = (*e & ~1ul) | (set != 0);
	return (int)(*e & 1);
}

void
fd_exec(void)
{
	struct fd_table *t = fd_table();

	park_flush();
	for (uint32_t i = 0; i < FD_MAX / 64; i++)
		for (uint64_t word = t->used[i]; word; word &= word - 1) {
			uint32_t fd = i * 64 + (uint32_t)__builtin_ctzll(word);

			if (*entry_at(t, fd) & 1)
				fd_close((int)fd);
		}
}

static void
table_put(struct fd_table *t)
{
	for (uint32_t i = 0; i < FD_MAX / 64; i++) {
		for (uint64_t word = t->used[i]; word; word &= word - 1) {
			uint32_t fd = i * 64 + (uint32_t)__builtin_ctzll(word);

			file_put(entry_file(*entry_at(t, fd)));
		}
	}
	core_free(t->more, t->more_count * sizeof(*t->more));
}

int
fd_lend(struct fd_table *saved)
{
	struct fd_table *t = fd_table();

	park_flush();
	*saved = *t;
	if (t->more) {
		saved->more = core_alloc(t->more_count * sizeof(*t->more));
		if (!saved->more)
			return -ENOMEM;
		memcpy(saved->more, t->more, t->more_count * sizeof(*t->more));
	}
	for (uint32_t i = 0; i < FD_MAX / 64; i++) {
		for (uint64_t word = t->used[i]; word; word &= word - 1) {
			uint32_t fd = i * 64 + (uint32_t)__builtin_ctzll(word);

			file_get(entry_file(*entry_at(t, fd)));
		}
	}
	t->lent++;
	return 0;
}

void
fd_lend_end(struct fd_table *saved)
{
	fd_table()->lent--;
	table_put(saved);
}

void
fd_lend_return(struct fd_table *saved)
{
	struct fd_table *t = fd_table();

	table_put(t);
	memcpy(t->used, saved->used, sizeof(t->used));
	memcpy(t->entry, saved->entry, sizeof(t->entry));
	t->more = saved->more;
	t->more_count = saved->more_count;
	t->limit = saved->limit;
	t->umask = saved->umask;
	t->size_limit = saved->size_limit;
	t->lent = saved->lent;
	fd_tell();
}

int
fd_first(const struct svc_first *first)
{
	const uint8_t *base = (const uint8_t *)first;
	struct svc_opened opened;
	struct file *f;
	int err;

	fd_init();
	for (int fd = 0; fd < 3; fd++) {
		if (first->fds[fd] == UINT32_MAX)
			continue;
		f = NULL;
		for (int other = 0; other < fd && !f; other++)
			if (first->fds[other] == first->fds[fd])
				f = fd_file(other);
		if (f) {
			file_get(f);
		} else {
			memcpy(&opened, base + first->opened[fd], sizeof(opened));
			opened.obj = first->fds[fd];
			err = file_create(&opened, opened.flags, &f);
			if (err)
				return err;
		}
		err = fd_install(fd, f, false);
		if (err < 0)
			return err;
	}
	return 0;
}
