/*
 * How the kernel shall bring new memory online by itself, so that it does at once what the policy
 * would do after it. Pure.
 */
#pragma once

#include <glib.h>

#include "decide/online-policy.h"

/* The kernel's own settings. "": the kernel does not have it, or it is not known. */
#define KERNEL_WORD_MAX 24
typedef struct {
    char auto_online_blocks[KERNEL_WORD_MAX]; /* for memory that is added later */
    char online_policy[KERNEL_WORD_MAX];      /* where a plain "online" goes (Linux 5.16) */
    char movable_ratio[KERNEL_WORD_MAX];      /* auto_movable_ratio, percent */
} KernelOnlining;

/**
 * kernel_onlining_wanted: what to set.
 * @original: what was there before the daemon; where the policy does not care, that stays.
 * @has_room: the kernel's zones have enough to spare for another device; else blocks come offline,
 *   and the daemon decides about each.
 */
KernelOnlining kernel_onlining_wanted(const OnlineConfig *config, const KernelOnlining *original,
                                      gboolean has_room);

/* Whether with SETTINGS new blocks come online as the policy says, with nobody's help. */
gboolean kernel_onlining_is_enough(const OnlineConfig *config, const KernelOnlining *settings);
