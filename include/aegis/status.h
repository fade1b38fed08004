/* SPDX-License-Identifier: MIT */
/*
 * Errors of Aegis calls.  A call returns a value >= 0, or one of these.  There are few on purpose:
 * a caller acts on the class of a failure, and the contract of each call says what the class means
 * there.  Numbers never change; new ones are added at the end.
 */
#ifndef AEGIS_STATUS_H
#define AEGIS_STATUS_H

/* X(name, value, meaning) */
#define AEGIS_STATUS_LIST(X)                                                             \
	X(OK, 0, "done")                                                                 \
	X(BAD_CALL, -1, "no such call number")                                           \
	X(BAD_ARG, -2, "an argument is outside its documented range")                    \
	X(BAD_CAP, -3, "the capability slot is empty, stale or revoked")                 \
	X(DENIED, -4, "the capability does not dominate the resource, or lacks a right") \
	X(NO_SUCH, -5, "the named resource does not exist")                              \
	X(IN_USE, -6, "the resource is owned or bound, and the call needs it not to be") \
	X(NO_MEMORY, -7, "no free frame answers the request")                            \
	X(LIMIT, -8, "the account or a fixed table is exhausted")                        \
	X(NEED_TABLE, -9, "a page table or holdings page must be supplied first")        \
	X(NOT_HELD, -10, "the address space does not hold the frame with these rights")  \
	X(BUSY, -11, "the target runs, is in a call, or does not accept; try again")     \
	X(DEAD, -12, "the environment ended")                                            \
	X(TIMED_OUT, -13, "the bound given by the caller has passed")                    \
	X(AGAIN, -14, "the state changed; look at it and call again")                    \
	X(NOT_BOUND, -15, "nothing is bound at this address")                            \
	X(WX, -16, "a binding may not be writable and executable in this space")

enum aegis_status {
#define AEGIS_STATUS_ENUM(name, value, text) AEGIS_##name = (value),
	AEGIS_STATUS_LIST(AEGIS_STATUS_ENUM)
#undef AEGIS_STATUS_ENUM
};

#endif
