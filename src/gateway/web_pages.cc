#include "gateway/web_pages.h"

#include <string>

#include "base/ip_address.h"
#include "net/http_text.h"

namespace sterna::gateway {
namespace {

std::string_view without_port(std::string_view authority) {
  if (authority.starts_with('[')) return authority.substr(0, authority.find(']') + 1);
  return authority.substr(0, authority.find(':'));
}

// What an Origin says after the scheme; empty when it is none of HTTP, such as "null".
std::string_view authority_of(std::string_view origin) {
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (net::equal_ignoring_case(origin.substr(0, scheme.size()), scheme))
      return origin.substr(scheme.size());
  }
  return {};
}

// By what browsers add to every request, and scripts cannot set (Fetch Metadata); those that do not know it
// send the Origin, wherever a page of another one can change something. Where a browser says that the origin
// is the same, a proxy on this machine may have put another name for it into the Host.
bool is_own_page(const net::HttpRequest& request) {
  const std::string_view* site = request.find("sec-fetch-site");
  if (site != nullptr && *site != "same-origin" && *site != "none") return false;
  const std::string_view* origin = request.find("origin");
  if (origin == nullptr) return true;
  const std::string_view authority = authority_of(*origin);
  if (site != nullptr) return !authority.empty() && !can_be_owned(authority);
  const std::string_view* host = request.find(net::KnownHeader::kHost);
  return host != nullptr && net::equal_ignoring_case(authority, *host);
}

}  // namespace

bool can_be_owned(std::string_view authority) {
  constexpr std::string_view kLocal = ".localhost";
  std::string_view host = without_port(authority);
  if (host.starts_with('[') || parse_ip(host)) return false;
  if (host.ends_with('.')) host.remove_suffix(1);
  const bool is_local = host.size() > kLocal.size() &&
                        net::equal_ignoring_case(host.substr(host.size() - kLocal.size()), kLocal);
  return host.contains('.') && !is_local;
}

Status check_page(const net::HttpRequest& request) {
  const std::string_view* host = request.find(net::KnownHeader::kHost);
  // HTTP/1.0 may leave it out, which no browser does.
  if (host != nullptr && can_be_owned(*host)) {
    return fail(Code::kDenied, Component::kAuth, "host_not_allowed",
                "the server checks no tokens (auth none), so it is managed under this machine's own names "
                "only: use localhost or an address in the URL, or start it with --auth oauth2");
  }
  if (is_own_page(request)) return {};
  return fail(Code::kDenied, Component::kAuth, "origin_not_allowed",
              "the server checks no tokens (auth none), so pages of other origins may not use this: call it "
              "from a program, or start it with --auth oauth2; a function lets pages call it by its cors");
}

}  // namespace sterna::gateway
