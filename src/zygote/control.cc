#include "zygote/control.h"

#include <nlohmann/json.hpp>

namespace sterna::zygote {
namespace {

using nlohmann::json;

std::unexpected<Error> bad(std::string detail) {
  return fail(Code::kInvalid, Component::kWorker, "bad_control_message", std::move(detail));
}

json to_json(const Configure& configure) {
  return {{"op", "configure"},
          {"root_dir", configure.root_dir},
          {"cgroups", sandbox::to_json(configure.cgroups)},
          {"program_uids", configure.program_uids},
          {"isolated", configure.isolation == sandbox::Isolation::kFull}};
}
json to_json(const Spares& spares) {
  return {{"op", "spares"}, {"network", to_string(spares.network)}, {"count", spares.count}};
}
json to_json(const Start& start) {
  return {{"op", "start"},
          {"worker", start.worker},
          {"plan", sandbox::to_json(start.plan)},
          {"parent", start.parent}};
}
json to_json(const Kill& kill) {
  return {{"op", "kill"}, {"worker", kill.worker}};
}

json to_json(const Ping&) {
  return {{"op", "ping"}};
}

json or_null(const std::optional<int>& value) {
  return value ? json(*value) : json(nullptr);
}

std::optional<int> int_or_null(const json& value) {
  return value.is_null() ? std::nullopt : std::optional(value.get<int>());
}

json to_json(const Ready& ready) {
  return {{"op", "ready"}, {"runtime", ready.runtime}};
}
json to_json(const Failed& failed) {
  return {{"op", "failed"}, {"error", failed.error}};
}
json to_json(const Started& started) {
  return {{"op", "started"}, {"worker", started.worker}, {"pid", started.pid}, {"spare", started.spare}};
}
json to_json(const Exited& exited) {
  return {{"op", "exited"},
          {"worker", exited.worker},
          {"code", or_null(exited.code)},
          {"signal", or_null(exited.signal)},
          {"oom", exited.oom},
          {"error", exited.error}};
}

json to_json(const Pong&) {
  return {{"op", "pong"}};
}

Result<Request> request_from(const json& message) {
  const auto op = message.at("op").get<std::string>();
  if (op == "start") {
    auto plan = sandbox::plan_from_json(message.at("plan"));
    if (!plan) return std::unexpected(plan.error());
    return Start{message.at("worker").get<std::string>(), std::move(*plan),
                 message.value("parent", std::string())};
  }
  if (op == "ping") return Ping{};
  if (op == "kill") return Kill{message.at("worker").get<std::string>()};
  if (op == "spares") {
    const auto network = parse_network(message.at("network").get<std::string>());
    if (!network) return bad("network must be none, egress or host");
    return Spares{*network, message.at("count").get<std::uint32_t>()};
  }
  if (op == "configure") {
    auto cgroups = sandbox::layout_from_json(message.at("cgroups"));
    if (!cgroups) return std::unexpected(cgroups.error());
    return Configure{
        message.at("root_dir").get<std::string>(), std::move(*cgroups),
        message.value("program_uids", std::uint32_t{0}),
        message.at("isolated").get<bool>() ? sandbox::Isolation::kFull : sandbox::Isolation::kNone};
  }
  return bad("unknown op " + op);
}

Result<Report> report_from(const json& message) {
  const auto op = message.at("op").get<std::string>();
  if (op == "ready") return Ready{message.at("runtime").get<std::string>()};
  if (op == "pong") return Pong{};
  if (op == "failed") return Failed{message.at("error").get<std::string>()};
  if (op == "started") {
    return Started{message.at("worker").get<std::string>(),
                   message.at("pid").get<pid_t>(),
                   message.at("spare").get<bool>(),
                   {}};
  }
  if (op == "exited") {
    return Exited{message.at("worker").get<std::string>(), int_or_null(message.at("code")),
                  int_or_null(message.at("signal")), message.at("oom").get<bool>(),
                  message.at("error").get<std::string>()};
  }
  return bad("unknown op " + op);
}

template <class T, class Read>
Result<T> decode(std::string_view bytes, Read read) {
  try {
    return read(json::parse(bytes));
  } catch (const json::exception& error) {
    return bad(error.what());
  }
}

template <class T>
std::string encode_any(const T& message) {
  // A worker's name or error text that is not UTF-8 must not throw.
  return std::visit([](const auto& each) { return to_json(each); }, message)
      .dump(-1, ' ', false, json::error_handler_t::replace);
}

}  // namespace

std::string encode(const Request& request) {
  return encode_any(request);
}
std::string encode(const Report& report) {
  return encode_any(report);
}

Result<Request> decode_request(std::string_view bytes) {
  return decode<Request>(bytes, request_from);
}
Result<Report> decode_report(std::string_view bytes) {
  return decode<Report>(bytes, report_from);
}

}  // namespace sterna::zygote
