/* SPDX-License-Identifier: MIT */
/*
 * Dispatch: who calls, what for.
 *
 * The kernel says which environment calls; the message says nothing about it.  The supervisor may
 * use the SVC_HOST_ operations and nothing else; everybody else must be the environment of a live
 * process and may not.  Long words of the message are the operation's to check.
 */
#include "exos/service/priv.h"

static int64_t
op_log(struct proc *p, const struct svc *s)
{
	char line[256];
	uint32_t n = s->a < sizeof(line) - 1 ? (uint32_t)s->a : (uint32_t)sizeof(line) - 1;

	memcpy(line, p->msg, n);
	/* The log is lines of text, whatever a program says. */
	for (uint32_t i = 0; i < n; i++) {
		if ((uint8_t)line[i] < 0x20 || (uint8_t)line[i] > 0x7e)
			line[i] = i + 1 == n && line[i] == '\n' ? 0 : '?';
	}
	line[n] = 0;
	core_log("%s\n", line);
	return 0;
}

/* ---- what the first process is to run ---- */

struct text {
	char *at;
	uint32_t used, size;
	bool full;
};

static uint32_t
text_put(struct text *t, const void *bytes, size_t n, bool end)
{
	uint32_t at = t->used;

	if (n + end > t->size - t->used) {
		t->full = true;
		return 0;
	}
	memcpy(t->at + at, bytes, n);
	if (end)
		t->at[at + n] = 0;
	t->used += (uint32_t)n + end;
	return at;
}

/* All values of a key, one after another; how many. */
static uint32_t
text_all(struct service *sv, struct text *t, const char *key, uint32_t *at)
{
	struct manifest_cursor cursor = {0};
	uint32_t count = 0;

	*at = t->used;
	while (manifest_each(sv, &cursor, key)) {
		text_put(t, cursor.value, cursor.length, true);
		count++;
	}
	if (!count)
		text_put(t, "", 0, true);
	return count;
}

static int64_t
first_record(struct service *sv, struct proc *p)
{
	struct svc_first *first = (struct svc_first *)sv->bounce;
	struct text t = {.at = (char *)sv->bounce, .used = sizeof(*first), .size = MSG_BYTES};
	char key[32], option[16];
	uint32_t at;

	if (p != sv->first || p->execed)
		return -EPERM;
	memset(first, 0, sizeof(*first));
	for (uint32_t i = 0; i < 3; i++) {
		struct svc_opened opened;
		struct object *o =
			sv->first_fd[i] == UINT32_MAX ? NULL : object_find(sv, p, sv->first_fd[i]);

		first->fds[i] = o ? sv->first_fd[i] : UINT32_MAX;
		if (!o)
			continue;
		object_describe(sv, o, &opened);
		t.used = (t.used + 7) & ~7u;
		first->opened[i] = text_put(&t, &opened, sizeof(opened), false);
	}
	format(key, sizeof(key), "%u.path", sv->host->domain);
	text_all(sv, &t, key, &first->path);
	format(key, sizeof(key), "%u.cwd", sv->host->domain);
	text_all(sv, &t, key, &first->cwd);
	format(key, sizeof(key), "%u.arg", sv->host->domain);
	first->argc = text_all(sv, &t, key, &at);
	first->argv = at;
	format(key, sizeof(key), "%u.env", sv->host->domain);
	first->envc = text_all(sv, &t, key, &at);
	first->envp = at;
	first->keys = manifest_value(sv, "option.keys", option, sizeof(option)) && option[0] == '1';
	first->count_calls =
		manifest_value(sv, "option.counters", option, sizeof(option)) && option[0] == '1';
	if (t.full)
		return -E2BIG;
	memcpy(p->msg, sv->bounce, t.used);
	return 0;
}

/* ---- dispatch ---- */

