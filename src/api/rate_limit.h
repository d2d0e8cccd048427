// The field `rate_limit` of apps and spaces.
#pragma once

#include "api/json.h"
#include "api/object_reader.h"
#include "base/rate_limit.h"

namespace sterna::api {

void read_rate_limit(ObjectReader& owner, RateLimit& out, FieldErrors& errors);
OrderedJson to_json(const RateLimit& limit);

}  // namespace sterna::api
