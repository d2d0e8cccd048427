// Pages of lists: {"data": [...], "paging": {"next_cursor": "..."}}.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "api/json.h"
#include "api/validation.h"

namespace sterna::api {

inline constexpr std::size_t kDefaultPage = 50;
inline constexpr std::size_t kMaxPage = 500;

struct Page {
  std::size_t limit = kDefaultPage;
  std::string after;  // the last key of the page before; empty: from the start
};

// From the query's `limit` and `cursor`, percent-decoded; nullopt when absent.
Validated<Page> parse_page(const std::optional<std::string>& limit, const std::optional<std::string>& cursor);

// A cursor is opaque to clients: the last key, encoded.
std::string make_cursor(std::string_view last_key);

// `next_cursor` is null on the last page.
OrderedJson page_json(OrderedJson data, const std::optional<std::string>& next_cursor);

}  // namespace sterna::api
