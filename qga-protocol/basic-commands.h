/*
 * The commands that belong to the protocol itself: guest-sync, guest-sync-delimited, guest-ping and
 * guest-info (qga/main.c and qga/commands.c in QEMU). They know nothing of what the agent is for.
 */
#pragma once

#include "qga-protocol/dispatch.h"

typedef struct QgaBasicCommands QgaBasicCommands;

/* Registers the four in DISPATCH (borrowed), whose guest-info tells VERSION (copied). The result
 * must live as long as DISPATCH is used; free it after that. */
QgaBasicCommands *qga_basic_commands_register(QgaDispatch *dispatch, const char *version);
void qga_basic_commands_free(QgaBasicCommands *commands); /* NULL is fine */
