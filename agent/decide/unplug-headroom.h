/*
 * The part of the check that asks whether what is in the devices finds room elsewhere. For
 * unplug-check.c alone.
 */
#pragma once

#include "decide/unplug-check.h"

/* What a sentence about too little memory ends with: what might be had beside what is counted, and
 * how. "" where there is nothing. (transfer full) */
char *headroom_uncounted(const Uncounted *uncounted);

/* After the devices: fills in VERDICT's figures and adds every reason that its `leaving_bytes`,
 * which are known by now, give. */
void headroom_add_to_verdict(UnplugVerdict *verdict, const UnplugCheckInput *input);
