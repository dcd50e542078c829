/*
 * The socket of the agent behind memplugd, qemu-ga: connected to when a request for it comes, and
 * the relay's bytes are moved. It must never wait for qemu-ga, and costs nothing while nobody asks.
 */
#pragma once

#include <glib.h>

#include "qga-protocol/relay.h"

typedef struct Upstream Upstream;

Upstream *upstream_new(const char *path);
void upstream_free(Upstream *upstream); /* accepts NULL */
QgaRelay *upstream_relay(Upstream *upstream);
