/* SPDX-License-Identifier: MIT */
/*
 * The machine: QEMU as a child, its command line, and what its end means.
 *
 *  1. The child dies with this command, however that ends (parent death signal).
 *  2. It is in a session of its own: keys and signals of the terminal do not reach it.
 *  3. Its standard output is the kernel's log (first serial port), its standard error its own
 *     messages; both come through pipes. The channel is one end of a socket pair.
 *  4. QEMU's virtio console drops what its character device does not take at once. Therefore
 *     its end of the pair is made to block as soon as the guest has said HELLO (qemu_unblock
 *     drops the limit); what the guest may send before that, its first credit, fits the pair's
 *     buffer.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "exo.h"

#define PAIR_BUFFER    (1 << 20)
#define COMMAND_LINE   2047u /* of the kernel */
#define STATUS_OFF     ((0x10 << 1) | 1)
#define STATUS_PANIC   ((0x20 << 1) | 1)
#define STATUS_LIBOS   ((0x30 << 1) | 1)
#define STATUS_NOT_RUN 127

const char *
qemu_program(void)
{
	const char *given = getenv("EXO_QEMU");
	char *found;

	if (given && *given) {
		if (access(given, X_OK) != 0)
			die("EXO_QEMU=%s: %s", given, strerror(errno));
		return given;
	}
	found = path_search(getenv("PATH"), "qemu-system-x86_64");
	if (!found)
		die("qemu-system-x86_64 is not installed (Debian: package qemu-system-x86)");
	return found;
}

/*
 * The kernel's command line: where it writes the status with which QEMU ends, where in PCI the channel is,
 * what time it is, and what developers add; of microvm, where neither ports nor firmware are, at which addresses QEMU has PCI's
 * configuration space and a window for registers.
 */
static char *
kernel_line(const struct options *options)
{
	struct text line = {0};

	text_print(&line, "exit=0x501 chan=0x80 wall=%lld", (long long)clock_wall());
	if (strcmp(options->machine, "microvm") == 0)
		text_print(&line, " ecam=0xe0000000 window=0xc0000000");
	for (size_t i = 0; i < options->kernel_options.count; i++)
		text_print(&line, " %s", options->kernel_options.items[i]);
	if (line.count > COMMAND_LINE)
		die("the kernel's command line is too long (%zu bytes, at most %u)", line.count,
		    COMMAND_LINE);
	return line.bytes;
}

static void
arguments_add(struct list *arguments, const char *const *words)
{
	for (; *words; words++)
		list_add(arguments, duplicate(*words));
}

static void
arguments_machine(struct list *arguments, const struct options *options, bool kvm)
{
	bool microvm = strcmp(options->machine, "microvm") == 0;
	bool several = options->cpus > 1 && !options->icount;
	const char *const words[] = {
		"-M",          microvm ? "microvm,pcie=on,acpi=on,isa-serial=on" : options->machine,
		"-accel",      kvm ? "kvm" : several ? "tcg,thread=multi" : "tcg,thread=single",
		"-cpu",        "max",
		"-nodefaults", "-no-user-config",
		"-display",    "none",
		"-no-reboot",  NULL,
	};

	arguments_add(arguments, words);
	list_add(arguments, duplicate("-smp"));
	list_add(arguments, format_text("%u", options->cpus));
	list_add(arguments, duplicate("-m"));
	list_add(arguments, format_text("%lluM", (unsigned long long)options->memory >> 20));
	if (options->icount)
		arguments_add(arguments, (const char *const[]){"-icount", "shift=0,sleep=off",
							       "-rtc", "clock=vm", NULL});
}

static void
arguments_boot(struct list *arguments, const struct options *options, int archive)
{
	const char *kernel = options->kernel;

	list_add(arguments, duplicate("-kernel"));
	list_add(arguments, kernel ? duplicate(kernel) : path_artefact("aegis.elf"));
	list_add(arguments, duplicate("-append"));
	list_add(arguments, kernel_line(options));
	if (archive >= 0) {
		list_add(arguments, duplicate("-initrd"));
		list_add(arguments, format_text("/proc/self/fd/%d", archive));
	}
}

