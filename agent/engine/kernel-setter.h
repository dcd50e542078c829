/*
 * Has the kernel bring new memory online by itself where it can do what the policy says, and puts
 * the kernel's settings back afterwards: at stop, or, after a crash, at the next start.
 */
#pragma once

#include <glib.h>

#include "decide/kernel-onlining.h"
#include "os/executor.h"

typedef struct KernelSetter KernelSetter;

/* All borrowed. Learns from STATE_DIR what an earlier daemon of this boot changed. */
KernelSetter *kernel_setter_new(const AttrIo *io, Executor *executor, const char *state_dir,
                                const char *boot_id);
/* After the executor is gone. */
void kernel_setter_free(KernelSetter *setter); /* accepts NULL */

/* Sets what CONFIG asks for; see kernel_onlining_wanted(). Soon, by the worker. */
void kernel_setter_apply(KernelSetter *setter, const OnlineConfig *config, gboolean has_room);
/* Whether the kernel brings new blocks online as CONFIG says. */
gboolean kernel_setter_is_enough(const KernelSetter *setter, const OnlineConfig *config);
/* Whether auto_online_blocks, which reads WORD, is what the daemon made of it or found to do what
 * CONFIG says. */
gboolean kernel_setter_is_ours(const KernelSetter *setter, const OnlineConfig *config,
                               const char *word);

typedef void (*KernelSetterFunc)(gpointer user_data);
/* FUNC is called, perhaps from in here, when no write is under way. One may wait at a time. */
void kernel_setter_wait(KernelSetter *setter, KernelSetterFunc func, gpointer user_data);

/* Puts everything back; FUNC is called, perhaps from in here, when that is done. */
void kernel_setter_restore(KernelSetter *setter, KernelSetterFunc func, gpointer user_data);
