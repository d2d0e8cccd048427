#include "native/init.h"

#include <nlohmann/json.hpp>

namespace sterna::native {

Result<Init> parse_init(std::string_view json) {
  try {
    const auto object = nlohmann::json::parse(json);
    Init init;
    object.at("space").get_to(init.space);
    object.at("function").get_to(init.function);
    object.at("instance").get_to(init.instance);
    object.at("version").get_to(init.version);
    object.at("bundle").get_to(init.bundle);
    object.at("template").get_to(init.template_name);
    object.at("handler").get_to(init.handler);
    object.at("command").get_to(init.command);
    object.at("network").get_to(init.network);
    object.at("concurrency").get_to(init.concurrency);
    object.at("async_concurrency").get_to(init.async_concurrency);
    init.timeout = std::chrono::milliseconds(object.at("timeout_ms").get<std::int64_t>());
    object.at("memory_mb").get_to(init.memory_mb);
    init.request_buffering = object.value("request_buffering", true);
    init.on_trial = object.value("on_trial", false);
    for (const auto& [name, value] : object.at("env").items()) {
      init.env.emplace_back(name, value.get<std::string>());
    }
    return init;
  } catch (const nlohmann::json::exception& error) {
    return fail(Code::kInvalid, Component::kWorker, "bad_frame", std::string("INIT: ") + error.what());
  }
}

}  // namespace sterna::native
