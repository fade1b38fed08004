/* SPDX-License-Identifier: MIT */
/* Accounts: limits hold at every moment, also against concurrent charges, and all is given back. */
#include <pthread.h>
#include "host.h"

static bool
test_limits(void)
{
	struct aegis_env_create want = {.frame_limit = 10, .env_limit = 2, .node_limit = 3};
	status a = account_create(1, &want);

	EXPECT(a > 1 && accounts[1].used[ACCOUNT_FRAME] >= 10 &&
	       accounts[a].limit[ACCOUNT_FRAME] == 10);
	account_ref((uint32_t)a);
	EXPECT(account_charge((uint32_t)a, ACCOUNT_FRAME, 10) == AEGIS_OK);
	EXPECT(account_charge((uint32_t)a, ACCOUNT_FRAME, 1) == AEGIS_LIMIT);
	EXPECT(account_charge((uint32_t)a, ACCOUNT_FRAME, 0xffffffff) == AEGIS_LIMIT);
	EXPECT(account_charge((uint32_t)a, ACCOUNT_SLICE, 1) == AEGIS_LIMIT);
	EXPECT(account_charge((uint32_t)a, ACCOUNT_NODE, 3) == AEGIS_OK);
	EXPECT(account_invariants());
	account_unref((uint32_t)a);
	EXPECT(accounts[a].live); /* what is charged keeps it */
	account_refund((uint32_t)a, ACCOUNT_NODE, 3);
	account_refund((uint32_t)a, ACCOUNT_FRAME, 10);
	EXPECT(!accounts[a].live);
	return account_invariants();
}

static bool
test_tree(void)
{
	struct aegis_env_create big = {.frame_limit = 100, .env_limit = 12};
	struct aegis_env_create half = {.frame_limit = 50, .env_limit = 10};
	struct aegis_env_create wrong = {.frame_limit = 50, .env_limit = 12};
	struct aegis_env_create none = {.frame_limit = 0};
	struct aegis_env_create all = {.env_limit = UINT32_MAX};
	uint32_t before = accounts[1].used[ACCOUNT_FRAME];
	status a = account_create(1, &big), b, c;

	account_ref((uint32_t)a);
	EXPECT(account_create(1, &all) == AEGIS_LIMIT);
	EXPECT(account_create((uint32_t)a, &wrong) == AEGIS_LIMIT);
	EXPECT(accounts[a].used[ACCOUNT_FRAME] == 0); /* nothing stays carved */
	b = account_create((uint32_t)a, &half);
	EXPECT(b > 0 && accounts[a].used[ACCOUNT_FRAME] == 50);
	account_ref((uint32_t)b);
	c = account_create((uint32_t)a, &half);
	EXPECT(c == AEGIS_LIMIT); /* no environments left */
	EXPECT(accounts[a].used[ACCOUNT_ENV] == 11 && accounts[a].used[ACCOUNT_SPACE] == 10);
	half.env_limit = 0; /* the account itself is the last */
	c = account_create((uint32_t)a, &half);
	EXPECT(c > 0 && account_charge((uint32_t)a, ACCOUNT_FRAME, 1) == AEGIS_LIMIT);
	account_ref((uint32_t)c);
	EXPECT(account_invariants());
	EXPECT(account_create((uint32_t)a, &none) == AEGIS_LIMIT);
	account_unref((uint32_t)a); /* children keep it */
	EXPECT(accounts[a].live);
	account_unref((uint32_t)b);
	account_unref((uint32_t)c);
	EXPECT(!accounts[a].live && accounts[1].used[ACCOUNT_FRAME] == before);
	return account_invariants();
}

static bool
test_full(void)
{
	struct aegis_env_create want = {.frame_limit = 1};
	status n, rows[ACCOUNTS];
	uint32_t count = 0;

	while ((n = account_create(1, &want)) > 0) {
		account_ref((uint32_t)n);
		rows[count++] = n;
	}
	EXPECT(n == AEGIS_LIMIT && count == ACCOUNTS - 2 && account_invariants());
	while (count)
		account_unref((uint32_t)rows[--count]);
	return account_invariants();
}

static uint32_t racer;
static atomic_bool overshot;

static void *
race(void *unused)
{
	for (int i = 0; i < 20000; i++) {
		if (account_charge(racer, ACCOUNT_FRAME, 3) == AEGIS_OK) {
			if (accounts[racer].used[ACCOUNT_FRAME] >
			    accounts[racer].limit[ACCOUNT_FRAME])
				overshot = true;
			account_refund(racer, ACCOUNT_FRAME, 3);
		}
	}
	return unused;
}

static bool
test_race(void)
{
	struct aegis_env_create want = {.frame_limit = 5};
	pthread_t threads[4];

	racer = (uint32_t)account_create(1, &want);
	account_ref(racer);
	for (int i = 0; i < 4; i++)
		EXPECT(pthread_create(&threads[i], NULL, race, NULL) == 0);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	EXPECT(!overshot && accounts[racer].used[ACCOUNT_FRAME] == 0);
	account_unref(racer);
	return account_invariants();
}

int
main(void)
{
	host_boot(HOST_FRAMES, 1);
	host_ok(test_limits(), "limits");
	host_ok(test_tree(), "carving and giving back");
	host_ok(test_full(), "a full table");
	host_ok(test_race(), "concurrent charges do not overshoot");
	return host_done();
}
