// A request as environment variables, by the names of RFC 3875 (CGI).
#pragma once

#include "native/desk.h"
#include "native/environment.h"

namespace sterna::native {

// `base` and the request's variables: REQUEST_METHOD, PATH_INFO, QUERY_STRING, CONTENT_TYPE, CONTENT_LENGTH,
// HTTP_* for every header (repeated ones joined), the server's variables, STERNA_CALL_ID, and Http_Method,
// Http_Path, Http_Query, as OpenFaaS' classic watchdog names them.
Environment cgi_environment(const Environment& base, const Exchange& exchange);

}  // namespace sterna::native
