// Keeps web pages away from a server that asks for no tokens: the browser of whoever runs it reaches it, and
// every page in that browser can make it send requests there.
#pragma once

#include <string_view>

#include "base/error.h"
#include "net/http_parser.h"

namespace sterna::gateway {

// Whether a Host header, or what stands for it in an Origin, is a name that somebody can own: one of several
// labels. No addresses, no localhost and names below it (RFC 6761 6.3), no single labels.
bool can_be_owned(std::string_view authority);

// Success, or denied. Reason `host_not_allowed`: the Host can be owned, and whoever owns it can let it point
// here (DNS rebinding), so that pages of it are of this server's own origin. Reason `origin_not_allowed`: a
// page of another origin has had it sent. Programs that are no browsers say nothing about that, and are let
// in.
Status check_page(const net::HttpRequest& request);

}  // namespace sterna::gateway
