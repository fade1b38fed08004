/* SPDX-License-Identifier: MIT */
/*
 * Linux file ABI for x86-64: stat, statx, directory entries, open and fcntl numbers, poll.
 *
 * Owns the layouts and numbers of calls that name or use files. User addresses are uint64_t.
 *
 * 1. Layouts are pinned below; test/host/abi_test.c compares them with a host's kernel headers.
 */
#ifndef EXOS_LINUX_ABI_FILE_H
#define EXOS_LINUX_ABI_FILE_H

#include <stddef.h>
#include <stdint.h>

#define LX_PATH_MAX    4096
#define LX_NAME_MAX    255
#define LX_IOV_MAX     1024
#define LX_PIPE_BUF    4096
#define LX_SYMLINK_MAX 40 /* links followed in one lookup */

/* No transfer moves more than this in one call. */
#define LX_MAX_RW_COUNT 0x7ffff000

struct lx_timespec {
	int64_t tv_sec;
	int64_t tv_nsec;
};

struct lx_stat {
	uint64_t st_dev;
	uint64_t st_ino;
	uint64_t st_nlink;
	uint32_t st_mode;
	uint32_t st_uid;
	uint32_t st_gid;
	uint32_t pad0;
	uint64_t st_rdev;
	int64_t st_size;
	int64_t st_blksize;
	int64_t st_blocks; /* in units of 512 bytes */
	struct lx_timespec st_atim;
	struct lx_timespec st_mtim;
	struct lx_timespec st_ctim;
	int64_t unused[3];
};

struct lx_statx_timestamp {
	int64_t tv_sec;
	uint32_t tv_nsec;
	int32_t reserved;
};

struct lx_statx {
	uint32_t stx_mask;
	uint32_t stx_blksize;
	uint64_t stx_attributes;
	uint32_t stx_nlink;
	uint32_t stx_uid;
	uint32_t stx_gid;
	uint16_t stx_mode;
	uint16_t spare0;
	uint64_t stx_ino;
	uint64_t stx_size;
	uint64_t stx_blocks;
	uint64_t stx_attributes_mask;
	struct lx_statx_timestamp stx_atime;
	struct lx_statx_timestamp stx_btime;
	struct lx_statx_timestamp stx_ctime;
	struct lx_statx_timestamp stx_mtime;
	uint32_t stx_rdev_major;
	uint32_t stx_rdev_minor;
	uint32_t stx_dev_major;
	uint32_t stx_dev_minor;
	uint64_t stx_mnt_id;
	uint32_t stx_dio_mem_align;
	uint32_t stx_dio_offset_align;
	uint64_t spare3[12];
};

struct lx_statfs {
	int64_t f_type;
	int64_t f_bsize;
	int64_t f_blocks;
	int64_t f_bfree;
	int64_t f_bavail;
	int64_t f_files;
	int64_t f_ffree;
	int32_t f_fsid[2];
	int64_t f_namelen;
	int64_t f_frsize;
	int64_t f_flags;
	int64_t f_spare[4];
};

/* Followed by the name and a null byte; d_reclen is a multiple of 8. */
struct lx_dirent64 {
	uint64_t d_ino;
	int64_t d_off;
	uint16_t d_reclen;
	uint8_t d_type;
	char d_name[];
};

#define LX_DIRENT64_NAME            19 /* offset of the name: the struct's size includes padding */
#define LX_DIRENT64_RECLEN(namelen) ((LX_DIRENT64_NAME + (namelen) + 1 + 7) & ~7UL)

struct lx_iovec {
	uint64_t iov_base;
	uint64_t iov_len;
};

struct lx_pollfd {
	int32_t fd;
	int16_t events;
	int16_t revents;
};

struct lx_flock {
	int16_t l_type;
	int16_t l_whence;
	int64_t l_start;
	int64_t l_len;
	int32_t l_pid;
};

struct lx_utimbuf {
	int64_t actime;
	int64_t modtime;
};

#define LX_FD_SETSIZE 1024

struct lx_fd_set {
	uint64_t bits[LX_FD_SETSIZE / 64];
};

/* Sixth argument of pselect6. */
struct lx_sigset_argpack {
	uint64_t set;
	uint64_t size;
};

