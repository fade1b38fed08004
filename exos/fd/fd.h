/* SPDX-License-Identifier: MIT */
/*
 * Descriptors of a process: the table, and the open file descriptions behind it.
 *
 * A descriptor is an entry of struct fd_table; it names a struct file, which stands for one object
 * of the domain's service (an open file description).  Both are private memory: fork copies them
 * byte by byte, and what they point to in the arena is bound at the same addresses in the child.
 *
 * Context: process role, one environment at a time, asynchronous upcalls deferred.  Functions
 * return a value >= 0 or a negated error number; -LX_ERESTARTSYS when a signal ended a wait.
 *
 * What a fork needs, in this order: fd_fork() in the parent, fd_mappings() and the copies, nothing
 * in the child: file windows notice that the space is another one and start empty.
 */
#ifndef EXOS_FD_FD_H
#define EXOS_FD_FD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "exos/core/control_asm.h" /* FD_EMBEDDED: descriptors in the table itself */
#include "exos/fd/io.h"
#include "exos/fs/fs.h"
#include "exos/service/proto.h"

#define FD_MAX 1024u /* descriptors of a process */

struct file;
struct offset_page;
struct random_state;

/* Part of struct process.  All zeros, then fd_init. */
struct fd_table {
	uint64_t used[FD_MAX / 64];  /* bit n: descriptor n is open */
	uint64_t entry[FD_EMBEDDED]; /* address of the struct file; bit 0: close on exec */
	uint64_t *more;              /* entries FD_EMBEDDED and up, NULL until needed */
	uint32_t more_count;
	uint32_t limit; /* RLIMIT_NOFILE, at most FD_MAX */
	uint32_t umask;
	uint32_t scrap_pfn, scrap_space; /* page for accesses that came too late; space it is of */
	uint32_t window_pages;           /* of the arena reserved by windows */
	uint32_t locks;                  /* not 0: the process has made locks of its own */
	uint64_t size_limit;             /* RLIMIT_FSIZE in bytes, UINT64_MAX: none */
	struct file *files;              /* all, for the fault handler and fork */
	uint32_t file_count;
	struct offset_page *offsets;
	struct random_state *random;
	struct park_table *parks; /* files closed lately; NULL until needed */
	uint32_t lent;            /* not 0: a vfork child uses the parent's environment */
};

/* ---- what the process role provides ---- */

struct fd_table *fd_table(void);
/* Waits until the event count differs from seen, or the deadline (monotonic ns).  -LX_ERESTARTSYS
 * when a signal is due that is not blocked. */
int process_block(uint32_t seen, uint64_t deadline);
int signal_raise_self(int sig); /* due at the end of the present call */
/* The mask until the present call has ended and its signals were delivered. */
void signal_mask_for_call(uint64_t mask);

/* ---- the table ---- */

void fd_init(void);
int fd_first(const struct svc_first *first); /* fd_init, and descriptors 0 to 2 */
struct file *fd_file_more(int fd);           /* beyond FD_EMBEDDED */
static inline struct file *
fd_file(int fd) /* NULL: not open */
{
	if ((uint32_t)fd >= FD_EMBEDDED)
		return fd_file_more(fd);
	return (struct file *)(uintptr_t)(fd_table()->entry[fd] & ~1ul);
}
/* The lowest free descriptor from `min` on, not yet taken; -EMFILE, -EINVAL (min beyond limit). */
int fd_free(uint32_t min);
/* Gives a descriptor that is free a file, with the caller's reference.  fd, -ENOMEM, -EMFILE. */
int fd_install(int fd, struct file *f, bool cloexec);
/* Opens `fd` as another name for f (a reference is added), closing what it was.  fd or an error. */
int fd_replace(int fd, struct file *f, bool cloexec);
int fd_close(int fd);            /* 0, -EBADF */
int fd_cloexec(int fd, int set); /* set < 0: ask.  0 or 1, -EBADF */
void fd_exec(void); /* closes what is to be closed on exec; exit needs no call: the service
		       drops what an ended process held */

/* ---- files ---- */

/* Makes a file of an object that the service has opened; on failure the object is closed.
 * flags: what F_GETFL is to answer. */
