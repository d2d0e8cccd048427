// Keeps web pages away from a server that asks for no tokens: the browser of whoever runs it reaches it, and
// every page in that browser can make it send requests there.
#pragma once

#include <string_view>

#include "base/error.h"
#include "net/http_parser.h"

namespace sterna::gateway {

// Whether a Host header, or what stands for it in an Origin, names this machine by its loopback: localhost,
// names below it, 127.0.0.0/8, [::1], each with a port or without.
bool names_loopback(std::string_view authority);

// Success, or denied, reason `host_not_allowed`: the Host is another name. Whoever owns that name can let it
// point here (DNS rebinding), and then pages of it are of this server's own origin.
Status check_host(const net::HttpRequest& request);

// Likewise, and denied, reason `origin_not_allowed`: a page of another origin has had it sent. Programs that
// are no browsers say nothing about that, and are let in.
Status check_page(const net::HttpRequest& request);

}  // namespace sterna::gateway
