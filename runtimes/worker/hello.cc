#include "worker/hello.h"

#include <nlohmann/json.hpp>

#include "wire/frame.h"

namespace sterna::worker {
namespace {

void append_json(std::string& out, wire::FrameType type, const nlohmann::json& json) {
  // User code's text may be cut anywhere: broken UTF-8 is replaced.
  const std::string text = json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  wire::append_frame(out, type, wire::More::kNo, 0, 0, text);
}

}  // namespace

void append_ready(std::string& out, std::string_view runtime, bool async) {
  append_json(out, wire::FrameType::kReady, {{"runtime", runtime}, {"async", async}});
}

void append_load_failed(std::string& out, std::string_view summary, std::string_view detail) {
  append_json(out, wire::FrameType::kLoadFailed, {{"summary", summary}, {"detail", detail}});
}

}  // namespace sterna::worker
