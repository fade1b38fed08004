/* SPDX-License-Identifier: MIT */
/*
 * What the descriptor layer stands on, made of a Linux process: frames are pages of a memory file,
 * bindings are shared mappings of it at the library's own addresses, a guest's process is a host's
 * process, and the service is a set of functions on memory that all of them share (fd_service.c).
 *
 * A binding that is missing faults, and the fault is offered to fd_window_fault, as on the real
 * thing. fake_drop_all() takes every binding of this process away, which the kernel may do at any
 * time.
 */
#ifndef TEST_HOST_FD_FAKE_H
#define TEST_HOST_FD_FAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "exos/core/core.h"
#include "exos/fd/fd.h"
#include "exos/ipc/ring.h"
#include "exos/linux/abi.h"
#include "exos/linux/call.h"
#include "exos/linux/calls.h"

#define FAKE_FRAMES  16384u
#define FAKE_ENVS    64u
#define FAKE_INODES  64u
#define FAKE_PAGES   4096u /* of one file */
#define FAKE_OBJECTS 2048u

struct fake_inode {
	char name[32];
	uint32_t mode, opens, info_frame;
	uint64_t size;
	uint32_t pages[FAKE_PAGES];
};

struct fake_pipe {
	uint32_t frames[17], pages, readers, writers;
	bool used, host;
};

struct fake_object {
	uint32_t refs, type, flags;
	struct fake_inode *inode;
	struct fake_pipe *pipe;
	uint64_t cookie;
};

/* Shared by all processes of a test. */
struct fake_world {
	uint32_t lock;
	uint32_t next_env;
	uint32_t next_frame;
	uint32_t env_frame[FAKE_ENVS];
	bool env_dead[FAKE_ENVS];
	uint64_t calls[SVC_OPS];
	uint32_t kicks;
	bool host_pipes; /* new pipes are as if the other end were the host */
	struct svc last; /* as the service got it */
	struct fake_inode inodes[FAKE_INODES];
	struct fake_pipe pipes[64];
	struct fake_object objects[FAKE_OBJECTS];
};

extern struct fake_world *world;
extern uint8_t *fake_ram;
extern uint64_t fake_held[FAKE_OBJECTS / 64]; /* objects of this process */
extern int fake_signal;                       /* pending, or 0 */
extern uint64_t fake_mask;                    /* of signal_mask_for_call */
extern long fake_fail_at;                     /* this many allocations from now fails; 0: none */
extern long fake_blocks;                      /* core_alloc minus core_free */
extern void (*fake_copy_hook)(void);          /* called once before the next copy */

void fake_boot(void);
int fake_fork(void); /* as fork(2), with all that a guest's fork does */
_Noreturn void fake_exit(int status);
#define FAKE_ARENA 32768u
void fake_arena_left(uint32_t pages); /* so many more may be reserved */
void fake_drop_all(void);             /* every binding of the arena */
uint64_t fake_service_calls(void);
uint32_t fake_objects(void); /* in use */
uint32_t fake_frame_alloc(void);
void fake_lock(uint32_t *word);
void fake_unlock(uint32_t *word);
void fake_unbind_frame(uint32_t pfn); /* in this process */

/* exos/fd/machine.c */
bool env_gone(uint32_t env);
bool random_hardware(uint64_t *out);
uint64_t tty_signals_ignored(void);

struct fake_inode *fake_file(const char *name); /* made if missing */
static inline void *
fake_frame(uint32_t pfn)
{
	return fake_ram + (size_t)pfn * 4096;
}

/* TAP */
void check(bool good, const char *name);
int check_done(void);

/* A call with up to six arguments. */
/* As the entry of calls does it: read and write ask the file's leaf first. */
int64_t fake_call(int64_t (*handler)(struct call *), struct call *c);
#define SYS(name, ...) \
	fake_call(sys_##name, &(struct call){.a = {__VA_ARGS__}, .number = (uint64_t)LX_NR_##name})
#define P(pointer) ((uint64_t)(uintptr_t)(pointer))

#endif