_Static_assert(sizeof(struct lx_timespec) == 16, "timespec");
_Static_assert(sizeof(struct lx_stat) == 144, "struct stat");
_Static_assert(offsetof(struct lx_stat, st_rdev) == 40, "struct stat");
_Static_assert(offsetof(struct lx_stat, st_size) == 48, "struct stat");
_Static_assert(offsetof(struct lx_stat, st_atim) == 72, "struct stat");
_Static_assert(sizeof(struct lx_statx_timestamp) == 16, "statx_timestamp");
_Static_assert(sizeof(struct lx_statx) == 256, "struct statx");
_Static_assert(offsetof(struct lx_statx, stx_mode) == 28, "struct statx");
_Static_assert(offsetof(struct lx_statx, stx_ino) == 32, "struct statx");
_Static_assert(offsetof(struct lx_statx, stx_atime) == 64, "struct statx");
_Static_assert(offsetof(struct lx_statx, stx_rdev_major) == 128, "struct statx");
_Static_assert(offsetof(struct lx_statx, stx_mnt_id) == 144, "struct statx");
_Static_assert(sizeof(struct lx_statfs) == 120, "struct statfs");
_Static_assert(offsetof(struct lx_dirent64, d_name) == LX_DIRENT64_NAME, "linux_dirent64");
_Static_assert(sizeof(struct lx_iovec) == 16, "iovec");
_Static_assert(sizeof(struct lx_pollfd) == 8, "pollfd");
_Static_assert(sizeof(struct lx_flock) == 32, "struct flock");
_Static_assert(offsetof(struct lx_flock, l_pid) == 24, "struct flock");
_Static_assert(sizeof(struct lx_fd_set) == 128, "fd_set");

/* Encoding of device numbers in st_dev and st_rdev, and of the mknod argument's low 32 bits. */
#define LX_MAKEDEV(major, minor)                                                       \
	((((uint64_t)(major)&0xfffU) << 8) | (((uint64_t)(major)&0xfffff000U) << 32) | \
	 ((uint64_t)(minor)&0xffU) | (((uint64_t)(minor)&0xffffff00U) << 12))
#define LX_MAJOR(dev) ((uint32_t)((((dev) >> 8) & 0xfffU) | (((dev) >> 32) & 0xfffff000U)))
#define LX_MINOR(dev) ((uint32_t)(((dev)&0xffU) | (((dev) >> 12) & 0xffffff00U)))

/* st_mode */
#define LX_S_IFMT   0170000
#define LX_S_IFSOCK 0140000
#define LX_S_IFLNK  0120000
#define LX_S_IFREG  0100000
#define LX_S_IFBLK  0060000
#define LX_S_IFDIR  0040000
#define LX_S_IFCHR  0020000
#define LX_S_IFIFO  0010000
#define LX_S_ISUID  0004000
#define LX_S_ISGID  0002000
#define LX_S_ISVTX  0001000

/* d_type */
#define LX_DT_UNKNOWN 0
#define LX_DT_FIFO    1
#define LX_DT_CHR     2
#define LX_DT_DIR     4
#define LX_DT_BLK     6
#define LX_DT_REG     8
#define LX_DT_LNK     10
#define LX_DT_SOCK    12

/* stx_mask and stx_attributes */
#define LX_STATX_TYPE            0x00000001U
#define LX_STATX_MODE            0x00000002U
#define LX_STATX_NLINK           0x00000004U
#define LX_STATX_UID             0x00000008U
#define LX_STATX_GID             0x00000010U
#define LX_STATX_ATIME           0x00000020U
#define LX_STATX_MTIME           0x00000040U
#define LX_STATX_CTIME           0x00000080U
#define LX_STATX_INO             0x00000100U
#define LX_STATX_SIZE            0x00000200U
#define LX_STATX_BLOCKS          0x00000400U
#define LX_STATX_BASIC_STATS     0x000007ffU
#define LX_STATX_BTIME           0x00000800U
#define LX_STATX_MNT_ID          0x00001000U
#define LX_STATX_DIOALIGN        0x00002000U
#define LX_STATX__RESERVED       0x80000000U
#define LX_STATX_ATTR_IMMUTABLE  0x00000010
#define LX_STATX_ATTR_APPEND     0x00000020
#define LX_STATX_ATTR_MOUNT_ROOT 0x00002000

