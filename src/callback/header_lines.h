// The header lines of one request as curl takes them, in memory that is used again for the next request.
#pragma once

#include <curl/curl.h>

#include <string>
#include <string_view>
#include <vector>

namespace sterna::callback {

class HeaderLines {
 public:
  void clear();
  // What would break the request apart (CR, LF, NUL, a name that is no token) is left out.
  void add(std::string_view name, std::string_view value);
  // Keeps curl from adding a header of its own.
  void suppress(std::string_view name);
  // Valid until the next change.
  curl_slist* list();

 private:
  void end_line();

  std::string text_;  // lines, each with its terminator
  std::vector<std::size_t> starts_;
  std::size_t start_ = 0;
  std::vector<curl_slist> nodes_;
};

// Headers that the sender makes itself or that belong to one connection only: not taken over from a post.
bool is_senders_own(std::string_view name);

// The same header name, whatever its case.
bool same_name(std::string_view a, std::string_view b);

}  // namespace sterna::callback
