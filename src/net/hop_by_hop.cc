#include "net/hop_by_hop.h"

#include <algorithm>

#include "net/http_text.h"

namespace sterna::net {
namespace {

bool lists(std::string_view connection, std::string_view name) {
  while (!connection.empty()) {
    std::string_view token = connection.substr(0, connection.find(','));
    connection.remove_prefix(std::min(token.size() + 1, connection.size()));
    while (!token.empty() && (token.front() == ' ' || token.front() == '\t')) token.remove_prefix(1);
    while (!token.empty() && (token.back() == ' ' || token.back() == '\t')) token.remove_suffix(1);
    if (equal_ignoring_case(token, name)) return true;
  }
  return false;
}

}  // namespace

bool is_hop_by_hop(const Header& header, std::string_view connection) {
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
    default:
      return !connection.empty() && lists(connection, header.name);
  }
}

}  // namespace sterna::net
