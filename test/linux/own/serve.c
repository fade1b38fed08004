/* SPDX-License-Identifier: MIT */
/* Processes that accept transfers, and what callers and servers can do to each other. */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <exos/api.h>

static _Alignas(16) char stack[65536];
static volatile int signals;
static __thread int own = 7;

static void
check(const char *what, int good)
{
	printf("%s %d\n", what, good);
	fflush(stdout);
}

static void
noted(int sig)
{
	(void)sig;
	signals++;
}

/* ---- the server ---- */

enum { ADD, TLS, PID, NAP, TOUCH, RAISE, COUNT, DIE, FORK, CALL_ACCEPT, STOP, SPIN, SENT };

static volatile uint64_t sent;

static uint64_t
touch(void)
{
	volatile char *p =
		mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t n = 0;

	for (int i = 0; i < 1 << 20; i += 4096)
		n += p[i] = 1;
	munmap((void *)p, 1 << 20);
	return n;
}

static uint64_t
fork_in_call(void)
{
	int status;
	pid_t pid = fork();

	if (!pid)
		return 5; /* nobody hears it: the child ends */
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? 100 + (uint64_t)WEXITSTATUS(status) : 0;
}

static uint64_t
serve(struct exos_msg *m, uint32_t caller)
{
	switch (m->word[0]) {
	case ADD:
		m->word[5] = caller;
		return m->word[1] + m->word[2];
	case TLS:
		return own == 7 && errno == 0;
	case PID:
		return (uint64_t)getpid();
	case NAP:
		return nanosleep(&(struct timespec){0, 20000000}, NULL) == 0;
	case TOUCH:
		return touch();
	case RAISE:
		raise(SIGUSR1);
		return (uint64_t)signals;
	case COUNT:
		return (uint64_t)signals;
	case DIE:
		_exit(3);
	case FORK:
		return fork_in_call();
	case CALL_ACCEPT:
		return exos_accept(exos_events(), EXOS_NEVER) == -EBUSY;
	case STOP:
		exos_serve(&(struct exos_serve){.size = sizeof(struct exos_serve)});
		return 1;
	case SENT:
		sent++;
		return 0;
	default:
		for (;;)
			;
	}
}

_Noreturn static void
server(void)
{
	int64_t got;

	signal(SIGUSR1, noted);
	if (exos_serve_lrpc(serve, stack + sizeof(stack)))
		_exit(9);
	for (;;) {
		got = exos_accept(exos_events(), EXOS_NEVER);
		if (got && got != -EINTR)
			_exit(8);
	}
}

/* Destroys everything that a function keeps, before it answers. */
__asm__(".text\n"
	"vandal: movl $-1, %ebx; movl %ebx, %ebp; movl %ebx, %r12d; movl %ebx, %r13d\n"
	"	movl %ebx, %r14d; movl %ebx, %r15d; std; fldz; fldz\n"
	"	movl $0x9fc0, -8(%rsp); ldmxcsr -8(%rsp)\n"
	"	movl $77, %edi; jmp exos_serve_return\n");
extern const char vandal[];

_Noreturn static void
vandal_server(void)
{
	struct exos_serve s = {sizeof(s), 0, (uint64_t)vandal, (uint64_t)(stack + sizeof(stack))};

	exos_serve(&s);
	for (;;)
		exos_accept(exos_events(), EXOS_NEVER);
}

/* ---- the caller ---- */

static pid_t
start(void (*fn)(void))
{
	pid_t pid = fork();

	if (!pid)
		fn();
	return pid;
}

/* Until the server has had time to come to its sleep. */
static int64_t
call(uint32_t gate, struct exos_msg *m)
{
	struct exos_msg was = *m;
	int64_t got;

	for (int i = 0; i < 100000; i++) {
		*m = was;
		got = exos_lrpc(gate, m);
		if (got != -EAGAIN)
			return got;
		sched_yield();
	}
	return got;
}

static int64_t
ask(uint32_t gate, uint64_t op)
{
	struct exos_msg m = {{op, 40, 2}};
	int64_t got = call(gate, &m);

	return got ? got : (int64_t)m.word[0];
}

/* What is pending when a call comes in is told first; a third process sees to it that something is. */
static int
storm(uint32_t gate, pid_t pid)
{
	pid_t sender = fork();
	int status, right = 0;

	for (int i = 0; !sender && i < 3000; i++)
		kill(pid, SIGUSR1);
	if (!sender)
		_exit(0);
	for (int i = 0; i < 3000; i++)
		right += ask(gate, ADD) == 42;
	waitpid(sender, &status, 0);
	return right == 3000 && status == 0;
}

