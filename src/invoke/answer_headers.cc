#include "invoke/answer_headers.h"

#include <string>

#include "net/hop_by_hop.h"

namespace sterna::invoke {
namespace {

using net::KnownHeader;

// Headers of an answer that are the platform's to set.
bool is_ours(KnownHeader header) {
  return header == KnownHeader::kContentLength || header == KnownHeader::kXCallId ||
         header == KnownHeader::kXDurationSeconds || header == KnownHeader::kServerTiming ||
         header == KnownHeader::kXSternaFault || header == KnownHeader::kXFunctionVersion;
}

// All Connection headers as one list (RFC 9110 5.3).
std::string connection_of(const wire::ResponseHead& head) {
  constexpr std::size_t kSize = std::string_view("connection").size();
  std::string connection;
  std::string_view name;
  std::string_view value;
  wire::HeaderWalk walk(head.headers, head.header_count);
  while (walk.next(name, value)) {
    if (name.size() == kSize && net::known_header(name) == KnownHeader::kConnection)
      connection.append(connection.empty() ? "" : ",").append(value);
  }
  return connection;
}

}  // namespace

void for_each_answer_header(const wire::ResponseHead& head,
                            const std::function<void(std::string_view, std::string_view)>& each) {
  const std::string connection = connection_of(head);
  std::string_view name;
  std::string_view value;
  wire::HeaderWalk walk(head.headers, head.header_count);
  while (walk.next(name, value)) {
    const net::Header header(name, value);
    if (!is_ours(header.known) && !net::is_hop_by_hop(header, connection)) each(name, value);
  }
}

}  // namespace sterna::invoke
