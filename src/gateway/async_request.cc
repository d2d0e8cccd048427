#include "gateway/async_request.h"

#include <algorithm>
#include <cmath>

#include "base/number.h"

namespace sterna::gateway {
namespace {

using net::equal_ignoring_case;
using net::KnownHeader;

constexpr double kMaxWaitSeconds = 300;

std::unexpected<Error> bad(std::string_view reason, std::string detail) {
  return fail(Code::kInvalid, Component::kGateway, std::string(reason), std::move(detail));
}

// A finite number of seconds from 0 on.
std::optional<double> parse_seconds(std::string_view text) {
  const auto seconds = parse_number<double>(text);
  return seconds && std::isfinite(*seconds) && *seconds >= 0 ? seconds : std::nullopt;
}

// The one value of a header; fails when it is given twice.
Result<std::optional<std::string_view>> single(const net::HttpRequest& request, KnownHeader known,
                                               std::string_view reason) {
  std::optional<std::string_view> value;
  for (const net::Header& header : request.headers) {
    if (header.known != known) continue;
    if (value) return bad(reason, std::string(header.name) + " is given more than once");
    value = net::without_blanks(header.value);
  }
  return value;
}

// Where the first `end` outside of quoted strings stands (RFC 9110 5.6.4), or the text's size.
std::size_t find_unquoted(std::string_view text, char end) {
  bool quoted = false;
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (quoted && text[at] == '\\') {
      ++at;
    } else if (text[at] == '"') {
      quoted = !quoted;
    } else if (!quoted && text[at] == end) {
      return at;
    }
  }
  return text.size();
}

// One preference without its parameters (RFC 7240 2): respond-async, or wait=N with or without quotes.
void apply_preference(std::string_view item, AsyncPreference& preference) {
  item = net::without_blanks(item.substr(0, find_unquoted(item, ';')));
  const std::size_t equals = std::min(item.find('='), item.size());
  const std::string_view name = net::without_blanks(item.substr(0, equals));
  if (equal_ignoring_case(name, "respond-async")) preference.respond_async = true;
  if (!equal_ignoring_case(name, "wait") || preference.wait_given) return;
  preference.wait_given = true;  // the first one counts, even one that cannot be understood
  std::string_view value = net::without_blanks(item.substr(std::min(equals + 1, item.size())));
  if (value.size() >= 2 && value.front() == '"' && value.back() == '"')
    value = value.substr(1, value.size() - 2);
  if (const auto seconds = parse_seconds(value)) {
    preference.wait = std::chrono::duration_cast<Duration>(
        std::chrono::duration<double>(std::min(*seconds, kMaxWaitSeconds)));
  }
}

Status parse_delay(const net::HttpRequest& request, WallTime now, AsyncHeaders& headers) {
  const auto delay = single(request, KnownHeader::kXDelaySeconds, "bad_delay");
  if (!delay) return std::unexpected(delay.error());
  const auto at = single(request, KnownHeader::kXNotBefore, "bad_delay");
  if (!at) return std::unexpected(at.error());
  const std::optional<std::string_view>&delay_given = *delay, &time_given = *at;
  if (delay_given && time_given) return bad("bad_delay", "give X-Delay-Seconds or X-Not-Before, not both");
  if (delay_given) {
    const auto seconds = parse_seconds(*delay_given);
    if (!seconds || *seconds > static_cast<double>(kMaxDelaySeconds)) {
      return bad("bad_delay",
                 "X-Delay-Seconds is a number of seconds from 0 to " + std::to_string(kMaxDelaySeconds));
    }
    headers.delay =
        std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::duration<double>(*seconds));
  }
  if (time_given) {
    const auto time = parse_rfc3339(*time_given);
    if (!time) return bad("bad_delay", "X-Not-Before is no RFC 3339 time, e.g. 2026-01-02T03:04:05Z");
    if (*time - now > std::chrono::seconds(kMaxDelaySeconds))
      return bad("bad_delay", "X-Not-Before is more than 30 days ahead");
    headers.not_before = *time;
  }
  return {};
}

}  // namespace

AsyncPreference parse_preference(const net::HttpRequest& request) {
  AsyncPreference preference;
  for (const net::Header& header : request.headers) {
    if (header.known != KnownHeader::kPrefer) continue;
    for (std::string_view rest = header.value; !rest.empty();) {
      const std::string_view item = rest.substr(0, find_unquoted(rest, ','));
      rest.remove_prefix(std::min(item.size() + 1, rest.size()));
      apply_preference(item, preference);
    }
  }
  return preference;
}

Result<AsyncHeaders> parse_async_headers(const net::HttpRequest& request, WallTime now) {
  AsyncHeaders headers;
  const auto callback = single(request, KnownHeader::kXCallbackUrl, "bad_callback_url");
  if (!callback) return std::unexpected(callback.error());
  if (const auto& url = *callback) {
    if (url->empty())
      return bad("bad_callback_url", "X-Callback-Url is empty; leave it out when no callback is wanted");
    headers.callback_url = *url;
  }
  if (const Status delayed = parse_delay(request, now, headers); !delayed)
    return std::unexpected(delayed.error());
  auto key = parse_idempotency_key(request);
  if (!key) return std::unexpected(key.error());
  headers.idempotency_key = std::move(*key);
  return headers;
}

Result<std::string> parse_idempotency_key(const net::HttpRequest& request) {
  const auto key = single(request, KnownHeader::kIdempotencyKey, "bad_idempotency_key");
  if (!key) return std::unexpected(key.error());
  const std::optional<std::string_view>& given = *key;
  if (!given) return std::string();
  if (given->empty() || given->size() > kMaxIdempotencyKey)
    return bad("bad_idempotency_key", "Idempotency-Key has 1 to 255 characters");
  return std::string(*given);
}

}  // namespace sterna::gateway
