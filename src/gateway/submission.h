// Requests that become asynchronous invocations: whether one does, and what the queue takes of it.
#pragma once

#include <optional>
#include <string>

#include "auth/grant.h"
#include "gateway/async_request.h"
#include "gateway/route.h"
#include "gateway/submit_exchange.h"
#include "invoke/function_table.h"

namespace sterna::gateway {

// How such a request is answered, and what its headers say.
struct AsyncWish {
  SubmitExchange::Plan plan;
  AsyncHeaders headers;
  std::string app;  // whose token was checked; empty: none was
};

// nullopt: it runs as a synchronous one. `caller`: null where no token was checked. Fails like
// parse_async_headers.
Result<std::optional<AsyncWish>> async_wish_of(const net::HttpRequest& request, RouteKind kind,
                                               const auth::Grant* caller, WallTime now);

// Takes the connection's body. `path` and `access` are as the function sees them. Fails with io when a body
// on disk cannot be read.
Result<queue::Submission> make_submission(net::HttpConnection& connection, const invoke::FunctionEntry& entry,
                                          const std::string& path, std::string_view query,
                                          const std::string& call_id, const AsyncWish& wish,
                                          api::Access access, WallTime now, UlidGenerator& ids);

}  // namespace sterna::gateway
