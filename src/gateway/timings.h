// How long an invocation took, as its caller is told: X-Duration-Seconds and Server-Timing (SPEC 2).
#pragma once

#include "invoke/timings.h"
#include "net/http_server.h"

namespace sterna::gateway {

void add_timings(net::HttpConnection& connection, const invoke::Timings& timings);

}  // namespace sterna::gateway
