/*
 * A command of the protocol that a D-Bus method call runs, and its answer as that call's reply: how
 * D-Bus reaches the same handlers as the channel.
 */
#pragma once

#include <systemd/sd-bus.h>

#include "qga-protocol/dispatch.h"

/* Commands that have not answered. Free with g_hash_table_unref(): then nobody is told. */
GHashTable *bus_commands_new(void);

/**
 * bus_command_run: runs @name, whatever the channel's allow and block lists say of it.
 * @arguments: borrowed, NULL: none.
 * @request: a reference is kept; it gets the reply or the error, from in here or later.
 */
void bus_command_run(GHashTable *commands, QgaDispatch *dispatch, const char *name,
                     JsonObject *arguments, sd_bus_message *request);
