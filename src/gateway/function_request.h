// What a function receives of an HTTP request: end-to-end headers, and those that Sterna adds (SPEC 2).
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "api/function_spec.h"
#include "base/ulid.h"
#include "net/http_parser.h"

namespace sterna::gateway {

struct RequestContext {
  std::string_view client;  // address
  std::string_view path;    // as the function sees it
  std::string_view query;   // raw
  std::string_view call_id;
  api::Access access = api::Access::kToken;
};

// The client's own X-Call-Id when it is a ULID, else a new one.
std::string call_id_of(const net::HttpRequest& request, UlidGenerator& ids);

// The payload of a REQUEST frame, without the body. `ids` is also the source of trace ids; the payload takes
// the place of `memory`.
std::string encode_request(const net::HttpRequest& request, const RequestContext& context, UlidGenerator& ids,
                           std::string memory = {});

// A traceparent (W3C Trace Context 3.2): lower-case hex, ids that are not all zero. One of a later version is
// read as far as version 00 goes and becomes one of that. Nullopt: it is none.
std::optional<Traceparent> read_traceparent(std::string_view value);

}  // namespace sterna::gateway
