#include "api/json.h"

#include <unordered_set>
#include <vector>

namespace sterna::api {
namespace {

std::unexpected<Error> bad_json(std::string detail) {
  return fail(Code::kInvalid, Component::kGateway, "bad_json", std::move(detail));
}

// Thrown out of the parser's callback; never leaves this file.
struct Refused {
  std::string why;
};

// Watches the parser: depth, and the keys of every open object.
class Watch {
 public:
  bool see(int depth, Json::parse_event_t event, const Json& value) {
    switch (event) {
      case Json::parse_event_t::object_start:
      case Json::parse_event_t::array_start:
        if (depth >= static_cast<int>(kMaxJsonDepth)) {
          throw Refused{"nested deeper than " + std::to_string(kMaxJsonDepth) + " levels"};
        }
        if (event == Json::parse_event_t::object_start) keys_.emplace_back();
        break;
      case Json::parse_event_t::object_end:
        keys_.pop_back();
        break;
      case Json::parse_event_t::key:
        if (const auto& key = value.get_ref<const std::string&>(); !keys_.back().insert(key).second) {
          throw Refused{"the key \"" + key.substr(0, 100) + "\" is there twice in one object"};
        }
        break;
      default:
        break;
    }
    return true;
  }

 private:
  std::vector<std::unordered_set<std::string>> keys_;
};

// "[json.exception.parse_error.101] parse error at line 1, column 5: ..." without the library's prefix.
std::string without_prefix(std::string_view what) {
  const std::size_t bracket = what.find("] ");
  return std::string(bracket == std::string_view::npos ? what : what.substr(bracket + 2));
}

}  // namespace

Result<Json> parse_json(std::string_view text) {
  if (text.empty()) return bad_json("the body is empty; a JSON document is expected");
  Watch watch;
  try {
    return Json::parse(text, [&](int depth, Json::parse_event_t event, const Json& value) {
      return watch.see(depth, event, value);
    });
  } catch (const Refused& refused) {
    return bad_json(refused.why);
  } catch (const Json::exception& broken) {
    return bad_json(without_prefix(broken.what()));
  }
}

std::string dump(const OrderedJson& value) {
  return value.dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
}

std::string dump(const Json& value) {
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace sterna::api
