// Headers that are for one connection only and are not passed on (RFC 9110 7.6.1).
#pragma once

#include <set>
#include <string_view>

#include "net/header.h"
#include "net/http_text.h"

namespace sterna::net {

// What one message says of that. Holds views into it.
class HopByHop {
 public:
  // Adds the names that the value of a Connection header lists. Those of headers that Sterna itself reads are
  // passed over: they are for all recipients (Host, Authorization, X-Forwarded-For, ...), and nobody takes
  // them away from a function by naming them.
  void add(std::string_view connection);

  bool includes(const Header& header) const;

 private:
  std::set<std::string_view, LessIgnoringCase> names_;
};

}  // namespace sterna::net
