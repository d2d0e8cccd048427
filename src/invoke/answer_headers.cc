#include "invoke/answer_headers.h"

#include <string>

#include "net/hop_by_hop.h"
#include "net/http_parser.h"

namespace sterna::invoke {
namespace {

using net::equal_ignoring_case;

// Headers of an answer that are the platform's to set.
bool is_ours(std::string_view name) {
  return equal_ignoring_case(name, "content-length") || equal_ignoring_case(name, "x-call-id") ||
         equal_ignoring_case(name, "x-duration-seconds") || equal_ignoring_case(name, "server-timing") ||
         equal_ignoring_case(name, "x-sterna-fault") || equal_ignoring_case(name, "x-function-version");
}

}  // namespace

void for_each_answer_header(const wire::ResponseHead& head,
                            const std::function<void(std::string_view, std::string_view)>& each) {
  std::string connection;  // all Connection headers as one list (RFC 9110 5.3)
  std::string_view name;
  std::string_view value;
  wire::HeaderWalk walk(head.headers, head.header_count);
  while (walk.next(name, value)) {
    if (equal_ignoring_case(name, "connection"))
      connection.append(connection.empty() ? "" : ",").append(value);
  }
  walk = wire::HeaderWalk(head.headers, head.header_count);
  while (walk.next(name, value)) {
    if (!is_ours(name) && !net::is_hop_by_hop(name, connection)) each(name, value);
  }
}

}  // namespace sterna::invoke