int file_create(const struct svc_opened *opened, uint32_t flags, struct file **out);
struct file *file_get(struct file *f); /* one more reference; returns f */
void file_put(struct file *f);
uint32_t file_object(const struct file *f); /* number at the service */
uint32_t file_type(const struct file *f);   /* enum svc_type */
uint32_t file_flags(const struct file *f);  /* Linux open flags, present status flags */
void file_flags_set(struct file *f, uint32_t status);
bool file_readable(const struct file *f);
bool file_writable(const struct file *f);
/* Regular files: the shared page about them, else NULL.  Untrusted if anybody may write the file.
 */
const volatile struct svc_file_info *file_info(const struct file *f);

/* read(2) and write(2): one range of the program's memory, n <= LX_MAX_RW_COUNT. */
int64_t fd_read(int fd, uint64_t at, size_t n);
int64_t fd_write(int fd, uint64_t at, size_t n);
/* pos NULL: at the file's own position, which moves. */
int64_t file_read(struct file *f, struct io *io, const uint64_t *pos);
int64_t file_write(struct file *f, struct io *io, const uint64_t *pos);
int64_t file_seek(struct file *f, int64_t offset, int whence);
void file_locked(struct file *f);         /* the service is asked for a lock on it */
void file_touch(struct file *f);          /* a regular file was written just now */
bool file_seekable(const struct file *f); /* pread and pwrite make sense; else -ESPIPE */
int file_stat(struct file *f, struct fs_stat *out);
int64_t file_getdents(struct file *f, uint64_t user, size_t size, bool old);
int64_t file_ioctl(struct file *f, uint32_t request, uint64_t argument);
/* Bits of poll(2).  note: wake the caller (its event count) when they change; FILE_POLL_FULL: there
 * was no place for the note. */
#define FILE_POLL_FULL (1u << 31)
uint32_t file_poll(struct file *f, bool note);
void file_poll_done(struct file *f); /* takes back what a noting file_poll left */
/* The ring of a pipe between processes: header, data behind it, bytes of data.  -EINVAL: none. */
int file_ring(const struct file *f, void **shared, void **data, uint32_t *bytes);
int64_t file_pipe_size(const struct file *f);  /* -EBADF: no pipe */
uint32_t file_pipe_used(const struct file *f); /* bytes that lie in a pipe */

/* What was closed and is kept for the next open of its name is closed at the service, too (park.c). */
void park_flush(void);

/* ---- for exec and memory mappings ---- */

/* Opens a program: a regular file that may be executed.  path is the library's memory. */
int fd_open_for_exec(const char *path, size_t length, struct file **out);
int64_t fd_object_read(struct file *f, void *to, size_t n, uint64_t offset);
bool file_is_mappable(const struct file *f);
/* Frames of n <= FILE_FRAMES_MAX pages, held by this space afterwards; 0 = hole; `how`: SVC_MAP_*.
 * Returns how many were filled: 0 beyond the end.  May be called by the fault handler: EXOS_MSG is as before. */
#define FILE_FRAMES_MAX 64u
int file_frames(struct file *f, uint64_t first, uint32_t n, uint32_t how, uint32_t *pfns);

/* ---- fork, and page faults in the arena ---- */

struct fd_mapping {
	uint64_t va;
	uint32_t pages;
	uint32_t prot; /* AEGIS_BIND_* */
	const uint32_t *pfns;
};

/* Before memory is copied: positions that two processes are going to share move to shared pages. */
int fd_fork(void);
/* The table is in a process, or has pages for messages, that nobody was told of. */
void fd_tell(void);
/* vfork: the table is copied, each of its files has one reference more. */
int fd_lend(struct fd_table *saved);
/* The files of such a copy have that reference less. */
void fd_lend_end(struct fd_table *saved);
/* The table is what it was; files that only the borrower had are gone. */
void fd_lend_return(struct fd_table *saved);
/* What the child needs bound at the same addresses.  Returns how many there are, and fills at most
 * max of them. */
size_t fd_mappings(struct fd_mapping *out, size_t max);
/* The page of va is not bound (or not writable).  0: it is again; -EFAULT: not one of this layer's.
 */
int fd_window_fault(uint64_t va);

/* ---- random numbers (also for getrandom and AT_RANDOM) ---- */

void random_fill(void *to, size_t n);

#endif
