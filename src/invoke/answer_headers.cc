#include "invoke/answer_headers.h"

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

net::HopByHop hop_by_hop_of(const wire::ResponseHead& head) {
  constexpr std::size_t kSize = std::string_view("connection").size();
  net::HopByHop hop_by_hop;
  std::string_view name;
  std::string_view value;
  wire::HeaderWalk walk(head.headers, head.header_count);
  while (walk.next(name, value)) {
    if (name.size() == kSize && net::known_header(name) == KnownHeader::kConnection) hop_by_hop.add(value);
  }
  return hop_by_hop;
}

}  // namespace

void for_each_answer_header(const wire::ResponseHead& head,
                            const std::function<void(std::string_view, std::string_view)>& each) {
  const net::HopByHop hop_by_hop = hop_by_hop_of(head);
  std::string_view name;
  std::string_view value;
  wire::HeaderWalk walk(head.headers, head.header_count);
  while (walk.next(name, value)) {
    const net::Header header(name, value);
    if (!is_ours(header.known) && !hop_by_hop.includes(header)) each(name, value);
  }
}

}  // namespace sterna::invoke
