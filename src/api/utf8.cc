#include "api/utf8.h"

#include "api/json.h"

namespace sterna::api {

// The JSON writer is the check that is already here.
bool is_utf8(std::string_view text) {
  try {
    static_cast<void>(Json(text).dump());
    return true;
  } catch (const Json::exception&) {
    return false;
  }
}

}  // namespace sterna::api
