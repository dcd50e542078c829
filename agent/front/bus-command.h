/*
 * A command of the protocol that somebody beside a session runs, and its answer as JSON text: how
 * D-Bus reaches the same handlers as the channel.
 */
#pragma once

#include "qga-protocol/dispatch.h"

/* The answer: JSON (N bytes, NUL behind them), or NULL and what is wrong. All borrowed. */
typedef struct {
    const char *json;
    gsize n_bytes;
    QgaErrorClass error_class;
    const char *desc;
} BusAnswer;

typedef void (*BusAnswerFunc)(const BusAnswer *answer, gpointer user_data);

/* Commands that have not answered. Free with g_hash_table_unref(): then nobody is told. */
GHashTable *bus_commands_new(void);

/**
 * bus_command_run: runs @name, whatever the channel's allow and block lists say of it.
 * @arguments: borrowed, NULL: none.
 * @func: called once, from in here or later.
 * @free_func: for @user_data, after @func, or when @commands is freed before.
 */
void bus_command_run(GHashTable *commands, QgaDispatch *dispatch, const char *name,
                     JsonObject *arguments, BusAnswerFunc func, gpointer user_data,
                     GDestroyNotify free_func);
