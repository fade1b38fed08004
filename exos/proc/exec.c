/* SPDX-License-Identifier: MIT */
/*
 * Exec: another program in the same environment and space.
 *
 * Everything that can fail is done first, with the old program untouched: its arguments are copied,
 * files are opened, headers are read and checked.  From vm_reset on there is no way back: what
 * fails then ends the process.  Text and data are mapped from the file and come in page by page.
 */
#include "exos/api/api.h"
#include "exos/core/priv.h"
#include "exos/linux/calls.h"
#include "exos/linux/elf.h"
#include "exos/linux/errno.h"
#include "exos/proc/process.h"

#define SCRIPT_DEPTH 4
#define TEXT_MAX     (128u << 10) /* bytes of arguments and environment together */
#define PATH_ROOM    4096u
#define STACK_SIZE   (8ul << 20)
#define STACK_FIRST  (128ul << 10)
#define STACK_TOP    (EXOS_USER_TOP - 16 * AEGIS_PAGE)
#define PIE_BASE     0x400000ul
#define STACK_ROOM   (TEXT_MAX + 16384u)

/* Strings one behind the other in a heap block that grows. */
struct text {
	char *at;
	size_t size, room;
	uint32_t count;
};

struct loaded {
	struct file *file;
	struct elf_image image;
	uint64_t bias;
};

struct exec {
	char *path; /* PATH_ROOM bytes */
	struct text args, env;
	struct loaded program, interp;
};

static int
text_room(struct text *t, size_t more)
{
	size_t room = t->room ? t->room : 2048;
	char *bigger;

	if (more > TEXT_MAX || t->size > TEXT_MAX - more)
		return -E2BIG;
	while (room < t->size + more)
		room *= 2;
	if (room == t->room)
		return 0;
	bigger = core_alloc(room);
	if (!bigger)
		return -ENOMEM;
	memcpy(bigger, t->at, t->size);
	core_free(t->at, t->room);
	t->at = bigger;
	t->room = room;
	return 0;
}

static int
text_add(struct text *t, const char *s, size_t n)
{
	int err = text_room(t, n + 1);

	if (err)
		return err;
	memcpy(t->at + t->size, s, n);
	t->at[t->size + n] = 0;
	t->size += n + 1;
	t->count++;
	return 0;
}

/* The program's array of strings at `array`, ended by a null pointer. */
static int
text_copy(struct text *t, uint64_t array)
{
	uint64_t s;

	for (; array; array += sizeof(s)) {
		int64_t n = -ENAMETOOLONG;
		size_t room = 256;

		if (copy_in(&s, array, sizeof(s)))
			return -EFAULT;
		if (!s)
			return 0;
		while (n == -ENAMETOOLONG) {
			int err = text_room(t, room);

			if (err)
				return err;
			n = copy_in_string(t->at + t->size, s, room);
			room *= 4;
		}
		if (n < 0)
			return (int)n;
		t->size += (size_t)n + 1;
		t->count++;
	}
	return 0;
}

/* Replaces the first string of t by up to three others: what #! does to arguments. */
static int
text_script(struct text *t, const struct script *script, const char *path)
{
	struct text out = {0};
	size_t first = t->count ? strlen(t->at) + 1 : 0;
	int err = text_add(&out, script->interp, strlen(script->interp));

	if (!err && script->has_arg)
		err = text_add(&out, script->arg, strlen(script->arg));
	if (!err)
		err = text_add(&out, path, strlen(path));
	if (!err)
		err = text_room(&out, t->size - first);
	if (err) {
		core_free(out.at, out.room);
		return err;
	}
	memcpy(out.at + out.size, t->at + first, t->size - first);
	out.size += t->size - first;
	out.count += t->count ? t->count - 1 : 0;
	core_free(t->at, t->room);
	*t = out;
	return 0;
}

static int
read_at(void *ctx, uint64_t offset, void *buf, size_t n)
{
	int64_t got = fd_object_read(ctx, buf, n, offset);

	return got == (int64_t)n ? 0 : got < 0 ? (int)got : -ENOEXEC;
}

static int
image_read(struct loaded *l)
{
	struct elf_reader reader = {
		.read = read_at, .ctx = l->file, .size = file_info(l->file)->size};
	const struct elf_limits limits = {.inside = {AEGIS_PAGE, STACK_TOP - STACK_SIZE}};
	int err = elf_read(&reader, &l->image);

	if (err)
		return err;
	if (l->image.relocatable)
		l->bias = PIE_BASE - l->image.low;
	return elf_place_check(&l->image, l->bias, &limits) ? 0 : -ENOEXEC;
}

