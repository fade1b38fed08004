/* SPDX-License-Identifier: MIT */
/*
 * Parked files: closed by the program, still open at the service, to be opened again without a call.
 *
 * Owns struct park_table (private heap): the last few names that were opened for reading alone, each with
 * the file that it led to, which is open, or parked.  The service knows of the parked ones by the words
 * SVC_TAIL->parked, one a slot, each an object's number or 0.  Whoever exchanges a number for 0 has the
 * object: the process, to open or close it, or the service, which closes it when its inode has lost its
 * last name or when objects run out.  So nothing that is gone for everybody stays because of a parked file.
 *
 * 1. A slot's name leads to its file as long as mail->names is what it was before the name was looked up: it
 *    changes with every name that goes or moves, every change of an owner or mode, and when the process itself
 *    changes its directory or identity.  Names that are made take nothing away from those that were found.
 * 2. Only a path that did not go through a generated tree has a slot: those change without anybody's doing.
 * 3. A parked file is on no list, has no reference, position, lock or shared part.  Its pages in the arena
 *    stay bound; a binding that was dropped meanwhile faults when the file is on the list again.
 * 4. A file is parked only if its name still leads to it, looked at after the word was written: the service
 *    changes mail->names before it looks at the words.
 * 5. While the environment is lent (vfork) no slot has a file: message pages are two processes' then.
 * 6. A child of fork has a copy of the table, and words that are 0: it finds the parked ones gone.
 */
#include "exos/fd/park.h"

#include "exos/fd/priv.h"

#define PARK_MAIL ((const volatile struct mail *)EXOS_MAIL)

struct park {
	struct file *file; /* NULL: free */
	bool parked;
	uint32_t length;
	uint64_t names;
	uint64_t text[PARK_PATH / 8]; /* zeros behind the name */
};

struct park_table {
	uint32_t next;
	struct park slot[SVC_PARKED];
};

static uint32_t *
park_word(uint32_t slot)
{
	return &SVC_TAIL(EXOS_MSG)->parked[slot];
}

/* The object is this process's again: false, the service has closed it. */
static bool
park_regain(uint32_t slot, uint32_t obj)
{
	return __atomic_compare_exchange_n(park_word(slot), &obj, 0, false, __ATOMIC_SEQ_CST,
					   __ATOMIC_RELAXED);
}

/* The slot is free.  The object that must be closed, or 0. */
static uint32_t
slot_clear(struct park *p, uint32_t slot)
{
	struct file *f = p->file;
	uint32_t obj;

	if (!f)
		return 0;
	f->park = 0;
	p->file = NULL;
	if (!p->parked)
		return 0;
	p->parked = false;
	obj = f->obj;
	file_free(f);
	return park_regain(slot, obj) ? obj : 0;
}

void
park_flush(void)
{
	struct park_table *t = fd_table()->parks;
	uint32_t obj;

	for (uint32_t i = 0; t && i < SVC_PARKED; i++) {
		obj = slot_clear(&t->slot[i], i);
		if (obj)
			service(SVC_CLOSE, obj, 0, 0, 0);
	}
	core_free(t, sizeof(*t));
	fd_table()->parks = NULL;
}

static struct park_table *
park_table(void)
{
	struct fd_table *t = fd_table();

	if (!t->parks) {
		t->parks = core_alloc(sizeof(*t->parks));
		if (t->parks)
			memset(t->parks, 0, sizeof(*t->parks));
	}
	return t->parks;
}

static uint64_t
names_now(void)
{
	return __atomic_load_n(&PARK_MAIL->names, __ATOMIC_SEQ_CST);
}

/* The slot of a name, or SVC_PARKED. */
static uint32_t
slot_find(const struct park_table *t, const uint64_t *text, uint32_t length)
{
	uint32_t words = length / 8 + 1, w;

	for (uint32_t i = 0; i < SVC_PARKED; i++) {
		const struct park *p = &t->slot[i];

		if (!p->file || p->length != length)
			continue;
		for (w = 0; w < words && p->text[w] == text[w]; w++)
			;
		if (w == words)
			return i;
	}
	return SVC_PARKED;
}

struct file *
park_open(const char *path, uint32_t length, struct park_open *open)
{
	struct park_table *t = fd_table()->lent || length >= PARK_PATH ? NULL : park_table();
	const uint64_t *text = (const uint64_t *)(const void *)path;
	struct park *p;
	struct file *f;

	*open = (struct park_open){.slot = SVC_PARKED, .names = names_now()};
	if (!t)
		return NULL;
	open->slot = slot_find(t, text, length);
	p = &t->slot[open->slot];
	if (open->slot < SVC_PARKED && p->parked && p->names == open->names &&
	    park_regain(open->slot, p->file->obj)) {
		f = p->file;
		p->parked = false;
		f->refs = 1;
		f->flags = LX_O_RDONLY | LX_O_LARGEFILE;
		f->position = 0;
		file_list(f);
		return f;
	}
	if (open->slot == SVC_PARKED)
		open->slot = t->next++ % SVC_PARKED;
	open->close = slot_clear(&t->slot[open->slot], open->slot);
	return NULL;
}

void
park_opened(struct file *f, const char *path, uint32_t length, const struct park_open *open)
{
	struct park *p;

	if (open->slot >= SVC_PARKED || f->type != SVC_T_FILE)
		return;
	p = &fd_table()->parks->slot[open->slot];
	*p = (struct park){.file = f, .length = length, .names = open->names};
	memcpy(p->text, path, (length / 8 + 1) * 8ul);
	f->park = open->slot + 1;
}

bool
park_close(struct file *f)
{
	uint32_t slot = f->park - 1;
	struct park *p = &fd_table()->parks->slot[slot];

	if (f->shared || f->locked) {
		p->file = NULL;
		return false;
	}
	__atomic_exchange_n(park_word(slot), f->obj, __ATOMIC_SEQ_CST);
	if (names_now() == p->names) {
		file_unlist(f);
		p->parked = true;
		return true;
	}
	/* If the service was quicker, it has closed the object; closing it again does nothing. */
	park_regain(slot, f->obj);
	p->file = NULL;
	return false;
}
