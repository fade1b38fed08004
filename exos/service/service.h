/* SPDX-License-Identifier: MIT */
/* The service role: what its start code, the entry of transfers, and the core's log call. */
#ifndef EXOS_SERVICE_SERVICE_H
#define EXOS_SERVICE_SERVICE_H

#include "exos/service/proto.h"

/* The first begin of a service environment: sets the domain up, then serves it for ever. */
_Noreturn void service_start(void);
/* A transfer from caller_env: does what *s asks and puts the answer there.  Never blocks. */
void service_call(struct svc *s, uint32_t caller_env);
/* A line for the log; it lies in the batch page of the service's area. */
void service_log(const char *text, uint32_t n);

#endif