static int
interp_open(struct exec *x)
{
	struct elf_reader reader = {
		.read = read_at, .ctx = x->program.file, .size = file_info(x->program.file)->size};
	char *path;
	int err;

	if (!x->program.image.interp_size)
		return 0;
	path = core_alloc(PATH_ROOM);
	if (!path)
		return -ENOMEM;
	err = elf_interp_read(&reader, &x->program.image, path, PATH_ROOM);
	if (!err)
		err = fd_open_for_exec(path, strlen(path), &x->interp.file);
	if (!err)
		err = image_read(&x->interp);
	if (!err && (!x->interp.image.relocatable || x->interp.image.interp_size))
		err = -ELIBBAD;
	core_free(path, PATH_ROOM);
	return err;
}

/* Opens x->path, through scripts, down to an ELF file whose headers are good. */
static int
program_open(struct exec *x)
{
	for (int depth = 0; depth <= SCRIPT_DEPTH; depth++) {
		uint8_t head[SCRIPT_HEAD];
		struct script script;
		int64_t n;
		int err = fd_open_for_exec(x->path, strlen(x->path), &x->program.file);

		if (err)
			return err;
		n = fd_object_read(x->program.file, head, sizeof(head), 0);
		if (n < 0)
			return (int)n;
		if (n < 2 || head[0] != '#' || head[1] != '!') {
			err = image_read(&x->program);
			return err ? err : interp_open(x);
		}
		err = script_parse(head, (size_t)n, &script);
		if (!err)
			err = text_script(&x->args, &script, x->path);
		if (err)
			return err;
		file_put(x->program.file);
		x->program.file = NULL;
		memcpy(x->path, script.interp, strlen(script.interp) + 1);
	}
	return -ELOOP;
}

static void
exec_drop(struct exec *x)
{
	if (x->program.file)
		file_put(x->program.file);
	if (x->interp.file)
		file_put(x->interp.file);
	core_free(x->path, PATH_ROOM);
	core_free(x->args.at, x->args.room);
	core_free(x->env.at, x->env.room);
}

/* Exec goes on in another space; here nothing of it stays. */
static void
exec_leave(void *arg)
{
	struct exec *x = arg;

	exec_drop(x);
	core_free(x, sizeof(*x));
}

/* ---- from here on there is no old program any more ---- */

static uint32_t
segment_flags(const struct elf_segment *s)
{
	return (s->prot & LX_PROT_READ ? VM_READ : 0) |
	       (s->prot & LX_PROT_WRITE ? VM_READ | VM_WRITE : 0) |
	       (s->prot & LX_PROT_EXEC ? VM_READ | VM_EXEC : 0);
}

static int64_t
segment_map(const struct loaded *l, const struct elf_segment *s)
{
	uint64_t start = (s->vaddr + l->bias) & ~(AEGIS_PAGE - 1);
	uint64_t skew = (s->vaddr + l->bias) - start;
	uint64_t file_end = s->vaddr + l->bias + s->filesz;
	uint64_t map_end = (file_end + AEGIS_PAGE - 1) & ~(AEGIS_PAGE - 1);
	uint64_t end = (s->vaddr + l->bias + s->memsz + AEGIS_PAGE - 1) & ~(AEGIS_PAGE - 1);
	uint32_t flags = segment_flags(s);
	int64_t at = 0;

	if (s->filesz)
		at = vm_map(start, map_end - start, flags, l->file, s->offset - skew, true, true);
	else
		map_end = start;
	if (at >= 0 && end > map_end)
		at = vm_map(map_end, end - map_end, flags, NULL, 0, true, true);
	/* The file goes on behind the data; memory is zero there. */
	if (at >= 0 && s->memsz > s->filesz && s->filesz && (flags & VM_WRITE) &&
	    clear_out(file_end, map_end - file_end))
		return -EFAULT;
	return at;
}

static int
image_map(const struct loaded *l)
{
	for (uint32_t i = 0; i < l->image.segments; i++) {
		int64_t at = segment_map(l, &l->image.segment[i]);

		if (at < 0)
			return (int)at;
	}
	return 0;
}

