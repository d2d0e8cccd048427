// Decodes query strings as browsers write them (application/x-www-form-urlencoded). Knows no Python.
#pragma once

#include <string>
#include <string_view>

namespace sterna::python {

// `+` becomes a space, %XX its byte; a % without two hex digits stays as it is.
std::string decode_query_part(std::string_view text);

// Walks `a=1&b=&c`: names and values still encoded, in order, blank values kept, empty parts skipped.
class QueryWalk {
 public:
  explicit QueryWalk(std::string_view query) : rest_(query) {}
  // False at the end.
  bool next(std::string_view& name, std::string_view& value);

 private:
  std::string_view rest_;
};

}  // namespace sterna::python