/* open flags */
#define LX_O_ACCMODE   00000003
#define LX_O_RDONLY    00000000
#define LX_O_WRONLY    00000001
#define LX_O_RDWR      00000002
#define LX_O_CREAT     00000100
#define LX_O_EXCL      00000200
#define LX_O_NOCTTY    00000400
#define LX_O_TRUNC     00001000
#define LX_O_APPEND    00002000
#define LX_O_NONBLOCK  00004000
#define LX_O_NDELAY    00004000
#define LX_O_DSYNC     00010000
#define LX_O_ASYNC     00020000
#define LX_O_DIRECT    00040000
#define LX_O_LARGEFILE 00100000
#define LX_O_DIRECTORY 00200000
#define LX_O_NOFOLLOW  00400000
#define LX_O_NOATIME   01000000
#define LX_O_CLOEXEC   02000000
#define LX_O_SYNC      04010000
#define LX_O_PATH      010000000
#define LX_O_TMPFILE   020200000

/* Directory descriptor and flags of the *at calls. */
#define LX_AT_FDCWD            (-100)
#define LX_AT_SYMLINK_NOFOLLOW 0x100
#define LX_AT_EACCESS          0x200
#define LX_AT_REMOVEDIR        0x200
#define LX_AT_SYMLINK_FOLLOW   0x400
#define LX_AT_NO_AUTOMOUNT     0x800
#define LX_AT_EMPTY_PATH       0x1000
#define LX_AT_STATX_SYNC_TYPE  0x6000
#define LX_AT_STATX_FORCE_SYNC 0x2000
#define LX_AT_STATX_DONT_SYNC  0x4000

#define LX_F_OK 0
#define LX_X_OK 1
#define LX_W_OK 2
#define LX_R_OK 4

#define LX_SEEK_SET  0
#define LX_SEEK_CUR  1
#define LX_SEEK_END  2
#define LX_SEEK_DATA 3
#define LX_SEEK_HOLE 4

#define LX_RENAME_NOREPLACE 1
#define LX_RENAME_EXCHANGE  2
#define LX_RENAME_WHITEOUT  4

#define LX_UTIME_NOW  0x3fffffffL
#define LX_UTIME_OMIT 0x3ffffffeL

#define LX_FALLOC_FL_KEEP_SIZE  1
#define LX_FALLOC_FL_PUNCH_HOLE 2
#define LX_FALLOC_FL_ZERO_RANGE 16

/* fcntl */
#define LX_F_DUPFD         0
#define LX_F_GETFD         1
#define LX_F_SETFD         2
#define LX_F_GETFL         3
#define LX_F_SETFL         4
#define LX_F_GETLK         5
#define LX_F_SETLK         6
#define LX_F_SETLKW        7
#define LX_F_SETOWN        8
#define LX_F_GETOWN        9
#define LX_F_SETSIG        10
#define LX_F_GETSIG        11
#define LX_F_SETOWN_EX     15
#define LX_F_GETOWN_EX     16
#define LX_F_OFD_GETLK     36
#define LX_F_OFD_SETLK     37
#define LX_F_OFD_SETLKW    38
#define LX_F_SETLEASE      1024
#define LX_F_GETLEASE      1025
#define LX_F_NOTIFY        1026
#define LX_F_DUPFD_CLOEXEC 1030
#define LX_F_SETPIPE_SZ    1031
#define LX_F_GETPIPE_SZ    1032
#define LX_F_ADD_SEALS     1033
#define LX_F_GET_SEALS     1034
#define LX_FD_CLOEXEC      1
#define LX_F_RDLCK         0
#define LX_F_WRLCK         1
#define LX_F_UNLCK         2
#define LX_LOCK_SH         1
#define LX_LOCK_EX         2
#define LX_LOCK_NB         4
#define LX_LOCK_UN         8

/* poll */
#define LX_POLLIN     0x0001
#define LX_POLLPRI    0x0002
#define LX_POLLOUT    0x0004
#define LX_POLLERR    0x0008
#define LX_POLLHUP    0x0010
#define LX_POLLNVAL   0x0020
#define LX_POLLRDNORM 0x0040
#define LX_POLLRDBAND 0x0080
#define LX_POLLWRNORM 0x0100
#define LX_POLLWRBAND 0x0200
#define LX_POLLMSG    0x0400
#define LX_POLLRDHUP  0x2000

/* f_type and f_flags of statfs */
#define LX_TMPFS_MAGIC        0x01021994
#define LX_RAMFS_MAGIC        0x858458f6
#define LX_PROC_SUPER_MAGIC   0x9fa0
#define LX_SYSFS_MAGIC        0x62656572
#define LX_PIPEFS_MAGIC       0x50495045
#define LX_SOCKFS_MAGIC       0x534f434b
#define LX_DEVPTS_SUPER_MAGIC 0x1cd1
#define LX_ST_RDONLY          1
#define LX_ST_NOSUID          2
#define LX_ST_VALID           0x20

#endif
