/* SPDX-License-Identifier: MIT */
/*
 * The service's invariants, as priv.h numbers them.  For tests: it visits everything.
 */
#include "exos/service/priv.h"

static const struct object *
object_get(const struct service *sv, uint32_t index)
{
	const struct object *chunk = sv->objects[index / OBJ_CHUNK];

	return chunk ? &chunk[index % OBJ_CHUNK] : NULL;
}

static const char *
check_parts(const struct service *sv, const struct object *o)
{
	uint32_t opens = 0, writers = 0, in = 0, out = 0, refs = 0;

	if (o->type == SVC_T_FILE && !o->file)
		return "a file object without a file";
	for (uint32_t i = 0; i < OBJ_MAX; i++) {
		const struct object *other = object_get(sv, i);

		if (!other || !other->refs)
			continue;
		refs += o->inode && other->inode == o->inode;
		opens += o->file && other->file == o->file;
		writers += o->file && other->file == o->file && other->write;
		in += o->pipe && other->pipe == o->pipe && other->read;
		out += o->pipe && other->pipe == o->pipe && other->write;
	}
	if (o->inode && fs_refs(o->inode) < refs)
		return "references of an inode";
	if (o->file && (o->file->opens != opens || o->file->writers != writers))
		return "opens or writers of a file";
	if (o->file && (o->file->inode != o->inode || sfile_find(o->inode) != o->file))
		return "a file and its inode";
	if (o->pipe && o->pipe->inode &&
	    (!o->pipe->file || o->pipe->file->fifo != o->pipe ||
	     o->pipe->file->inode != o->pipe->inode))
		return "a pipe and its inode";
	if (o->pipe && (o->pipe->readers != in || o->pipe->writers != out))
		return "readers or writers of a ring";
	return NULL;
}

static const char *
check_objects(const struct service *sv)
{
	uint32_t live = 0;

	for (uint32_t i = 0; i < OBJ_MAX; i++) {
		const struct object *o = object_get(sv, i);
		uint32_t holders = 0;
		const char *bad;

		for (const struct proc *p = sv->all; p; p = p->next)
			holders += p->held && p->held[i / 64] >> (i % 64) & 1;
		if (holders != (o ? o->refs : 0))
			return "references of an object";
		if (!holders)
			continue;
		live++;
		bad = check_parts(sv, o);
		if (bad)
			return bad;
	}
	return live == sv->object_count ? NULL : "number of objects";
}

static const char *
check_process(struct service *sv, struct proc *p)
{
	uint32_t held = 0;

	if (proc_find(sv, p->pid) != p)
		return "a pid finds another process";
	if (*p->link != p)
		return "list of processes";
	if (p->state == PROC_ZOMBIE && (!p->parent || proc_over(p->parent)))
		return "a zombie without a parent";
	if (proc_over(p))
		return p->held || p->shares || p->cwd || p->mail || p->exe || p->cmdline
			       ? "something left of a process that is over"
			       : NULL;
	if (!p->borrower && proc_by_env(sv, p->env) != p)
		return "an environment finds another process";
	if ((p->borrower && (p->borrower->lender != p || p->borrower->env != p->env)) ||
	    (p->lender && p->lender->borrower != p))
		return "a lender and its borrower";
	if (p->parent && proc_over(p->parent))
		return "a parent that is over";
	for (uint32_t w = 0; w < OBJ_WORDS; w++)
		held += (uint32_t)__builtin_popcountll(p->held[w]);
	if (held != p->held_count)
		return "number of objects held";
	for (const struct share *s = p->shares; s; s = s->proc_next) {
		if (s->proc != p || *s->proc_link != s || *s->file_link != s ||
		    sfile_find(s->file->inode) != s->file)
			return "a share";
	}
	return NULL;
}

static const char *
check_names(const struct service *sv)
{
	for (uint32_t slot = 0; slot < NAME_MAX_SLOT; slot++) {
		uint32_t users = 0;

		for (const struct proc *p = sv->all; p && slot; p = p->next) {
			users += p->slot == slot;
			users += p->child_slot == slot;
		}
		if (users != sv->names[slot].refs)
			return "users of a name";
	}
	return NULL;
}

static const char *
check_idle(const struct service *sv)
{
	struct sfile *const *link = &sv->idle;
	uint32_t count = 0;

	for (const struct sfile *file = sv->idle; file; file = file->idle_next) {
		if (file->idle_link != link || sfile_used(file) || !file->info ||
		    sfile_find(file->inode) != file)
			return "an idle file";
		link = &file->idle_next;
		count++;
	}
	if (count != sv->idle_count || count > SFILE_IDLE || (count && sv->idle_end != link))
		return "number of idle files";
	return NULL;
}

const char *
service_check(struct service *sv)
{
	const char *bad = check_objects(sv);
	uint32_t count = 0;

	for (struct proc *p = sv->all; p && !bad; p = p->next) {
		count++;
		bad = check_process(sv, p);
	}
	if (!bad && count != sv->proc_count)
		bad = "number of processes";
	if (!bad)
		bad = check_names(sv);
	if (!bad)
		bad = check_idle(sv);
	if (!bad)
		bad = lock_check(sv);
	if (!bad && !fs_check(sv->fs, &bad) && !bad)
		bad = "the file system";
	if (!bad && sv->tty && !tty_check(sv->tty))
		bad = "the terminal";
	return bad;
}
