// An asynchronous invocation as users see it (SPEC 2).
#pragma once

#include "api/json.h"
#include "queue/record.h"

namespace sterna::gateway {

api::OrderedJson to_json(const queue::Record& record);

// "/spaces/{space}/functions/{name}/invocations/{id}"
std::string location_of(const queue::FunctionName& function, std::string_view id);

}  // namespace sterna::gateway
