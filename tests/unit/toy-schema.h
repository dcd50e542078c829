/*
 * toy-schema.json as tables: a schema with each kind of type.
 */
#pragma once

#include "qga-protocol/schema.h"

extern const QgaSchema toy_schema;
