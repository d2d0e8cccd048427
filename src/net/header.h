// One header of a message, and which of those that Sterna itself looks at it is.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace sterna::net {

enum class KnownHeader : std::uint8_t {
  kNone,  // any other
  kAuthorization,
  kConnection,
  kContentLength,
  kExpect,
  kHost,
  kIdempotencyKey,
  kKeepAlive,
  kPrefer,
  kProxyAuthenticate,
  kProxyAuthorization,
  kProxyConnection,
  kServerTiming,
  kTe,
  kTraceparent,
  kTracestate,
  kTrailer,
  kTransferEncoding,
  kUpgrade,
  kXCallId,
  kXCallbackUrl,
  kXDelaySeconds,
  kXDurationSeconds,
  kXForwardedFor,
  kXForwardedHost,
  kXForwardedProto,
  kXFunctionVersion,
  kXNotBefore,
  kXSternaFault,
};

// `name` is a token; without regard to case.
KnownHeader known_header(std::string_view name);

struct Header {
  Header(std::string_view its_name, std::string_view its_value)
      : name(its_name), value(its_value), known(known_header(its_name)) {}

  std::string_view name;
  std::string_view value;
  KnownHeader known;
};

// Cuts a header line with its CR LF off the front of `text`, spaces and tabs around the value too. Nullopt:
// it is none, or its value holds a control character.
std::optional<Header> take_header(std::string_view& text);

// What Connection headers say about the connection itself.
struct ConnectionOptions {
  bool close = false;
  bool keep_alive = false;
  std::size_t names = 0;
};

// Adds what the value of a Connection header says. False: it is no list of tokens (RFC 9110 7.6.1).
bool read_connection(std::string_view list, ConnectionOptions& options);

}  // namespace sterna::net
