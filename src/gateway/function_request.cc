#include "gateway/function_request.h"

#include <algorithm>
#include <boost/container/small_vector.hpp>

#include "net/hop_by_hop.h"
#include "wire/messages.h"

namespace sterna::gateway {
namespace {

using net::equal_ignoring_case;
using net::KnownHeader;

bool is_lower_hex(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

bool is_zero(std::string_view text) {
  return text.find_first_not_of('0') == std::string_view::npos;
}

// "Bearer x" is the platform's token, which user code never sees unless the function does its own access
// control.
bool is_platform_token(const net::Header& header, api::Access access) {
  constexpr std::string_view kBearer = "bearer";
  return access != api::Access::kPublic && header.known == KnownHeader::kAuthorization &&
         equal_ignoring_case(header.value.substr(0, kBearer.size()), kBearer);
}

// All Connection headers as one list (RFC 9110 5.3).
std::string connection_of(const net::HttpRequest& request) {
  std::string all;
  for (const net::Header& header : request.headers) {
    if (header.known != KnownHeader::kConnection) continue;
    if (!all.empty()) all += ',';
    all += header.value;
  }
  return all;
}

}  // namespace

std::string call_id_of(const net::HttpRequest& request, UlidGenerator& ids) {
  const std::string_view* own = request.find(KnownHeader::kXCallId);
  return own != nullptr && is_ulid(*own) ? std::string(*own) : ids.next();
}

bool is_traceparent(std::string_view value) {
  if (value.size() != 55 || !value.starts_with("00-") || value[35] != '-' || value[52] != '-') return false;
  const std::string_view trace = value.substr(3, 32);
  const std::string_view parent = value.substr(36, 16);
  return is_lower_hex(trace) && is_lower_hex(parent) && is_lower_hex(value.substr(53)) && !is_zero(trace) &&
         !is_zero(parent);
}

std::string encode_request(const net::HttpRequest& request, const RequestContext& context, UlidGenerator& ids,
                           std::string payload) {
  constexpr std::size_t kMostly = 32;
  boost::container::small_vector<wire::HeaderPair, kMostly> headers;
  const auto add = [&](std::string_view name, std::string_view value) {
    headers.push_back({.name = name, .value = value});
  };
  const std::string connection = connection_of(request);
  std::string forwarded_for;
  std::string_view host;
  bool has_proto = false;
  bool has_host = false;
  bool has_trace = false;
  for (const net::Header& header : request.headers) {
    if (net::is_hop_by_hop(header, connection) || is_platform_token(header, context.access)) continue;
    switch (header.known) {
      case KnownHeader::kXCallId:
        continue;
      case KnownHeader::kXForwardedFor:
        forwarded_for.append(header.value).append(", ");
        continue;
      case KnownHeader::kTraceparent:
        if (has_trace || !is_traceparent(header.value)) continue;
        has_trace = true;
        break;
      case KnownHeader::kXForwardedProto:
        has_proto = true;
        break;
      case KnownHeader::kXForwardedHost:
        has_host = true;
        break;
      case KnownHeader::kHost:
        host = header.value;
        break;
      default:
        break;
    }
    add(header.name, header.value);
  }
  add("X-Call-Id", context.call_id);
  add("X-Forwarded-For", forwarded_for.append(context.client));
  if (!has_proto) add("X-Forwarded-Proto", request.scheme);
  if (!has_host && host.data() != nullptr) add("X-Forwarded-Host", host);
  const Traceparent made = ids.traceparent();
  if (!has_trace) add("traceparent", {made.data(), made.size()});
  payload.clear();
  wire::append_bodyless_request(
      payload, {.method = request.method, .path = context.path, .query = context.query, .headers = {}},
      headers);
  return payload;
}

}  // namespace sterna::gateway
