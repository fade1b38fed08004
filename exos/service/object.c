/* SPDX-License-Identifier: MIT */
/*
 * Objects: open file descriptions, and which process holds which.
 *
 * An object's number is its index with a generation above it, so that the number of one that is
 * gone names nothing.  Each process has a bit set of the objects it holds; fork copies it, the end
 * of the process, however it comes, empties it.  How many descriptors a process has for an object
 * is its own affair.
 *
 * A process that drops its last object of a file or ring loses the frames that came
 * with it.  Frames of file data are another matter: see file.c.
 */
#include "exos/service/priv.h"

static struct object *
object_at(struct service *sv, uint32_t index)
{
	struct object *chunk = sv->objects[index / OBJ_CHUNK];

	return chunk ? &chunk[index % OBJ_CHUNK] : NULL;
}

static uint32_t
object_index(struct service *sv, const struct object *o)
{
	for (uint32_t i = 0; i < OBJ_MAX / OBJ_CHUNK; i++) {
		const struct object *chunk = sv->objects[i];

		if (chunk && o >= chunk && o < chunk + OBJ_CHUNK)
			return i * OBJ_CHUNK + (uint32_t)(o - chunk);
	}
	return 0;
}

uint32_t
object_id(struct service *sv, const struct object *o)
{
	return object_index(sv, o) | o->generation * OBJ_MAX;
}

static bool
held_read(const struct proc *p, uint32_t index)
{
	return p->held[index / 64] >> (index % 64) & 1;
}

struct object *
object_find(struct service *sv, const struct proc *p, uint64_t id)
{
	uint32_t index = id % OBJ_MAX;
	struct object *o;

	if (id >> 32 || !held_read(p, index))
		return NULL;
	o = object_at(sv, index);
	return o->generation == id / OBJ_MAX ? o : NULL;
}

int64_t
object_new(struct service *sv, struct proc *p, struct object **out)
{
	uint32_t index = sv->object_hint;
	struct object **chunk;
	struct object *o;

	if (sv->object_count == OBJ_MAX)
		parked_close(sv, NULL);
	for (uint32_t tries = 0;; tries++, index = (index + 1) % OBJ_MAX) {
		if (tries == OBJ_MAX)
			return -ENFILE;
		o = object_at(sv, index);
		if (!o || !o->refs)
			break;
	}
	chunk = &sv->objects[index / OBJ_CHUNK];
	if (!*chunk)
		*chunk = heap_zalloc(OBJ_CHUNK * sizeof(**chunk));
	if (!*chunk)
		return -ENOMEM;
	o = &(*chunk)[index % OBJ_CHUNK];
	sv->object_hint = (index + 1) % OBJ_MAX;
	sv->object_count++;
	*o = (struct object){.refs = 1, .generation = (o->generation + 1) % OBJ_GEN_MAX};
	p->held[index / 64] |= 1ull << (index % 64);
	p->held_count++;
	*out = o;
	return index | o->generation * OBJ_MAX;
}

/* ---- what comes with an object ---- */

enum part { PART_INFO, PART_PIPE };

static const void *
object_part(const struct object *o, enum part part)
{
	if (part == PART_PIPE)
		return o->pipe;
	return o->type == SVC_T_FILE ? o->file : NULL;
}

/* Whether p holds an object with this part. */
static bool
part_held(struct service *sv, const struct proc *p, enum part part, const void *what)
{
	uint32_t left = p->held_count;

	for (uint32_t w = 0; w < OBJ_WORDS && left; w++) {
		for (uint64_t bits = p->held[w]; bits; bits &= bits - 1, left--) {
			uint32_t index = w * 64 + (uint32_t)__builtin_ctzll(bits);

			if (object_part(object_at(sv, index), part) == what)
				return true;
		}
	}
	return false;
}

/* The same of all whose space it is: p and those who lent it. */
static bool
part_used(struct service *sv, const struct proc *p, enum part part, const void *what)
{
	while (p && !part_held(sv, p, part, what))
		p = p->lender;
	return p;
}

static void
parts_unshare(struct service *sv, struct proc *p, struct object *o)
{
	if (!p->space)
		return;
	/* The file's only object, and p's alone, is nobody else's. */
	if (o->type == SVC_T_FILE && o->file && o->file->info &&
	    ((o->refs == 1 && o->file->opens == 1) || !part_used(sv, p, PART_INFO, o->file)))
		core_unshare(EXOS_CAP_OWN, p->space, &o->file->info_frame, 1);
	if (o->pipe && !part_used(sv, p, PART_PIPE, o->pipe))
		core_unshare(EXOS_CAP_OWN, p->space, o->pipe->frames, o->pipe->pages + 1);
}

static void
object_free(struct service *sv, struct object *o)
{
	struct fs_inode *inode = o->inode;
	struct sfile *file = o->file;

	sv->object_count--;
	lock_object_drop(sv, o);
	if (o->pipe)
		pipe_closed(sv, o->pipe, o->read, o->write);
	if (file && o->type == SVC_T_FILE) {
		if (o->write && !--file->writers) {
			fs_live_set(sv->fs, file->inode, false);
			sfile_refresh(sv, file->inode);
		}
		file->opens--;
		sfile_put(sv, file);
	}
	*o = (struct object){.generation = o->generation};
	fs_close(sv->fs, inode);
}

