/* SPDX-License-Identifier: MIT */
/*
 * File pages, sizes and limits of the in-memory file system, all invariants after every step.
 * Prints TAP.
 */
#include "test/host/fs_case.h"

static void
test_pages(void)
{
	struct fs_inode *f;
	struct fs_page page;
	char buf[16];

	begin("pages and sizes");
	f = t_open(&root_cred, "f", FS_O_CREAT | FS_O_RDWR, 0644);
	IS(fs_page_get(fs, f, 0, false, &page), -ENXIO);
	IS(fake_pwrite(fs, fake, f, 0, "0123456789", 10), 10);
	IS(fs_page_get(fs, f, 0, false, &page), 0);
	CHECK(page.state == FS_PAGE_OWN);
	/* Stray bytes behind the end do not show when the file grows. */
	fake_frame_write(fake, page.pfn, 10, "stray", 5);
	IS(fs_set_size(fs, f, 100), 0);
	IS(fake_pread(fs, fake, f, 8, buf, 8), 8);
	CHECK(!memcmp(buf, "89\0\0\0\0\0\0", 8));
	fake_frame_write(fake, page.pfn, 100, "stray", 5);
	IS(fs_extend(fs, f, 103, 110), 0);
	IS(fake_pread(fs, fake, f, 100, buf, 10), 10);
	CHECK(!memcmp(buf, "\0\0\0ay\0\0\0\0\0", 10));
	IS(fs_set_size(fs, f, 4), 0);
	IS(fs_set_size(fs, f, 20), 0);
	IS(fake_pread(fs, fake, f, 0, buf, 8), 8);
	CHECK(!memcmp(buf, "0123\0\0\0\0", 8));
	fs_close(fs, f);
	end();
}

static void
test_sparse(void)
{
	struct fs_inode *f;
	struct fs_page page;
	struct fs_stat st;

	begin("sparse files");
	f = t_open(&root_cred, "f", FS_O_CREAT | FS_O_RDWR, 0644);
	IS(fake_pwrite(fs, fake, f, 0, "0123456789", 10), 10);
	/* Sparse, far out: 64 GiB and the largest. */
	IS(fake_pwrite(fs, fake, f, (64ull << 30) - 5, "tail", 4), 4);
	IS(fs_page_get(fs, f, 1000000, false, &page), 0);
	CHECK(page.state == FS_PAGE_HOLE && page.pfn == FS_NO_PFN);
	IS(fs_stat(fs, f, &st), 0);
	CHECK(st.size == (64ull << 30) - 1 && st.blocks == 16);
	IS(fake_pwrite(fs, fake, f, FS_FILE_MAX - 4, "tail", 4), 4);
	IS(fs_page_get(fs, f, FS_FILE_MAX / FS_PAGE_SIZE, true, &page), -EFBIG);
	IS(fs_page_get(fs, f, UINT64_MAX, true, &page), -EFBIG);
	IS(fs_page_get(fs, f, UINT64_MAX, false, &page), -ENXIO);
	IS(fs_extend(fs, f, 0, FS_FILE_MAX + 1), -EFBIG);
	IS(fs_extend(fs, f, 5, 4), -EINVAL);
	IS(fs_set_size(fs, f, FS_FILE_MAX + 1), -EFBIG);
	IS(fs_seek_data(fs, f, 0, false), 0);
	IS(fs_seek_data(fs, f, 0, true), 4096);
	IS(fs_seek_data(fs, f, 5000, true), 5000);
	IS(fs_seek_data(fs, f, 5000, false), (64ull << 30) - 4096);
	IS(fs_seek_data(fs, f, 65ull << 30, false), FS_FILE_MAX - 4096);
	IS(fs_seek_data(fs, f, FS_FILE_MAX - 4, true), FS_FILE_MAX);
	IS(fs_seek_data(fs, f, FS_FILE_MAX, true), -ENXIO);
	IS(fake->frames, 3);
	IS(fs_set_size(fs, f, 5), 0);
	IS(fake->frames, 1);
	IS(fake->gone[FS_PAGE_OWN], 2);
	CHECK(f->pages.height == 0);
	fs_close(fs, f);
	end();
}

static void
test_runs(void)
{
	struct fs_inode *f;
	struct fs_page page, run[16];
	char buf[16];

	begin("runs of pages");
	f = t_open(&root_cred, "f", FS_O_CREAT | FS_O_RDWR, 0644);
	IS(fake_pwrite(fs, fake, f, 0, "01234", 5), 5);
	IS(fs_range(fs, f, 0, 16, false, run), 1);
	IS(fs_range(fs, f, 1, 16, false, run), 0);
	IS(fs_range(fs, f, 1, 16, true, run), 16);
	IS(fake->frames, 17);
	IS(fs_extend(fs, f, 4096, 3 * 4096), 0);
	IS(fs_range(fs, f, 0, 16, false, run), 3);
	IS(fs_punch(fs, f, 1, 1), 0);
	IS(fs_range(fs, f, 0, 16, false, run), 3);
	CHECK(run[1].state == FS_PAGE_HOLE && run[2].state == FS_PAGE_OWN);
	/* Frames beyond the end go with the last reference. */
	IS(fake->frames, 16);
	fs_close(fs, f);
	IS(fake->frames, 2);
	f = t_open(&root_cred, "f", FS_O_RDWR | FS_O_TRUNC, 0);
	CHECK(fs_size(fs, f) == 0 && fake->frames == 0);
	fs_close(fs, f);
	f = t_open(&root_cred, "/", FS_O_DIRECTORY, 0);
	IS(fs_page_get(fs, f, 0, false, &page), -EISDIR);
	IS(fs_set_size(fs, f, 0), -EISDIR);
	fs_close(fs, f);
	t_mknod(&root_cred, "p", FS_IFIFO | 0600, 0);
	f = t_open(&root_cred, "p", FS_O_RDWR, 0);
	IS(fs_page_get(fs, f, 0, false, &page), -EINVAL);
	IS(fs_truncate(fs, NULL, f, 0), -EINVAL);
	fs_object_set(f, buf);
	CHECK(fs_object(f) == buf);
	fs_close(fs, f);
	end();
}

