#include "api/json.h"

#include <vector>

#include "base/printable.h"

namespace sterna::api {
namespace {

constexpr std::size_t kMaxDetail = 200;  // bytes of what the parser says, which quotes the text
constexpr std::size_t kMaxShownKey = 100;

std::unexpected<Error> bad_json(std::string detail) {
  return fail(Code::kInvalid, Component::kGateway, "bad_json", std::move(detail));
}

// "[json.exception.parse_error.101] parse error at line 1, column 5: ..." without the library's prefix.
std::string without_prefix(std::string_view what) {
  const std::size_t bracket = what.find("] ");
  return printable(bracket == std::string_view::npos ? what : what.substr(bracket + 2), kMaxDetail,
                   LineFeeds::kReplaced);
}

// Builds the document from the parser's events (json_sax_t). The library's own builder with a callback looks
// at all elements of the parent each time an object ends.
class Builder {
 public:
  explicit Builder(std::size_t max_values) : max_values_(max_values) {}

  Json take() { return std::move(root_); }
  const std::string& why_not() const { return why_not_; }

  bool null() { return add(nullptr); }
  bool boolean(bool value) { return add(value); }
  bool number_integer(Json::number_integer_t value) { return add(value); }
  bool number_unsigned(Json::number_unsigned_t value) { return add(value); }
  bool number_float(Json::number_float_t value, const std::string& /*text*/) { return add(value); }
  bool string(std::string& value) { return add(std::move(value)); }
  bool binary(Json::binary_t& /*value*/) { return refuse("binary"); }  // JSON has none
  bool start_object(std::size_t /*size*/) { return open(Json::object()); }
  bool start_array(std::size_t /*size*/) { return open(Json::array()); }
  bool end_object() { return close(); }
  bool end_array() { return close(); }

  bool key(std::string& name) {
    const auto [place, is_new] = open_.back()->emplace(name, nullptr);
    if (!is_new)
      return refuse("the key \"" + printable(name, kMaxShownKey) + "\" is there twice in one object");
    member_ = &*place;
    return true;
  }

  bool parse_error(std::size_t /*position*/, const std::string& /*token*/, const Json::exception& broken) {
    return refuse(without_prefix(broken.what()));
  }

 private:
  bool refuse(std::string why) {
    why_not_ = std::move(why);
    return false;
  }

  // Where it is now; nullptr: there are too many values. It stays there while it is open: its parent gets no
  // further element until it is closed.
  Json* put(Json value) {
    if (++values_ > max_values_) {
      refuse("there are more than " + std::to_string(max_values_) + " values");
      return nullptr;
    }
    Json* place = &root_;
    if (!open_.empty() && open_.back()->is_array()) {
      place = &open_.back()->emplace_back();
    } else if (!open_.empty()) {
      place = member_;
    }
    *place = std::move(value);
    return place;
  }

  bool add(Json value) { return put(std::move(value)) != nullptr; }

  bool open(Json empty) {
    if (open_.size() >= kMaxJsonDepth)
      return refuse("nested deeper than " + std::to_string(kMaxJsonDepth) + " levels");
    Json* const place = put(std::move(empty));
    if (place != nullptr) open_.push_back(place);
    return place != nullptr;
  }

  bool close() {
    open_.pop_back();
    return true;
  }

  const std::size_t max_values_;
  std::size_t values_ = 0;
  Json root_;
  std::vector<Json*> open_;  // from the root to the innermost
  Json* member_ = nullptr;   // whose key was the last, in the innermost object
  std::string why_not_;
};

}  // namespace

Result<Json> parse_json(std::string_view text, std::size_t max_values) {
  if (text.empty()) return bad_json("the body is empty; a JSON document is expected");
  Builder builder(max_values);
  if (!Json::sax_parse(text, &builder)) return bad_json(builder.why_not());
  return builder.take();
}

std::string dump(const OrderedJson& value) {
  return value.dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
}

std::string dump(const Json& value) {
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace sterna::api