static int64_t
dispatch_process(struct service *sv, struct proc *p, struct svc *s)
{
	switch (s->op) {
	case SVC_FORK:
		return op_fork(sv, p, s);
	case SVC_START:
		return op_start(sv, p, s);
	case SVC_VFORK_DONE:
		return op_vfork_done(sv, p, s);
	case SVC_ABANDON:
		return op_abandon(sv, p, s);
	case SVC_DETACH:
		return op_detach(sv, p, s);
	case SVC_DETACHED:
		return op_detached(sv, p, s);
	case SVC_EXEC:
		return op_exec(sv, p, s);
	case SVC_EXIT:
		return op_exit(sv, p, s);
	case SVC_WAIT:
		return op_wait(sv, p, s);
	case SVC_KILL:
		return op_kill(sv, p, s);
	case SVC_SETPGID:
	case SVC_GETPGID:
	case SVC_SETSID:
	case SVC_GETSID:
		return op_group(sv, p, s);
	case SVC_STOPPED:
		return op_stopped(sv, p, s);
	case SVC_SETIDS:
		return op_setids(sv, p, s);
	case SVC_GETIDS:
		return op_getids(sv, p, s);
	case SVC_UMASK:
	case SVC_LIST:
	case SVC_TIMES:
		return op_figures(sv, p, s);
	case SVC_PEER:
		return op_peer(sv, p, s);
	case SVC_ASK:
		return kern_ask(p->env, (uint32_t)s->a, s->b);
	case SVC_SPAN:
		return s->a > UINT32_MAX ? -EINVAL
					 : core_span(EXOS_CAP_OWN, p->space, (uint32_t)s->a);
	case SVC_ALARM:
		p->alarm_ns = s->a;
		kern_wake_self();
		return 0;
	default:
		return -ENOSYS;
	}
}

static int64_t
dispatch_rest(struct service *sv, struct proc *p, struct svc *s)
{
	switch (s->op) {
	case SVC_OPEN:
		return op_open(sv, p, s);
	case SVC_CLOSE:
		return op_close(sv, p, s);
	case SVC_MAP:
		return op_map(sv, p, s);
	case SVC_EXTEND:
		return op_extend(sv, p, s);
	case SVC_PIPE:
		return op_pipe(sv, p, s);
	case SVC_TTY_READ:
	case SVC_TTY_WRITE:
	case SVC_TTY_IOCTL:
	case SVC_TTY_POLL:
		return op_tty(sv, p, s);
	case SVC_KICK:
		return op_kick(sv, p, s);
	case SVC_LOG:
		return op_log(p, s);
	case SVC_FIRST:
		return first_record(sv, p);
	case SVC_TEXT:
		return op_text(sv, p, s);
	case SVC_PATCH:
		return op_patch(sv, p, s);
	case SVC_LOCK:
		return op_lock(sv, p, s);
	default:
		return -ENOSYS;
	}
}

static int64_t
dispatch(struct service *sv, struct svc *s, uint32_t caller_env)
{
	struct proc *p;

	if (s->op <= SVC_NONE || s->op >= SVC_OPS)
		return -ENOSYS;
	if (caller_env == sv->host->supervisor_env)
		return s->op >= SVC_HOST_INPUT ? op_host(sv, s) : -EPERM;
	p = proc_by_env(sv, caller_env);
	if (!p || p->state != PROC_LIVE || s->op >= SVC_HOST_INPUT)
		return -EPERM;
	sv->calls[s->op]++;
	if (s->op >= SVC_FORK && s->op <= SVC_ALARM)
		return dispatch_process(sv, p, s);
	if (s->op == SVC_STAT || (s->op >= SVC_TRUNCATE && s->op <= SVC_SYNTH_WRITE))
		return path_op(sv, p, s);
	return dispatch_rest(sv, p, s);
}

void
service_dispatch(struct service *sv, struct svc *s, uint32_t caller_env)
{
	int64_t result = dispatch(sv, s, caller_env);

	frame_flush(sv);
	if (result == -EPERM)
		sv->refused++;
	s->op = result;
}
