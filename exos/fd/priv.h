/* SPDX-License-Identifier: MIT */
/*
 * Inside the descriptor layer.
 *
 * struct file is one open file description as this process knows it.  Invariants:
 * 1. refs counts descriptors and memory mappings; at 0 the service is told, and all it had in the
 *    arena is gone.
 * 2. Every file is on the list fd_table()->files.
 * 3. Position and status flags are in the struct while shared == NULL; afterwards in *shared, which
 *    other processes may change at any time: a position is checked at each use, and of the flags
 * only STATUS_SHARED bits are believed.
 * 4. Type, access mode and everything else that decides what is allowed is private.
 *
 * Kinds are served by one function for each operation that switches over the type (ops.c).
 */
#ifndef EXOS_FD_PRIV_H
#define EXOS_FD_PRIV_H

#include "exos/core/core.h"
#include "exos/fd/fd.h"
#include "exos/ipc/ring.h"
#include "exos/linux/abi.h"

/* Status flags that fcntl may change and that all who share the description see. */
#define STATUS_SHARED (LX_O_APPEND | LX_O_NONBLOCK | LX_O_DIRECT | LX_O_NOATIME | LX_O_ASYNC)

#define RING_FRAMES   17u
#define INFO_BINDINGS 12u /* of a file's shared page, to read and to write each */

/* The part of a description that processes share after fork. */
struct file_shared {
	uint64_t position;
	uint32_t flags;
	uint32_t reserved;
};

#define OFFSET_SLOTS ((uint32_t)(AEGIS_PAGE / sizeof(struct file_shared)))

/* A frame of struct file_shared, made by one fork. */
struct offset_page {
	struct offset_page *next;
	struct file_shared *slots; /* in the arena */
	uint32_t pfn;
	uint32_t refs; /* files of this process that use it */
};

/* Pages of a file bound in the arena; see window.c. */
struct window {
	uint64_t va;
	uint64_t first;     /* page of the file at va */
	uint64_t read_next; /* page behind the latest batch, per direction */
	uint64_t write_next;
	uint32_t pages; /* reserved: a power of two */
	uint32_t read_batch, write_batch;
	uint32_t layout; /* info->layout that the bindings agree with */
	uint32_t space;  /* in which they are */
	bool stale;      /* a page was gone while it was used */
	uint64_t bits[]; /* readable, then writable: pages / 64 words each, at least one */
};

/* Bytes of a file that its window shows in one piece; see leaf.c. */
struct run {
	uint64_t first, bytes;
	uint8_t *at; /* of byte `first` */
	uint32_t layout, space;
};

/* A read or write, or LEAF_NOT. */
struct file;
typedef int64_t leaf_function(uint64_t fd, uint64_t at, uint64_t n, struct file *f);

struct file {
	uint64_t leaf[2]; /* read, write; known to assembly */
	leaf_function *function[2];
	struct file *next, *prev;
	uint32_t refs;
	uint32_t obj;
	uint32_t type;  /* enum svc_type */
	uint32_t flags; /* Linux open flags */
	uint64_t position;
	struct file_shared *shared;
	uint64_t ino;
	uint32_t park; /* its slot + 1, 0: none (park.c) */
	bool locked;   /* the service was asked for locks on it */
	union {
		struct {
			struct svc_file_info *info;
			struct window *window;
			struct run run[2]; /* for reading, for writing */
			uint32_t info_pfn;
			bool info_borrowed; /* the mapping is another file's, */
			bool info_lent;     /* of which this may be the one */
		};
		struct {
			struct ring ring;
			uint32_t host;  /* the other end is the host */
			uint32_t pages; /* of data; the header is one more */
			uint32_t frames[RING_FRAMES];
		};
	};
};

static inline bool
file_is_pipe(const struct file *f)
{
	return f->type == SVC_T_PIPE_READ || f->type == SVC_T_PIPE_WRITE;
}

static inline struct file *
entry_file(uint64_t entry)
{
	return (struct file *)(uintptr_t)(entry & ~1ul); /* NOLINT: made by fd_install */
}

static inline uint64_t *
file_position(struct file *f)
{
	return f->shared ? &f->shared->position : &f->position;
}

static inline void *
msg(size_t offset)
{
	return (void *)(uintptr_t)(EXOS_MSG + offset); /* NOLINT: a fixed address */
}

static inline void *
arena_at(uint64_t va)
{
	return (void *)(uintptr_t)va; /* NOLINT: an address of the arena */
}

int64_t service(enum svc_op op, uint64_t a, uint64_t b, uint64_t c, uint64_t d);

/* object.c */
void offset_page_put(struct file *f);
void file_list(struct file *f);
void file_unlist(struct file *f);
void file_free(struct file *f); /* what it has in this process; it is on no list */

/* park.c */
bool park_close(struct file *f); /* false: it must be closed at the service */

/* leaf.c */
void leaf_choose(struct file *f);
void run_note(struct file *f, bool write, uint64_t first, uint64_t bytes, uint8_t *at);
void run_forget(struct file *f);
extern const char core_leaf_slow[], core_leaf_call[], core_leaf_sink[], core_leaf_end[],
	core_leaf_pipe_read[], core_leaf_pipe_write[]; /* upcall.S */

/* window.c */
/* The bytes at pos: how many of n are at *at, contiguous.  *at NULL (reading only): a hole. */
int64_t window_at(struct file *f, uint64_t pos, size_t n, bool write, uint8_t **at);
void window_drop(struct file *f);
int window_fault(struct file *f, uint64_t va);

