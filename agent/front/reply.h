/*
 * The pieces that several replies share, in the protocol's words.
 */
#pragma once

#include "decide/reason.h"
#include "decide/unplug.h"
#include "qga-protocol/json-writer.h"

/* "NAME": [reasons] */
void reply_reasons(QgaWriter *writer, const char *name, const GPtrArray *reasons);
/* One job, as memory-query-unplug returns it. */
void reply_job(QgaWriter *writer, const UnplugJob *job, gint64 now_usec);