static int
stack_fill(const struct exec *x, struct aegis_frame *frame)
{
	struct elf_stack stack = {
		.args = {x->args.at, x->args.size, x->args.count},
		.env = {x->env.at, x->env.size, x->env.count},
		.exec_path = x->path,
		.platform = "x86_64",
		.phdr = x->program.image.phdr ? x->program.image.phdr + x->program.bias : 0,
		.phnum = x->program.image.phnum,
		.base = x->interp.file ? x->interp.bias : 0,
		.entry = x->program.image.entry + x->program.bias,
		.sysinfo_ehdr = EXOS_IMAGE,
		.minsigstksz = control()->xsave_size + 1024,
		.uid = MAIL->uid,
		.euid = MAIL->euid,
		.gid = MAIL->gid,
		.egid = MAIL->egid,
	};
	size_t size = ((x->args.size + x->env.size) * 2 + 8191) & ~4095ul;
	struct elf_stack_layout layout;
	uint8_t *buf = core_alloc(size);
	int err;

	if (!buf)
		return -ENOMEM;
	random_fill(stack.random, sizeof(stack.random));
	err = elf_stack_build(&stack, buf, size, STACK_TOP, &layout);
	if (!err)
		err = copy_out(layout.rsp, buf + size - (STACK_TOP - layout.rsp),
			       STACK_TOP - layout.rsp);
	core_free(buf, size);
	frame->rsp = layout.rsp;
	return err;
}

/* A new program finds its registers and vector state as the processor's reset would leave them. */
static void
context_clear(struct aegis_frame *frame, uint64_t callee[6])
{
	static const uint8_t initial[832] __attribute__((aligned(64)));
	uint64_t mask = control()->xsave_mask;
	uint64_t rsp = frame->rsp;

	__asm__ volatile("xrstor64 %0" ::"m"(initial), "a"((uint32_t)mask),
			 "d"((uint32_t)(mask >> 32)));
	__asm__ volatile("wrfsbase %0" ::"r"(0ul));
	frame->rax = frame->rcx = frame->rdx = frame->rsi = frame->rdi = 0;
	frame->r8 = frame->r9 = frame->r10 = frame->r11 = 0;
	frame->rflags = 0x202;
	frame->cs = 0x33;
	frame->ss = 0x2b;
	frame->rsp = rsp;
	for (int i = 0; i < 6; i++)
		callee[i] = 0;
}

static void
name_set(const char *path)
{
	const char *name = path;

	for (const char *p = path; *p; p++) {
		if (*p == '/' && p[1])
			name = p + 1;
	}
	memset(process()->comm, 0, sizeof(process()->comm));
	memcpy(process()->comm, name, strnlen(name, sizeof(process()->comm) - 1));
}

/* Tells the service, for /proc, and lets a vfork parent go on. */
static void
service_tell(const struct exec *x)
{
	size_t path = strlen(x->path), args = x->args.size;
	struct svc call = {.op = SVC_EXEC, .a = path};

	if (args > 4096)
		args = 4096;
	memcpy((void *)EXOS_MSG, x->path, path);
	memcpy((void *)(EXOS_MSG + SVC_PATH2), x->args.at, args);
	call.b = args;
	svc_call(&call);
}

static int
program_enter(struct exec *x, struct aegis_frame *frame, uint64_t callee[6])
{
	struct vm *v = vm();
	int64_t at;
	int err;

	control()->fault_causes = control()->fault_fast = control()->revoke_handler = 0;
	vm_reset();
	process_copies_drop();
	site_exec();
	v->mmap_top = STACK_TOP - STACK_SIZE - AEGIS_PAGE * 256;
	v->stack_limit = STACK_TOP - STACK_SIZE;
	err = image_map(&x->program);
	if (!err && x->interp.file) {
		at = vm_map(0, x->interp.image.high - x->interp.image.low, 0, NULL, 0, false,
			    false);
		if (at < 0)
			return (int)at;
		x->interp.bias = (uint64_t)at - x->interp.image.low;
		err = image_map(&x->interp);
	}
	if (err)
		return err;
	v->brk_start = v->brk = x->program.image.brk + x->program.bias;
	at = vm_map(STACK_TOP - STACK_FIRST, STACK_FIRST, VM_READ | VM_WRITE | VM_GROWS, NULL, 0,
		    true, true);
	if (at < 0)
		return (int)at;
	err = stack_fill(x, frame);
	if (err)
		return err;
	context_clear(frame, callee);
	frame->rip = x->interp.file ? x->interp.image.entry + x->interp.bias
				    : x->program.image.entry + x->program.bias;
	fd_exec();
	signal_exec();
	api_exec();
	process()->clear_child_tid = 0;
	name_set(x->path);
	service_tell(x);
	return 0;
}

/* x has path, arguments and environment. */
static int
exec_do(struct exec *x, struct aegis_frame *frame, uint64_t callee[6])
{
	int err = program_open(x);

	if (!err)
		err = process_detach(exec_leave, x);
	if (err) {
		exec_drop(x);
		return err;
	}
	err = program_enter(x, frame, callee);
	exec_drop(x);
	if (err) {
		core_log("exos: pid %u: exec failed half-way: error %d\n", MAIL->pid, -err);
		process_exit(LX_SIGKILL);
	}
	return 0;
}