/* file.c */
int64_t regular_read(struct file *f, struct io *io, const uint64_t *pos);
int64_t regular_write(struct file *f, struct io *io, const uint64_t *pos);
void time_touch(struct file *f);
int64_t regular_seek(struct file *f, int64_t offset, int whence);
void regular_stat(struct file *f, struct fs_stat *out);

/* wait.c */
/* hand: if somebody is to be woken soon, it gets the processor, and this is a look at most. */
int wait_event(uint32_t seen, uint64_t deadline, bool hand);
void ring_lock_wait(uint32_t *word);
bool waiter_note(uint32_t slots[RING_WAITERS]);
void waiter_clear_all(uint32_t slots[RING_WAITERS]);
void waiters_wake_all(uint32_t slots[RING_WAITERS]);

static inline void
ring_lock(uint32_t *word)
{
	uint32_t none = 0;

	if (!__atomic_compare_exchange_n(word, &none, control()->env, false, __ATOMIC_ACQUIRE,
					 __ATOMIC_RELAXED))
		ring_lock_wait(word);
}

/* With the barrier that waiters_wake needs behind it. */
static inline void
ring_unlock(uint32_t *word)
{
	__atomic_exchange_n(word, 0, __ATOMIC_SEQ_CST);
}

/* waiter_note and waiter_clear where nobody else waits: the first slot, or NULL. */
static inline uint32_t *
waiter_note_first(uint32_t slots[RING_WAITERS])
{
	uint32_t empty = 0;

	return __atomic_compare_exchange_n(&slots[0], &empty, control()->waiter, false,
					   __ATOMIC_SEQ_CST, __ATOMIC_RELAXED)
		       ? &slots[0]
		       : NULL;
}

static inline void
waiter_clear_first(uint32_t *slot)
{
	uint32_t me = control()->waiter;

	if (__atomic_load_n(slot, __ATOMIC_RELAXED) == me)
		__atomic_compare_exchange_n(slot, &me, 0, false, __ATOMIC_RELAXED,
					    __ATOMIC_RELAXED);
}

static inline void
waiter_clear(uint32_t slots[RING_WAITERS])
{
	if (ring_waiting(slots))
		waiter_clear_all(slots);
}

/* One waiter, in the first slot and on this processor, is the common case: it is woken soon. */
static inline void
waiters_wake(uint32_t slots[RING_WAITERS])
{
	uint64_t first = ring_first(slots);
	uint32_t env = ring_waiter_env((uint32_t)first);
	struct control *c = control();

	if (!first)
		return;
	if (first >> 32 || c->soon || ring_waiter_cpu((uint32_t)first) != ENVPAGE->cpu || !env ||
	    env >= AEGIS_ENVS)
		waiters_wake_all(slots);
	else
		c->soon = env;
}

/* copy_out and copy_in for the short ways: whatever is not the program's own is for the long ones to refuse. */
static inline bool
leaf_range(uint64_t at, uint64_t n)
{
	return n <= LX_MAX_RW_COUNT && at < EXOS_USER_TOP - n;
}

static inline bool
leaf_put(uint64_t at, const void *from, uint64_t n)
{
	return leaf_range(at, n) && !core_copy(arena_at(at), from, n);
}

static inline bool
leaf_get(void *to, uint64_t at, uint64_t n)
{
	return leaf_range(at, n) && !core_copy(to, arena_at(at), n);
}

/* io_put and io_get when all is in one range of the program, as it mostly is. */
static inline size_t
io_put_run(struct io *io, const void *from, size_t n)
{
	if (io->library || n > io->run || copy_out(io->at, from, n))
		return io_put(io, from, n);
	io->at += n;
	io->run -= n;
	io->left -= n;
	return n;
}

static inline size_t
io_get_run(struct io *io, void *to, size_t n)
{
	if (io->library || n > io->run || copy_in(to, io->at, n))
		return io_get(io, to, n);
	io->at += n;
	io->run -= n;
	io->left -= n;
	return n;
}
#define WAIT_SHORT_NS 10000000ull /* between looks when no slot was free */

/* machine.c */
bool env_gone(uint32_t env);
bool random_hardware(uint64_t *out);
/* Bit 0: SIGTTIN is ignored or blocked; bit 1: SIGTTOU. */
uint64_t tty_signals_ignored(void);

/* pipe.c */
/* What is simple about most transfers (leaf.c); the general ones below do the rest. */
leaf_function pipe_read_leaf, pipe_write_leaf;
int64_t pipe_read(struct file *f, struct io *io);
int64_t pipe_write(struct file *f, struct io *io);
uint32_t pipe_poll(struct file *f, bool note);
void pipe_poll_done(struct file *f);

/* tty.c */
int64_t tty_file_read(struct file *f, struct io *io);
int64_t tty_file_write(struct file *f, struct io *io);
int64_t tty_file_ioctl(struct file *f, uint32_t request, uint64_t argument);

/* dev.c */
int64_t device_read(struct file *f, struct io *io);
int64_t device_write(struct file *f, struct io *io);

/* synth.c */
int64_t synth_read(struct file *f, struct io *io, const uint64_t *pos);
int64_t synth_write(struct file *f, struct io *io, const uint64_t *pos);
int64_t synth_seek(struct file *f, int64_t offset, int whence);

/* dir.c */
int64_t dir_seek(struct file *f, int64_t offset, int whence);

#endif
