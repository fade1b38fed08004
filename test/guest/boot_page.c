/* SPDX-License-Identifier: MIT */
/* What boot.h promises the first environment. */
#include "guest.h"

TEST(boot_page)
{
	check_is(boot_page->size, sizeof(*boot_page));
	check_is(boot_page->version, AEGIS_VERSION);
	check_is(boot_page->env, 1);
	check(boot_page->space != 0);
	check(boot_page->image_low <= (uint64_t)boot_page_test);
	check(boot_page->image_high > (uint64_t)boot_page_test);
	check(boot_page->archive_bytes > 110);
	check(option("libos") != NULL);
	check_is(probe_write(AEGIS_BOOT_PAGE, 1), AEGIS_CAUSE_PAGE);
	check_is(self()->last.error & 7, 7);
}
