// A call's request as the event of a Lambda function: API Gateway's payload format 2.0 in JSON.
#pragma once

#include <string>
#include <string_view>

#include "base/clock.h"
#include "wire/messages.h"

namespace sterna::native {

// What stands in every event of a function.
struct EventSource {
  std::string function;
  std::string space;
};

// Header names in lower case, repeated headers and query parameters joined by commas, cookies apart. The body
// is text when its Content-Type says so and it is UTF-8, else base64.
std::string http_event(const wire::RequestHead& request, std::string_view body, const EventSource& source,
                       WallTime now);

// The X-Ray form of a W3C traceparent: "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=...;Sampled=1".
// Empty when it is none.
std::string xray_trace(std::string_view traceparent);

}  // namespace sterna::native
