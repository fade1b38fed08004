/* SPDX-License-Identifier: MIT */
/*
 * flock, and fcntl's locks: what the program says becomes a range, and waiting.
 *
 * The locks themselves are the service's (exos/service/lock.c).  A process that has made a lock of its own
 * remembers that it has: from then on each close of a descriptor is told to the service, because it ends
 * all locks of the process on that file.
 */
#include "exos/core/core.h"
#include "exos/linux/calls.h"
#include "exos/linux/errno.h"
#include "exos/proc/process.h"

static int64_t
lock_service(struct file *f, uint32_t flags, uint64_t start, uint64_t end, struct svc *answer)
{
	for (;;) {
		uint32_t seen = core_events();
		int64_t result;

		*answer = (struct svc){
			.op = SVC_LOCK, .a = file_object(f), .b = flags, .c = start, .d = end};
		file_locked(f);
		result = svc_call(answer);
		if (result != -EAGAIN || !(flags & SVC_LOCK_WAIT))
			return result;
		result = process_block(seen, AEGIS_NEVER);
		if (result < 0) {
			*answer = (struct svc){.op = SVC_LOCK, .b = SVC_LOCK_CANCEL};
			svc_call(answer);
			return result;
		}
	}
}

/* Where l_start counts from. */
static int64_t
lock_base(struct file *f, int whence)
{
	struct fs_stat st;
	int64_t at;

	if (whence == LX_SEEK_SET)
		return 0;
	if (whence == LX_SEEK_CUR) {
		at = file_seek(f, 0, LX_SEEK_CUR);
		return at < 0 ? 0 : at;
	}
	at = file_stat(f, &st);
	return at < 0 ? at : (int64_t)st.size;
}

static int64_t
lock_range(struct file *f, const struct lx_flock *lock, uint64_t *start, uint64_t *end)
{
	int64_t base = lock_base(f, lock->l_whence), at, last = INT64_MAX;

	if (base < 0)
		return base;
	if (__builtin_add_overflow(base, lock->l_start, &at))
		return -EOVERFLOW;
	if (at < 0)
		return -EINVAL;
	if (lock->l_len > 0) {
		if (__builtin_add_overflow(at, lock->l_len - 1, &last))
			return -EOVERFLOW;
	} else if (lock->l_len < 0) {
		last = at - 1;
		if (__builtin_add_overflow(at, lock->l_len, &at) || at < 0)
			return -EINVAL;
	}
	*start = (uint64_t)at;
	*end = (uint64_t)last;
	return 0;
}

static int64_t
lock_ask(struct file *f, uint32_t flags, uint64_t range[2], struct lx_flock *lock, uint64_t user)
{
	struct svc answer;
	int64_t result = lock_service(f, flags | SVC_LOCK_ASK, range[0], range[1], &answer);

	if (result < 0)
		return result;
	if (result == 0) {
		lock->l_type = LX_F_UNLCK;
	} else {
		lock->l_type = answer.a ? LX_F_WRLCK : LX_F_RDLCK;
		lock->l_whence = LX_SEEK_SET;
		lock->l_start = (int64_t)answer.b;
		lock->l_len = answer.c == INT64_MAX ? 0 : (int64_t)(answer.c - answer.b + 1);
		lock->l_pid = (int32_t)answer.d;
	}
	return copy_out(user, lock, sizeof(*lock)) ? -EFAULT : 0;
}

int64_t
lock_fcntl(struct file *f, uint32_t command, uint64_t user)
{
	bool process = command <= LX_F_SETLKW;
	uint32_t flags = process ? SVC_LOCK_PROCESS : 0;
	struct lx_flock lock;
	struct svc answer;
	uint64_t range[2];
	int64_t result;

	if (copy_in(&lock, user, sizeof(lock)))
		return -EFAULT;
	if (lock.l_type < LX_F_RDLCK || lock.l_type > LX_F_UNLCK || lock.l_whence < LX_SEEK_SET ||
	    lock.l_whence > LX_SEEK_END || (!process && lock.l_pid))
		return -EINVAL;
	result = lock_range(f, &lock, &range[0], &range[1]);
	if (result)
		return result;
	if (lock.l_type == LX_F_WRLCK)
		flags |= SVC_LOCK_WRITE;
	if (command == LX_F_GETLK || command == LX_F_OFD_GETLK)
		return lock.l_type == LX_F_UNLCK ? -EINVAL : lock_ask(f, flags, range, &lock, user);
	if (lock.l_type == LX_F_UNLCK)
		flags |= SVC_LOCK_UNLOCK;
	else if (command == LX_F_SETLKW || command == LX_F_OFD_SETLKW)
		flags |= SVC_LOCK_WAIT;
	if (process)
		fd_table()->locks = 1;
	return lock_service(f, flags, range[0], range[1], &answer);
}

int64_t
sys_flock(struct call *c)
{
	uint32_t operation = (uint32_t)c->a[1], flags = SVC_LOCK_FILE;
	struct file *f = fd_file((int)c->a[0]);
	struct svc answer;

	if (!f || (file_flags(f) & LX_O_PATH))
		return -EBADF;
	switch (operation & ~(uint32_t)LX_LOCK_NB) {
	case LX_LOCK_SH:
		break;
	case LX_LOCK_EX:
		flags |= SVC_LOCK_WRITE;
		break;
	case LX_LOCK_UN:
		flags |= SVC_LOCK_UNLOCK;
		break;
	default:
		return -EINVAL;
	}
	if (!(operation & LX_LOCK_NB))
		flags |= SVC_LOCK_WAIT;
	return lock_service(f, flags, 0, INT64_MAX, &answer);
}
