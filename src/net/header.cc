#include "net/header.h"

#include <algorithm>
#include <array>
#include <span>

#include "net/http_text.h"

namespace sterna::net {
namespace {

struct Name {
  std::string_view text;  // in lower case
  KnownHeader header;
};

constexpr std::size_t kLongest = 19;

// By length, so that most headers are told apart by theirs and a letter.
constexpr std::array kNames{
    Name{"te", KnownHeader::kTe},
    Name{"host", KnownHeader::kHost},
    Name{"expect", KnownHeader::kExpect},
    Name{"prefer", KnownHeader::kPrefer},
    Name{"trailer", KnownHeader::kTrailer},
    Name{"upgrade", KnownHeader::kUpgrade},
    Name{"x-call-id", KnownHeader::kXCallId},
    Name{"connection", KnownHeader::kConnection},
    Name{"keep-alive", KnownHeader::kKeepAlive},
    Name{"tracestate", KnownHeader::kTracestate},
    Name{"traceparent", KnownHeader::kTraceparent},
    Name{"x-not-before", KnownHeader::kXNotBefore},
    Name{"authorization", KnownHeader::kAuthorization},
    Name{"server-timing", KnownHeader::kServerTiming},
    Name{"content-length", KnownHeader::kContentLength},
    Name{"x-callback-url", KnownHeader::kXCallbackUrl},
    Name{"x-sterna-fault", KnownHeader::kXSternaFault},
    Name{"idempotency-key", KnownHeader::kIdempotencyKey},
    Name{"x-delay-seconds", KnownHeader::kXDelaySeconds},
    Name{"x-forwarded-for", KnownHeader::kXForwardedFor},
    Name{"proxy-connection", KnownHeader::kProxyConnection},
    Name{"x-forwarded-host", KnownHeader::kXForwardedHost},
    Name{"transfer-encoding", KnownHeader::kTransferEncoding},
    Name{"x-forwarded-proto", KnownHeader::kXForwardedProto},
    Name{"proxy-authenticate", KnownHeader::kProxyAuthenticate},
    Name{"x-duration-seconds", KnownHeader::kXDurationSeconds},
    Name{"x-function-version", KnownHeader::kXFunctionVersion},
    Name{"proxy-authorization", KnownHeader::kProxyAuthorization},
};
static_assert(std::ranges::is_sorted(kNames, {}, [](const Name& name) { return name.text.size(); }));
static_assert(kNames.back().text.size() == kLongest);

// Where the names of each length begin in kNames; those of the next one end them.
constexpr auto kStarts = [] {
  std::array<std::uint8_t, kLongest + 2> starts{};
  for (std::size_t length = 0; length < starts.size(); ++length) {
    starts[length] = static_cast<std::uint8_t>(
        std::ranges::count_if(kNames, [&](const Name& name) { return name.text.size() < length; }));
  }
  return starts;
}();

}  // namespace

KnownHeader known_header(std::string_view name) {
  if (name.empty() || name.size() > kLongest) return KnownHeader::kNone;
  // A token's letters become small ones, its other characters never a letter or a hyphen, by this bit.
  constexpr char kSmall = 0x20;
  const auto is = [&](std::string_view known) {
    return std::ranges::equal(known, name, [](char a, char b) { return a == (b | kSmall); });
  };
  const std::size_t begin = kStarts[name.size()];
  for (const Name& known : std::span(kNames).subspan(begin, kStarts[name.size() + 1] - begin)) {
    if (is(known.text)) return known.header;
  }
  return KnownHeader::kNone;
}

std::optional<Header> take_header(std::string_view& text) {
  const std::size_t name = kTokenChars.span(text);
  if (name == 0 || name == text.size() || text[name] != ':') return std::nullopt;
  const std::size_t end = text.find('\r', name);
  if (end == std::string_view::npos || end + 1 == text.size() || text[end + 1] != '\n') return std::nullopt;
  const std::string_view value = without_blanks(text.substr(name + 1, end - name - 1));
  if (!is_field_value(value)) return std::nullopt;
  const Header taken(text.substr(0, name), value);
  text.remove_prefix(end + 2);
  return taken;
}

bool read_connection(std::string_view list, ConnectionOptions& options) {
  while (!list.empty()) {
    const std::size_t comma = std::min(list.find(','), list.size());
    const std::string_view option = without_blanks(list.substr(0, comma));
    list.remove_prefix(std::min(list.size(), comma + 1));
    if (!kTokenChars.holds_all(option)) return false;
    if (!option.empty()) ++options.names;
    options.close = options.close || equal_ignoring_case(option, "close");
    options.keep_alive = options.keep_alive || equal_ignoring_case(option, "keep-alive");
  }
  return true;
}

}  // namespace sterna::net