static void
arguments_devices(struct list *arguments, const struct options *options, int channel,
		  unsigned gdb_port)
{
	const char *const words[] = {
		"-chardev", "stdio,id=log,signal=off",
		"-serial",  "chardev:log",
		"-device",  "virtio-serial-pci,max_ports=1,addr=0x10",
		"-device",  "virtconsole,chardev=channel",
		"-device",  "isa-debug-exit,iobase=0x501,iosize=2",
		NULL,
	};

	list_add(arguments, duplicate("-chardev"));
	list_add(arguments, format_text("socket,id=channel,fd=%d", channel));
	arguments_add(arguments, words);
	if (gdb_port > 0) {
		list_add(arguments, duplicate("-S"));
		list_add(arguments, duplicate("-gdb"));
		list_add(arguments, format_text("tcp:127.0.0.1:%u", gdb_port));
	}
	for (size_t i = 0; i < options->qemu_options.count; i++)
		list_add(arguments, options->qemu_options.items[i]);
}

/* The child: from here to exec only what is safe there. */
static _Noreturn void
child_start(char **arguments, pid_t parent, int log, int errors, const int *kept)
{
	int null = open("/dev/null", O_RDONLY);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(STATUS_NOT_RUN);
	setsid();
	signals_default();
	for (unsigned i = 0; i < 2; i++)
		if (kept[i] >= 0)
			fcntl(kept[i], F_SETFD, 0);
	if (dup2(null, 0) != 0 || dup2(log, 1) != 1 || dup2(errors, 2) != 2)
		_exit(STATUS_NOT_RUN);
	execv(arguments[0], arguments);
	dprintf(2, "cannot start %s: %s\n", arguments[0], strerror(errno));
	_exit(STATUS_NOT_RUN);
}

static void
set_blocking(int fd, bool blocking)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags >= 0)
		fcntl(fd, F_SETFL, blocking ? flags & ~O_NONBLOCK : flags | O_NONBLOCK);
}

void
qemu_start(struct qemu *qemu, const struct options *options, int archive, bool kvm,
	   unsigned gdb_port)
{
	int pair[2], log[2], errors[2], size = PAIR_BUFFER;
	struct list arguments = {0};
	pid_t parent = getpid();

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0 ||
	    pipe2(log, O_CLOEXEC) != 0 || pipe2(errors, O_CLOEXEC) != 0)
		die("cannot connect to the machine: %s", strerror(errno));
	setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	setsockopt(pair[1], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	list_add(&arguments, duplicate(qemu_program()));
	arguments_machine(&arguments, options, kvm);
	arguments_boot(&arguments, options, archive);
	arguments_devices(&arguments, options, pair[1], gdb_port);
	*qemu = (struct qemu){
		.channel = pair[0], .channel_far = pair[1], .log = log[0], .errors = errors[0]};
	set_blocking(pair[0], false);
	set_blocking(log[0], false);
	set_blocking(errors[0], false);
	qemu->pid = fork();
	if (qemu->pid < 0)
		die("cannot start the machine: %s", strerror(errno));
	if (qemu->pid == 0)
		child_start(arguments.items, parent, log[1], errors[1],
			    (const int[2]){pair[1], archive});
	close(log[1]);
	close(errors[1]);
	for (size_t i = 0; i < arguments.count - options->qemu_options.count; i++)
		free(arguments.items[i]);
	free(arguments.items);
}

void
qemu_unblock(struct qemu *qemu)
{
	if (qemu->channel_far < 0)
		return;
	set_blocking(qemu->channel_far, true);
	close(qemu->channel_far);
	qemu->channel_far = -1;
}

bool
qemu_reap(struct qemu *qemu)
{
	pid_t ended;

	if (qemu->pid == 0)
		return true;
	ended = waitpid(qemu->pid, &qemu->status, WNOHANG);
	if (ended == 0 || (ended < 0 && errno == EINTR))
		return false;
	qemu->pid = 0;
	return true;
}

void
qemu_kill(struct qemu *qemu)
{
	if (qemu->pid == 0)
		return;
	kill(qemu->pid, SIGKILL);
	while (waitpid(qemu->pid, &qemu->status, 0) < 0 && errno == EINTR)
		;
	qemu->pid = 0;
}

enum machine_end
qemu_end(const struct qemu *qemu, char *words, size_t room)
{
	int status = WIFEXITED(qemu->status) ? WEXITSTATUS(qemu->status) : -1;

	switch (status) {
	case 0:
	case STATUS_OFF:
		snprintf(words, room, "the machine was powered off before the program ended");
		return MACHINE_OFF;
	case STATUS_PANIC:
		snprintf(words, room, "the kernel panicked");
		return MACHINE_PANIC;
	case STATUS_LIBOS:
		snprintf(words, room, "the library OS ended before the program did");
		return MACHINE_LIBOS;
	case -1:
		snprintf(words, room, "QEMU was killed by signal %d", WTERMSIG(qemu->status));
		return MACHINE_FAILED;
	default:
		snprintf(words, room, "QEMU ended with status %d", status);
		return MACHINE_FAILED;
	}
}
