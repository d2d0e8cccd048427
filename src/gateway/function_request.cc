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

net::HopByHop hop_by_hop_of(const net::HttpRequest& request) {
  net::HopByHop hop_by_hop;
  for (const net::Header& header : request.headers) {
    if (header.known == KnownHeader::kConnection) hop_by_hop.add(header.value);
  }
  return hop_by_hop;
}

}  // namespace

std::string call_id_of(const net::HttpRequest& request, UlidGenerator& ids) {
  const std::string_view* own = request.find(KnownHeader::kXCallId);
  return own != nullptr && is_ulid(*own) ? std::string(*own) : ids.next();
}

std::optional<Traceparent> read_traceparent(std::string_view value) {
  Traceparent read{};
  constexpr std::string_view kOurs = "00";
  const std::string_view version = value.substr(0, kOurs.size());
  const bool is_ours = version == kOurs;
  if (value.size() < read.size() || !is_lower_hex(version) || version == "ff") return std::nullopt;
  if (value.size() > read.size() && (is_ours || value[read.size()] != '-')) return std::nullopt;
  value = value.substr(0, read.size());
  const std::string_view trace = value.substr(3, 32);
  const std::string_view parent = value.substr(36, 16);
  const std::string_view flags = value.substr(53);
  if (value[2] != '-' || value[35] != '-' || value[52] != '-' || !is_lower_hex(trace) || is_zero(trace) ||
      !is_lower_hex(parent) || is_zero(parent) || !is_lower_hex(flags))
    return std::nullopt;
  std::ranges::copy(value, read.begin());
  if (is_ours) return read;
  // Of what a later version says, this one knows whether the trace is sampled.
  constexpr std::string_view kOdd = "13579bdf";
  std::ranges::copy(kOurs, read.begin());
  read[53] = '0';
  read[54] = kOdd.contains(flags.back()) ? '1' : '0';
  return read;
}

std::string encode_request(const net::HttpRequest& request, const RequestContext& context, UlidGenerator& ids,
                           std::string payload) {
  constexpr std::size_t kMostly = 32;
  boost::container::small_vector<wire::HeaderPair, kMostly> headers;
  const auto add = [&](std::string_view name, std::string_view value) {
    headers.push_back({.name = name, .value = value});
  };
  const net::HopByHop hop_by_hop = hop_by_hop_of(request);
  std::string forwarded_for;
  std::string_view host;
  bool has_proto = false;
  bool has_host = false;
  std::optional<Traceparent> trace;
  bool has_state = false;
  for (const net::Header& header : request.headers) {
    if (hop_by_hop.includes(header) || is_platform_token(header, context.access)) continue;
    switch (header.known) {
      case KnownHeader::kXCallId:
        continue;
      case KnownHeader::kXForwardedFor:
        forwarded_for.append(header.value).append(", ");
        continue;
      case KnownHeader::kTraceparent:
        if (!trace) trace = read_traceparent(header.value);
        continue;
      case KnownHeader::kTracestate:
        has_state = true;
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
  // What systems on the way have noted of a trace is void without its traceparent (W3C Trace Context 3.3).
  if (has_state && !trace) {
    const auto gone =
        std::ranges::remove(headers, KnownHeader::kTracestate,
                            [](const wire::HeaderPair& header) { return net::known_header(header.name); });
    headers.erase(gone.begin(), gone.end());
  }
  if (!trace) trace = ids.traceparent();
  add("traceparent", {trace->data(), trace->size()});
  payload.clear();
  wire::append_bodyless_request(
      payload, {.method = request.method, .path = context.path, .query = context.query, .headers = {}},
      headers);
  return payload;
}

}  // namespace sterna::gateway