static void
object_let_go(struct service *sv, struct proc *p, struct object *o, uint32_t index, bool lives)
{
	p->held[index / 64] &= ~(1ull << (index % 64));
	p->held_count--;
	lock_process_drop(sv, p, o);
	if (lives)
		parts_unshare(sv, p, o);
	if (lives && o->pipe)
		pipe_held(o->pipe, o->read, o->write, -1);
	else if (o->pipe)
		pipe_wake(o->pipe, true, true); /* it may have owed a wake (core_wake_soon) */
	if (!--o->refs)
		object_free(sv, o);
}

void
object_drop(struct service *sv, struct proc *p, struct object *o)
{
	object_let_go(sv, p, o, object_index(sv, o), true);
}

/* The process is over: what its space holds goes with the space. */
void
object_drop_all(struct service *sv, struct proc *p)
{
	for (uint32_t w = 0; w < OBJ_WORDS && p->held_count; w++) {
		while (p->held[w]) {
			uint32_t index = w * 64 + (uint32_t)__builtin_ctzll(p->held[w]);

			object_let_go(sv, p, object_at(sv, index), index, false);
		}
	}
}

/*
 * Closes what processes have parked, of this file or (NULL) all of it.  Who lent its environment, and whom
 * it was lent to, have parked nothing.
 */
void
parked_close(struct service *sv, const struct sfile *file)
{
	for (struct proc *p = sv->all; p; p = p->next) {
		uint32_t *word = p->msg ? SVC_TAIL(p->msg)->parked : NULL;

		if (!word || proc_over(p) || p->lender || p->borrower)
			continue;
		for (uint32_t i = 0; i < SVC_PARKED; i++) {
			uint32_t id = __atomic_load_n(&word[i], __ATOMIC_SEQ_CST);
			struct object *o = object_find(sv, p, id);

			if (o && (!file || (o->type == SVC_T_FILE && o->file == file)) &&
			    __atomic_compare_exchange_n(&word[i], &id, 0, false, __ATOMIC_SEQ_CST,
							__ATOMIC_RELAXED))
				object_drop(sv, p, o);
		}
	}
}

static bool
parked_any(const struct proc *p)
{
	uint32_t any = 0;

	for (uint32_t i = 0; i < SVC_PARKED; i++)
		any |= __atomic_load_n(&SVC_TAIL(p->msg)->parked[i], __ATOMIC_RELAXED);
	return any;
}

static bool
parked_find(const struct proc *p, uint32_t id)
{
	for (uint32_t i = 0; i < SVC_PARKED; i++) {
		if (__atomic_load_n(&SVC_TAIL(p->msg)->parked[i], __ATOMIC_RELAXED) == id)
			return true;
	}
	return false;
}

void
object_clone_all(struct service *sv, struct proc *from, struct proc *to)
{
	bool parked = parked_any(from);
	uint32_t left = from->held_count;

	for (uint32_t w = 0; w < OBJ_WORDS && left; w++) {
		for (uint64_t bits = from->held[w]; bits; bits &= bits - 1, left--) {
			struct object *o = object_at(sv, w * 64 + (uint32_t)__builtin_ctzll(bits));

			/* An open under way is the opener's alone, and so is what it has parked. */
			if (object_id(sv, o) == from->opening ||
			    (parked && parked_find(from, object_id(sv, o))))
				continue;
			o->refs++;
			if (o->pipe)
				pipe_held(o->pipe, o->read, o->write, 1);
			to->held[w] |= bits & -bits;
			to->held_count++;
		}
	}
}

/* ---- what a process learns ---- */

void
object_describe(struct service *sv, const struct object *o, struct svc_opened *out)
{
	memset(out, 0, sizeof(*out));
	out->obj = object_id(sv, o);
	out->type = o->type;
	out->flags = o->flags & (LX_O_ACCMODE | LX_O_APPEND | LX_O_NONBLOCK | LX_O_PATH);
	if (o->inode)
		out->ino = fs_id(o->inode);
	if (o->type == SVC_T_FILE)
		out->info_frame = o->file->info_frame;
	if (o->pipe) {
		out->ring_pages = o->pipe->pages;
		out->host = o->pipe->host;
		memcpy(out->frames, o->pipe->frames, (o->pipe->pages + 1) * sizeof(uint32_t));
	}
}

int
object_show(struct service *sv, struct proc *p, struct object *o, struct svc_opened *out)
{
	int err = 0;

	object_describe(sv, o, out);
	if (o->type == SVC_T_FILE)
		err = core_share(EXOS_CAP_OWN, p->space, &out->info_frame, 1,
				 o->write ? AEGIS_READ | AEGIS_WRITE : AEGIS_READ);
	else if (o->pipe)
		err = core_share(EXOS_CAP_OWN, p->space, out->frames, out->ring_pages + 1,
				 AEGIS_READ | AEGIS_WRITE);
	return err;
}

