// Error answers: problem documents (RFC 9457) on a connection.
#pragma once

#include <string_view>

#include "base/error.h"
#include "invoke/failures.h"
#include "net/http_server.h"

namespace sterna::gateway {

// Ends the exchange with a problem document. For invocations give the call id (may be empty) and whose fault
// it is.
void answer_problem(net::HttpConnection& connection, unsigned status, const Error& error);
void answer_invocation_error(net::HttpConnection& connection, unsigned status, const Error& error,
                             std::string_view call_id);
void answer_failure(net::HttpConnection& connection, const invoke::FailureInfo& failure,
                    std::string_view call_id);

// As above, but leave the head open for more headers: end it with connection.send(body).
std::string begin_invocation_error(net::HttpConnection& connection, unsigned status, const Error& error,
                                   std::string_view call_id);
std::string begin_failure(net::HttpConnection& connection, const invoke::FailureInfo& failure,
                          std::string_view call_id);

}  // namespace sterna::gateway