static int64_t
exec_call(uint64_t path, uint64_t argv, uint64_t envp, struct call *c)
{
	struct exec *x = core_alloc(sizeof(*x));
	int64_t err;

	if (!x)
		return -ENOMEM;
	memset(x, 0, sizeof(*x));
	x->path = core_alloc(PATH_ROOM);
	err = x->path ? copy_in_string(x->path, path, PATH_ROOM) : -ENOMEM;
	if (err >= 0)
		err = err ? text_copy(&x->args, argv) : -ENOENT;
	if (!err)
		err = text_copy(&x->env, envp);
	if (err < 0)
		exec_drop(x);
	else
		err = exec_do(x, call_frame(c), c->callee);
	core_free(x, sizeof(*x));
	return err;
}

int64_t
sys_execve(struct call *c)
{
	return exec_call(c->a[0], c->a[1], c->a[2], c);
}

int64_t
sys_execveat(struct call *c)
{
	char first;

	if (copy_in(&first, c->a[1], 1))
		return -EFAULT;
	if (first != '/' && (int32_t)c->a[0] != LX_AT_FDCWD)
		return -ENOSYS;
	return exec_call(c->a[1], c->a[2], c->a[3], c);
}

/* ---- the first process of a domain ---- */

struct fd_table *
fd_table(void)
{
	return &process()->fds;
}

static int
first_text(struct text *t, const char *at, uint32_t count)
{
	int err = 0;

	while (count-- && !err) {
		size_t n = strlen(at);

		err = text_add(t, at, n);
		at += n + 1;
	}
	return err;
}

static int
first_exec(const struct svc_first *first, struct aegis_frame *frame, uint64_t callee[6])
{
	const char *base = (const char *)first;
	struct exec *x = core_alloc(sizeof(*x));
	size_t n = strlen(base + first->path);
	int err;

	if (!x)
		return -ENOMEM;
	memset(x, 0, sizeof(*x));
	x->path = core_alloc(PATH_ROOM);
	if (!x->path || n >= PATH_ROOM)
		return -ENOMEM;
	memcpy(x->path, base + first->path, n + 1);
	err = first_text(&x->args, base + first->argv, first->argc);
	if (!err)
		err = first_text(&x->env, base + first->envp, first->envc);
	if (!err)
		err = exec_do(x, frame, callee);
	core_free(x, sizeof(*x));
	return err;
}

static void
limits_init(struct process *p)
{
	for (int i = 0; i < LX_RLIM_NLIMITS; i++)
		p->limits[i] = (struct lx_rlimit){LX_RLIM_INFINITY, LX_RLIM_INFINITY};
	p->limits[LX_RLIMIT_STACK].rlim_cur = STACK_SIZE;
	p->limits[LX_RLIMIT_CORE].rlim_cur = 0;
	p->limits[LX_RLIMIT_NOFILE] = (struct lx_rlimit){FD_MAX, FD_MAX};
}

/* The processor has protection keys, and the kernel turned them on. */
static bool
keys_there(void)
{
	uint32_t a = 7, b, c = 0, d;

	__asm__("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
	return c & 1u << 4;
}

_Noreturn void
process_start(void)
{
	struct aegis_frame *frame = (struct aegis_frame *)(control()->stack_top - AEGIS_FRAME_SIZE);
	struct svc call = {.op = SVC_FIRST};
	uint64_t callee[6];
	struct svc_first *first;
	int err;

	aegis_pct_bind(EXOS_CAP_SERVICE, MAIL->service_env, EXOS_GATE_SERVICE);
	process()->start_ns = core_now_ns();
	limits_init(process());
	err = (int)svc_call(&call);
	first = core_alloc(EXOS_MSG_PAGES * AEGIS_PAGE);
	if (err < 0 || !first)
		core_die("nothing to run");
	memcpy(first, (void *)EXOS_MSG, EXOS_MSG_PAGES * AEGIS_PAGE);
	process()->count_calls = first->count_calls;
	control()->keys = first->keys && keys_there();
	err = fd_first(first);
	if (!err)
		err = first_exec(first, frame, callee);
	if (err) {
		core_log("exos: cannot run %s: error %d\n", (char *)first + first->path, -err);
		process_exit(127 << 8);
	}
	core_free(first, EXOS_MSG_PAGES * AEGIS_PAGE);
	frame->deferred = 0;
	core_resume(frame, callee);
}