/* ---- open and close ---- */

static uint32_t
device_type(struct service *sv, const struct proc *p, uint64_t rdev)
{
	switch (rdev) {
	case LX_MAKEDEV(1, 3):
		return SVC_T_NULL;
	case LX_MAKEDEV(1, 5):
		return SVC_T_ZERO;
	case LX_MAKEDEV(1, 7):
		return SVC_T_FULL;
	case LX_MAKEDEV(1, 8):
	case LX_MAKEDEV(1, 9):
		return SVC_T_RANDOM;
	case LX_MAKEDEV(5, 0):
		return term_of(sv, p) ? SVC_T_TTY : SVC_OPS;
	case LX_MAKEDEV(5, 1):
		return sv->tty ? SVC_T_TTY : SVC_T_NULL;
	default:
		return SVC_OPS;
	}
}

/* A regular file has an information page. */
static int
object_file(struct service *sv, struct object *o, struct fs_inode *inode)
{
	struct sfile *file = sfile_get(sv, inode, true);

	if (!file)
		return -ENOMEM;
	o->type = SVC_T_FILE;
	o->file = file;
	o->write = (o->flags & LX_O_ACCMODE) != LX_O_RDONLY;
	file->opens++;
	if (o->write && !file->writers++)
		fs_live_set(sv->fs, inode, true);
	sfile_refresh(sv, inode);
	return 0;
}

static int
object_fill(struct service *sv, struct proc *p, struct object *o, struct fs_inode *inode)
{
	uint32_t mode = fs_mode(inode);
	uint64_t key;

	if (o->flags & LX_O_PATH)
		o->type = SVC_T_PATH;
	else if ((mode & FS_IFMT) == FS_IFDIR)
		o->type = SVC_T_DIR;
	else if ((mode & FS_IFMT) == FS_IFREG && fs_synth_key(inode, &key))
		o->type = SVC_T_SYNTH;
	else if ((mode & FS_IFMT) == FS_IFREG)
		return object_file(sv, o, inode);
	else if ((mode & FS_IFMT) == FS_IFCHR)
		o->type = device_type(sv, p, fs_rdev(inode));
	else
		return -ENXIO;
	return o->type == SVC_OPS ? -ENXIO : 0;
}

/* Takes the reference on inode over, whatever the outcome. */
static int64_t
object_open(struct service *sv, struct proc *p, struct fs_inode *inode, uint32_t flags,
	    struct object **out)
{
	int64_t id;
	int err;

	if ((fs_mode(inode) & FS_IFMT) == FS_IFIFO && !(flags & LX_O_PATH))
		return fifo_open(sv, p, inode, flags, out);
	id = object_new(sv, p, out);
	if (id < 0) {
		fs_close(sv->fs, inode);
		return id;
	}
	(*out)->flags = flags;
	err = object_fill(sv, p, *out, inode);
	(*out)->inode = inode;
	if (err) {
		(*out)->type = SVC_T_PATH;
		object_drop(sv, p, *out);
		return err;
	}
	if ((*out)->type == SVC_T_TTY)
		term_opened(sv, p, flags);
	return id;
}

int64_t
op_open(struct service *sv, struct proc *p, struct svc *s)
{
	uint32_t flags = (uint32_t)s->c;
	struct fs_inode *inode = NULL;
	struct svc_opened opened;
	struct object *o = NULL;
	struct fs_path path;
	bool steady = false;
	int64_t result;

	if (s->e && (o = object_find(sv, p, s->e)))
		object_drop(sv, p, o);
	if (!s->b) {
		fifo_cancel(sv, p);
		return -ENOENT;
	}
	result = path_get(sv, p, s->a, s->b, 0, &path);
	if (result)
		return result;
	if (flags & LX_O_PATH)
		result = fs_lookup(sv->fs, &p->cred, &path,
				   (flags & LX_O_NOFOLLOW ? 0 : FS_LOOKUP_FOLLOW) |
					   (flags & LX_O_DIRECTORY ? FS_LOOKUP_DIRECTORY : 0),
				   &inode);
	else
		result = fs_open(sv->fs, &p->cred, &path, flags, (uint32_t)s->d & 07777, &inode);
	if (result)
		return result;
	steady = !fs_walked_synth(sv->fs);
	if (flags & LX_O_TRUNC && !(flags & LX_O_PATH))
		sfile_refresh(sv, inode);
	result = object_open(sv, p, inode, flags, &o);
	if (result < 0)
		return result;
	if (object_show(sv, p, o, &opened)) {
		object_drop(sv, p, o);
		return -ENOMEM;
	}
	opened.steady = steady;
	memcpy(p->msg, &opened, sizeof(opened));
	return result;
}

int64_t
op_close(struct service *sv, struct proc *p, struct svc *s)
{
	struct object *o = object_find(sv, p, s->a);

	if (!o)
		return -EBADF;
	if (s->a == p->opening)
		p->opening = SVC_CWD;
	object_drop(sv, p, o);
	return 0;
}
