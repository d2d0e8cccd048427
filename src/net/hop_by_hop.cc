#include "net/hop_by_hop.h"

#include <algorithm>

namespace sterna::net {

void HopByHop::add(std::string_view connection) {
  while (!connection.empty()) {
    const std::size_t comma = std::min(connection.find(','), connection.size());
    const std::string_view name = without_blanks(connection.substr(0, comma));
    connection.remove_prefix(std::min(connection.size(), comma + 1));
    if (!name.empty() && !equal_ignoring_case(name, "close") && known_header(name) == KnownHeader::kNone)
      names_.insert(name);
  }
}

bool HopByHop::includes(const Header& header) const {
  switch (header.known) {
    case KnownHeader::kConnection:
    case KnownHeader::kExpect:
    case KnownHeader::kKeepAlive:
    case KnownHeader::kProxyAuthenticate:
    case KnownHeader::kProxyAuthorization:
    case KnownHeader::kProxyConnection:
    case KnownHeader::kTe:
    case KnownHeader::kTrailer:
    case KnownHeader::kTransferEncoding:
    case KnownHeader::kUpgrade:
      return true;
    case KnownHeader::kNone:
      return !names_.empty() && names_.contains(header.name);
    default:
      return false;
  }
}

}  // namespace sterna::net
