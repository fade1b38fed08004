/* SPDX-License-Identifier: MIT */
/*
 * The host command's parts, grouped by file.  One process, one thread; what fails before the
 * machine starts ends the command through die().
 */
#ifndef HOST_EXO_H
#define HOST_EXO_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "host/channel.h"

#define EXO_VERSION "0.1"

enum {
	EXO_TIMEOUT = 124, /* exit status: the time given with --timeout was over */
	EXO_FAILED = 125,  /* exit status: the command or the machine failed */
};

/* util.c: messages, memory, growing text. */

struct text {
	char *bytes; /* followed by a NUL once anything was added */
	size_t count, room;
};

struct list {
	char **items; /* ends with NULL once anything was added */
	size_t count, room;
};

/* "exo: MESSAGE" on standard error and exit status EXO_FAILED. */
void die(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));
/* "exo: MESSAGE" on standard error. */
void note(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* A string that the caller owns. */
char *format_text(const char *format, ...) __attribute__((format(printf, 1, 2)));
void *allocate(size_t size); /* zeroed; never NULL */
void *reallocate(void *old, size_t size);
char *duplicate(const char *string);
void text_add(struct text *text, const void *bytes, size_t count);
void text_drop(struct text *text, size_t count); /* the first bytes */
void text_print(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
void list_add(struct list *list, char *item); /* takes the pointer, not a copy */
int64_t clock_ms(void);                       /* monotonic */
int64_t clock_wall(void);                     /* ns since 1970 */

/* options.c: the command line. */

enum accel {
	ACCEL_TCG,
	ACCEL_KVM,
	ACCEL_AUTO,
};

struct options {
	const char *program; /* NULL only with another library OS */
	char **args;         /* args[0] is the program as typed; ends with NULL */
	const char *root, *libos, *log, *machine, *kernel;
	struct list files, env, with, kernel_options, guest_options, qemu_options;
	unsigned cpus;
	bool cpus_given, icount, gdb;
	uint64_t memory; /* bytes */
	enum accel accel;
	int64_t timeout_ms; /* 0: none */
};

void options_parse(struct options *options, char **args); /* those after "run" */
void options_help(void);
/* Splits a command as a shell would: blanks, quotes, backslash.  False: an open quote, or nothing.
 */
bool command_split(const char *command, struct list *words);

/* paths.c: where things are. */

char *path_artefact(const char *name); /* in build/, beside this command; dies if it is not there */
char *path_clean(const char *path);    /* absolute, without "", "." and ".." */
/* A program in the directories of a PATH value; NULL if there is none. */
char *path_search(const char *directories, const char *name);

/* tree.c: the guest's root directory, in memory. */

/* What a regular file holds; shared by all its names. */
struct content {
	char *source; /* path of the host's file, or NULL: the bytes are here */
	char *bytes;
	uint64_t size;
	uint32_t names, ino;
	unsigned written; /* image.c: the pass that wrote the data */
};

struct node {
	struct node *parent, *next, *children, *last_child, *hash_next;
	char *name;
	uint32_t mode, mtime;
	struct content *content; /* of a regular file; of a symbolic link, its target */
};

struct tree {
	struct node *root;
	struct node **buckets;
	size_t bucket_count, node_count;
	void *links; /* tsearch tree of struct link: host files with several names */
	unsigned skipped_special, skipped_unreadable;
};

struct tree *tree_new(void);
void tree_skeleton(struct tree *tree);
void tree_add_root(struct tree *tree, const char *directory);
/* A file or a folder of the host, at an absolute path of the guest. */
void tree_add_host(struct tree *tree, const char *source, const char *path);
/* The node at an absolute path, through symbolic links; NULL if there is none. */
struct node *tree_find(struct tree *tree, const char *path);
/* The node after this one in the archive's order, parents first; NULL after the last. */
struct node *tree_next(const struct node *node);
/* The path of a node without the leading slash; the root's is "". */
void tree_path(const struct node *node, struct text *path);
/* Says what was left out. */
void tree_report(const struct tree *tree);

/* elf.c: what kind of file a program is. */

enum program_kind {
	PROGRAM_STATIC,
	PROGRAM_DYNAMIC, /* `interpreter` is its loader */
	PROGRAM_SCRIPT, /* `interpreter` is what follows #!, `argument` the rest of the line or NULL
			 */
};

struct program_file {
	enum program_kind kind;
	bool fixed; /* loaded where the file says */
	char *interpreter, *argument;
};

/* Reads the file.  NULL if it can be started, else what is wrong with it, to follow the file's
 * name. */
const char *program_inspect(const char *file, struct program_file *program);

/* program.c: programs and what they need, into the tree. */

#define GUEST_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

struct domain {
	char *name, *path;
	struct list args;
	const char *symbols; /* host's file for a debugger, if it is loaded where the file says;
				else NULL */
};

void domain_resolve(struct tree *tree, struct domain *domain, const char *name);

/* stdio.c: what the standard descriptors are. */

enum stdio_kind {
	STDIO_TTY,
	STDIO_PIPE,
	STDIO_FILE,
	STDIO_NULL,
	STDIO_CLOSED,
};

struct stdio {
	enum stdio_kind kind[3];
	bool same;           /* output and error */
	bool terminal;       /* any is one */
	bool raw_in;         /* the guest does input processing */
	bool raw_out;        /* the guest does output processing */
	unsigned out_stream; /* of the terminal's output */
	int terminal_fd;     /* to ask for the size, and for stream 3; -1: none */
};

void stdio_inspect(struct stdio *stdio); /* before anything is opened */
void stdio_winsize(const struct stdio *stdio, uint16_t size[4]);

/* manifest.c */

void manifest_write(struct text *text, const struct options *options, const struct stdio *stdio,
		    const struct domain *domains, size_t count, bool kvm);

/* image.c: the boot archive. */

/* Writes boot/LIBOS, boot/manifest and the tree; the descriptor of an unnamed file. */
int image_write(const struct options *options, struct tree *tree, const char *image,
		const struct text *manifest);

/* qemu.c: the machine. */

enum machine_end {
	MACHINE_OFF,    /* powered off, cleanly */
	MACHINE_PANIC,  /* the kernel's panic */
	MACHINE_LIBOS,  /* the boot library OS ended */
	MACHINE_FAILED, /* anything else */
};

struct qemu {
	pid_t pid;       /* 0: not running */
	int channel;     /* both directions, does not block */
	int channel_far; /* the machine's end, until qemu_unblock(); else -1 */
	int log, errors; /* the kernel's log and the emulator's messages, to be read */
	int status;      /* of waitpid, once it ended */
};

void qemu_start(struct qemu *qemu, const struct options *options, int archive, bool kvm,
		unsigned gdb_port);
void qemu_unblock(struct qemu *qemu);
bool qemu_reap(struct qemu *qemu); /* whether it has ended */
void qemu_kill(struct qemu *qemu);
enum machine_end qemu_end(const struct qemu *qemu, char *words, size_t room);
const char *qemu_program(void); /* dies if it is not installed */

/* probe.c */

bool probe_kvm(const struct options *options); /* whether a machine under KVM boots this kernel */

/* gdb.c */

unsigned gdb_port(void);
void gdb_message(const struct options *options, const struct domain *domains, size_t count,
		 const char *libos_file, unsigned port);

/* terminal.c: the terminal's settings, given back on every way out. */

/* Also after a stop.  With `keys`, the keys that send signals are the guest's too. */
void terminal_raw(const struct stdio *stdio, bool keys);
void terminal_restore(void); /* safe in a handler */

/* signals.c: which signals came, and a descriptor that wakes poll(). */

int signals_open(void);
unsigned signals_take(int number); /* how many came since the last call */
void signals_drain(int fd);
void signals_default(void); /* in a child before exec */

/* lines.c: the last lines of a log. */

struct lines {
	struct text partial;
	char *ring[64];
	size_t count; /* that ever came */
};

void lines_add(struct lines *lines, const char *bytes, size_t count);
struct names;
/* The last ones, but from the last that contains `from` on; behind addresses their names, if any. */
void lines_show(const struct lines *lines, size_t last, const char *from,
		const struct names *names);

/* names.c: names of a kernel's functions. */

struct names {
	const unsigned char *bytes;
	size_t size;
};

bool names_open(struct names *names, const char *path); /* false: there are none */
/* To `out` the names of all addresses in a line. */
void names_add(const struct names *names, const char *line, struct text *out);

/* stream.c: the guest's output on its way to the host's descriptors. */

struct sink {
	int fd;      /* -1: bytes are dropped */
	size_t unit; /* most bytes of one write, so that it does not block after poll() */
	int error;   /* why it was closed, 0: it is open */
	int current; /* index of the stream it writes, so that lines stay whole */
};

struct stream {
	struct sink *sink;  /* NULL: the guest may not send here */
	const char *prefix; /* of every line; NULL: bytes as they come */
	struct text queue;  /* to be written */
	struct text line;   /* prefixed streams: the last line, not complete */
	uint32_t credit;    /* that the guest has */
	uint32_t owed;      /* to be granted */
	uint32_t held;      /* prefixed streams: becomes owed when the queue is empty */
	uint32_t window;    /* credit, owed, held and queued bytes together */
	bool ended, closed;
};

void sink_open(struct sink *sink, int fd);
void stream_open(struct stream *stream, struct sink *sink, const char *prefix, uint32_t credit);
bool stream_take(struct stream *stream, const struct channel_event *event); /* false: too much */
void stream_flush(struct stream *stream); /* an incomplete line, at the end */
bool sink_pending(const struct sink *sink, const struct stream *streams, size_t count);
void sink_write(struct sink *sink, struct stream *streams, size_t count);

/* run.c: a machine from start to end. */

/* The exit status of the command. */
int run_machine(struct qemu *qemu, const struct options *options, const struct stdio *stdio,
		const struct domain *domains, size_t count, int log_fd);

#endif