static void
ordinary(uint32_t gate, pid_t pid)
{
	struct exos_self self = {.size = sizeof(self)};
	struct exos_msg m = {{ADD, 40, 2}};
	int status;

	exos_self(&self);
	check("a call", call(gate, &m) == 0 && m.word[0] == 42);
	check("the kernel says who calls", m.word[5] == self.env);
	check("thread-local memory in the server", ask(gate, TLS) == 1);
	check("its Linux calls", ask(gate, PID) == pid);
	check("it may sleep", ask(gate, NAP) == 1);
	check("it may fault", ask(gate, TOUCH) == 256);
	check("signals while it serves", ask(gate, RAISE) == 1);
	kill(pid, SIGUSR1);
	for (int i = 0; i < 1000 && ask(gate, COUNT) != 2; i++)
		usleep(1000);
	check("signals while it sleeps", ask(gate, COUNT) == 2);
	check("no second sleep in a call", ask(gate, CALL_ACCEPT) == 1);
	check("a child of a call", ask(gate, FORK) == 101);
	status = 0;
	for (int i = 0; i < 1000; i++)
		status += ask(gate, ADD) == 42;
	check("a thousand calls", status == 1000);
	check("calls and signals at once", storm(gate, pid));
}

static void
ends(uint32_t gate, pid_t pid)
{
	struct exos_msg m = {{SENT}};
	int status;

	while (exos_send(gate, &m) == -EAGAIN)
		sched_yield();
	check("a send", ask(gate, ADD) == 42);
	check("death in the call", ask(gate, DIE) == -ESRCH);
	waitpid(pid, &status, 0);
	check("its status", WIFEXITED(status) && WEXITSTATUS(status) == 3);
	check("a dead server", ask(gate, ADD) == -ESRCH);
	check("no process", exos_gate((uint32_t)pid) == -ESRCH);
	check("closed", exos_gate_close(gate) == 0 && exos_gate_close(gate) == -EBADF);
}

static void
distrust(void)
{
	pid_t pid = start(vandal_server);
	int64_t gate = exos_gate((uint32_t)pid);
	struct exos_msg m;
	double one = 1.0;
	uint64_t sum = 0;

	for (volatile int i = 0; i < 10; i++) {
		m = (struct exos_msg){{0}};
		if (call((uint32_t)gate, &m) || m.word[0] != 77)
			break;
		sum += m.word[0];
	}
	check("a server that keeps nothing", sum == 770);
	__asm__ volatile("" : "+x"(one));
	check("rounding as before", one / 3.0 + one / 3.0 + one / 3.0 == 1.0);
	check("long double", (long double)one + 1.0L == 2.0L);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	exos_gate_close((uint32_t)gate);
}

#define PCT_BIND 0x4145001c

/* Of a process made under another user: no capability of its opens `env` for a gate. */
static int
binds_nothing(uint32_t env)
{
	for (long cap = 0; cap < 64; cap++) {
		long got = PCT_BIND, a = cap, b = (long)env, gate = 3;

		__asm__ volatile("syscall"
				 : "+a"(got), "+D"(a), "+S"(b), "+d"(gate)
				 :
				 : "rcx", "r11", "r8", "r9", "r10", "memory");
		if (got >= 0)
			return 0;
	}
	return 1;
}

static int
other_user_binds(uint32_t env)
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		if (setuid(1000))
			_exit(2);
		pid = fork();
		if (!pid)
			_exit(binds_nothing(env));
		waitpid(pid, &status, 0);
		_exit(WEXITSTATUS(status));
	}
	waitpid(pid, &status, 0);
	return WIFEXITED(status) && WEXITSTATUS(status) == 1;
}

static void
refusals(void)
{
	struct exos_self self = {.size = sizeof(self)};

	pid_t pid;
	int gates = 0, status;

	check("not oneself", exos_gate((uint32_t)getpid()) == -EINVAL);
	check("accept without entry", exos_accept(exos_events(), EXOS_NEVER) == -EINVAL);
	check("an entry in the library",
	      exos_serve(&(struct exos_serve){sizeof(struct exos_serve), 0, 0x7f7feff00000,
					      0x7f7feff00000}) == -EINVAL);
	check("a gate that is none", ask(5, ADD) == -EINVAL && ask(99, ADD) == -EINVAL);
	while (gates < 20 && exos_gate((uint32_t)getppid()) > 0)
		gates++;
	check("seven gates", gates == 7 && exos_gate((uint32_t)getppid()) == -EMFILE);
	check("who does not accept is busy", exos_lrpc(1, &(struct exos_msg){{0}}) == -EAGAIN);
	pid = fork();
	if (!pid) {
		status = ask(1, ADD) == -EINVAL ? 0 : 1;
		if (setuid(1000))
			status |= 2;
		status |= exos_gate((uint32_t)getppid()) == -EPERM ? 0 : 4;
		_exit(status);
	}
	waitpid(pid, &status, 0);
	check("gates are not inherited, other users are not called", status == 0);
	exos_self(&self);
	check("nor by the kernel's own call", other_user_binds(self.env));
	_exit(0);
}

int
main(void)
{
	pid_t pid;
	int64_t gate;

	if (!exos_here()) {
		puts("not here");
		return 0;
	}
	pid = start(server);
	gate = exos_gate((uint32_t)pid);
	check("a gate", gate == 1);
	ordinary((uint32_t)gate, pid);
	ends((uint32_t)gate, pid);
	distrust();
	waitpid(start(refusals), NULL, 0);
	return 0;
}
