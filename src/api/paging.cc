#include "api/paging.h"

#include "api/base64.h"
#include "base/number.h"

namespace sterna::api {
namespace {

constexpr std::size_t kMaxCursorLength = 1024;
constexpr std::string_view kCursorMark = "1:";  // lets the form of cursors change without misreading old ones

}  // namespace

Validated<Page> parse_page(const std::optional<std::string>& limit,
                           const std::optional<std::string>& cursor) {
  Page page;
  FieldErrors errors;
  if (limit) {
    page.limit = parse_number<decltype(page.limit)>(*limit).value_or(0);
    if (page.limit < 1 || page.limit > kMaxPage) {
      errors.push_back({"limit", "a whole number from 1 to " + std::to_string(kMaxPage)});
    }
  }
  if (cursor && !cursor->empty()) {
    Result<std::string> key = fail(Code::kInvalid, Component::kGateway, "bad_cursor", "too long");
    if (cursor->size() <= kMaxCursorLength) key = base64url_decode(*cursor);
    if (!key || !key->starts_with(kCursorMark)) {
      errors.push_back({"cursor", "the next_cursor of an earlier answer"});
    } else {
      page.after = key->substr(kCursorMark.size());
    }
  }
  if (!errors.empty()) return std::unexpected(std::move(errors));
  return page;
}

std::string make_cursor(std::string_view last_key) {
  return base64url_encode(std::string(kCursorMark).append(last_key));
}

OrderedJson page_json(OrderedJson data, const std::optional<std::string>& next_cursor) {
  OrderedJson next = nullptr;
  if (next_cursor) next = *next_cursor;
  return {{"data", std::move(data)}, {"paging", {{"next_cursor", std::move(next)}}}};
}

}  // namespace sterna::api
