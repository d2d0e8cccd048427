#include "net/hop_by_hop.h"

#include <algorithm>
#include <array>
#include <cstdint>

#include "net/http_parser.h"

namespace sterna::net {
namespace {

constexpr std::array<std::string_view, 10> kHopByHop{
    "connection",        "keep-alive", "proxy-connection",    "te",    "proxy-authenticate", "trailer",
    "transfer-encoding", "upgrade",    "proxy-authorization", "expect"};

// One bit for each length that a name above has: most headers are told apart by it.
constexpr std::uint32_t kLengths = [] {
  std::uint32_t lengths = 0;
  for (const std::string_view hop : kHopByHop) lengths |= 1U << hop.size();
  return lengths;
}();

bool is_listed_length(std::size_t length) {
  return length < 32 && (kLengths >> length & 1U) != 0;
}

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

bool is_hop_by_hop(std::string_view name, std::string_view connection) {
  return (is_listed_length(name.size()) &&
          std::ranges::any_of(kHopByHop,
                              [&](std::string_view hop) { return equal_ignoring_case(hop, name); })) ||
         (!connection.empty() && lists(connection, name));
}

}  // namespace sterna::net