/* Random writes, cuts and punches against a flat array. */
static void
test_pages_random(void)
{
	enum { SIZE = 300 * 4096 };
	static uint8_t model[SIZE], got[SIZE];
	uint64_t size = 0, rng = 12345;
	struct fs_inode *f;
	bool same = true;

	begin("random writes against an array");
	f = t_open(&root_cred, "f", FS_O_CREAT | FS_O_RDWR, 0644);
	for (int step = 0; step < 3000; step++) {
		uint64_t off, len, first, count;
		uint8_t data[9000];

		rng = rng * 6364136223846793005u + 1442695040888963407u;
		off = (rng >> 33) % (SIZE - sizeof(data));
		len = (rng >> 20) % sizeof(data);
		switch ((rng >> 60) % 4) {
		case 0:
			fs_set_size(fs, f, off);
			if (off < size)
				memset(model + off, 0, size - off);
			size = off;
			break;
		case 1:
			first = off / FS_PAGE_SIZE;
			count = len / 1000;
			fs_punch(fs, f, first, count);
			memset(model + first * FS_PAGE_SIZE, 0, count * FS_PAGE_SIZE);
			break;
		default:
			memset(data, (int)(rng >> 50) | 1, sizeof(data));
			if (fake_pwrite(fs, fake, f, off, data, len) != (int)len)
				same = false;
			memcpy(model + off, data, len);
			if (len && off + len > size)
				size = off + len;
		}
		if (fake_pread(fs, fake, f, 0, got, SIZE) != (int)size ||
		    memcmp(got, model, size) || !fs_check(fs, NULL)) {
			printf("# differs at step %d\n", step);
			same = false;
			break;
		}
	}
	CHECK(same);
	fs_close(fs, f);
	end();
}

static void
test_live(void)
{
	struct fs_inode *f;
	struct fs_stat st;

	begin("files whose writers keep the size");
	f = t_open(&root_cred, "f", FS_O_CREAT | FS_O_RDWR, 0644);
	fs_live_set(fs, f, true);
	fake->have_live = true;
	fake->live.size = 5000;
	IS(fs_size(fs, f), 5000);
	fake->live.size = 4000;
	IS(fs_size(fs, f), 5000);
	fake->live.size = UINT64_MAX;
	IS(fs_size(fs, f), 5000);
	fake->live = (struct fs_live){.size = 6000, .mtime = INT64_MAX, .atime = -1};
	IS(fs_stat(fs, f, &st), 0);
	CHECK(st.size == 6000 && st.mtime < 1000000 && st.atime > 0);
	fake->live.mtime = fake->time;
	IS(fs_stat(fs, f, &st), 0);
	CHECK(st.mtime == fake->live.mtime);
	IS(fs_set_size(fs, f, 10), 0);
	CHECK(fake->cut_size == 10);
	IS(fs_size(fs, f), 10);
	fs_live_set(fs, f, false);
	fake->live.size = 7000;
	IS(fs_size(fs, f), 10);
	fs_close(fs, f);
	end();
}

static void
test_limits(void)
{
	struct fs_inode *f;
	struct fs_statfs st;
	struct fs_page run[8];
	char name[32];
	int err = 0, made = 0;

	begin("limits");
	fs_destroy(fs);
	fs = fake_fs(fake, 0, 4, 10);
	f = t_open(&root_cred, "f", FS_O_CREAT | FS_O_RDWR, 0644);
	IS(fs_range(fs, f, 0, 8, true, run), 4);
	IS(fs_range(fs, f, 4, 4, true, run), -ENOSPC);
	fs_statfs(fs, f, &st);
	CHECK(st.blocks == 4 && st.bfree == 0 && st.files == 10 && st.ffree == 8);
	fs_close(fs, f);
	for (int i = 0; i < 20; i++) {
		struct fs_path p = {NULL, name, (size_t)snprintf(name, sizeof(name), "n%d", i)};

		err = fs_mkdir(fs, &root_cred, &p, 0755);
		made += !err;
	}
	IS(err, -ENOSPC);
	IS(made, 8);
	fs_destroy(fs);
	fs = fake_fs(fake, 60000, 0, 0);
	CHECK(fs != NULL);
	for (err = made = 0; !err && made < 100000; made++) {
		struct fs_path p = {NULL, name, (size_t)snprintf(name, sizeof(name), "n%d", made)};

		err = fs_mkdir(fs, &root_cred, &p, 0755);
	}
	IS(err, -ENOSPC);
	/* A full heap does not keep names from being replaced or removed. */
	IS(t_rename(&root_cred, "n0", "n1", 0), 0);
	IS(t_rmdir(&root_cred, "n1"), 0);
	made = (int)(FS_NLINK_MAX - fs->root->nlink);
	fs->root->nlink += (uint32_t)made;
	err = t_mkdir(&root_cred, "m", 0755);
	fs->root->nlink -= (uint32_t)made;
	IS(err, -EMLINK);
	end();
}

int
main(void)
{
	test_pages();
	test_sparse();
	test_runs();
	test_pages_random();
	test_live();
	test_limits();
	printf("1..%d\n", test_count);
	return test_failures != 0;
}
