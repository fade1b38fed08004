/* SPDX-License-Identifier: MIT */
/*
 * Credentials, the names of users, and figures.
 *
 * A process's credentials are here and nowhere else: what its mail says is a copy.  The rules are
 * those of setresuid(2) and its kin; calls with fewer arguments are expressed by them.
 *
 * Every user has a name of the kernel below the domain's; frames, environments and spaces of
 * processes are guarded by the name of the user under whom they were made.  A process that changes
 * its user keeps the name it was made under, which nothing can take from it, but gets the new one
 * for its children.
 */
#include "exos/service/priv.h"

/* The slot with the name of uid, one more user of it; 0: none left. */
uint32_t
name_take(struct service *sv, uint32_t uid)
{
	uint32_t empty = 0;

	for (uint32_t slot = NAME_FIRST; slot < NAME_MAX_SLOT; slot++) {
		struct name *name = &sv->names[slot];

		if (name->refs && name->uid == uid) {
			name->refs++;
			return slot;
		}
		if (!name->refs && !empty)
			empty = slot;
	}
	if (!empty || kern_name_derive(empty))
		return 0;
	sv->names[empty].uid = uid;
	sv->names[empty].refs = 1;
	return empty;
}

void
name_give(struct service *sv, uint32_t slot)
{
	if (slot && !--sv->names[slot].refs)
		kern_name_drop(slot);
}

/* Children are to be made under the name of the real user. */
static void
name_follow(struct service *sv, struct proc *p)
{
	uint32_t slot;

	if (sv->names[p->child_slot].uid == p->ruid)
		return;
	slot = name_take(sv, p->ruid);
	if (!slot || kern_grant(slot, p->env, RIGHTS_OWN, EXOS_CAP_USER)) {
		name_give(sv, slot);
		return;
	}
	name_give(sv, p->child_slot);
	p->child_slot = slot;
	p->own_slot = EXOS_CAP_USER;
}

static bool
id_allowed(uint32_t id, uint32_t real, uint32_t effective, uint32_t saved)
{
	return id == UINT32_MAX || id == real || id == effective || id == saved;
}

static int64_t
ids_write(struct proc *p, const struct svc *s, uint32_t *real, uint32_t *effective, uint32_t *saved)
{
	uint32_t r = (uint32_t)s->b, e = (uint32_t)s->c, v = (uint32_t)s->d;

	if (p->cred.uid && (!id_allowed(r, *real, *effective, *saved) ||
			    !id_allowed(e, *real, *effective, *saved) ||
			    !id_allowed(v, *real, *effective, *saved)))
		return -EPERM;
	*real = r == UINT32_MAX ? *real : r;
	*effective = e == UINT32_MAX ? *effective : e;
	*saved = v == UINT32_MAX ? *saved : v;
	return 0;
}

static int64_t
groups_write(struct proc *p, const struct svc *s)
{
	if (p->cred.uid)
		return -EPERM;
	if (s->b > FS_GROUPS_MAX)
		return -EINVAL;
	memcpy(p->cred.groups, p->msg, s->b * sizeof(uint32_t));
	p->cred.group_count = (uint32_t)s->b;
	return 0;
}

int64_t
op_setids(struct service *sv, struct proc *p, struct svc *s)
{
	int64_t result = -EINVAL;

	if (s->a == SVC_UID)
		result = ids_write(p, s, &p->ruid, &p->cred.uid, &p->suid);
	else if (s->a == SVC_GID)
		result = ids_write(p, s, &p->rgid, &p->cred.gid, &p->sgid);
	else if (s->a == SVC_GROUPS)
		result = groups_write(p, s);
	if (!result && s->a == SVC_UID)
		name_follow(sv, p);
	p->mail->names++;
	proc_mail(sv, p);
	return result;
}

int64_t
op_getids(struct service *sv, struct proc *p, struct svc *s)
{
	(void)sv;
	s->a = p->ruid | (uint64_t)p->cred.uid << 32;
	s->b = p->suid | (uint64_t)p->rgid << 32;
	s->c = p->cred.gid | (uint64_t)p->sgid << 32;
	s->d = p->cred.group_count;
	memcpy(p->msg, p->cred.groups, p->cred.group_count * sizeof(uint32_t));
	return 0;
}

int64_t
op_figures(struct service *sv, struct proc *p, struct svc *s)
{
	uint32_t old = p->umask;

	switch (s->op) {
	case SVC_UMASK:
		p->umask = (uint32_t)s->a & 0777;
		p->mail->umask = p->umask;
		return old;
	case SVC_LIST:
		s->a = 0;
		for (const struct proc *q = sv->all; q; q = q->next)
			s->a += !proc_over(q);
		kern_memory_read(&s->b, &s->c);
		return 0;
	default:
		s->a = p->child_user;
		s->b = p->child_sys;
		return 0;
	}
}
