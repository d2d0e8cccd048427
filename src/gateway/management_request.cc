#include "gateway/management_request.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/number.h"
#include "gateway/route.h"

namespace sterna::gateway {
namespace {

std::string lower(std::string_view text) {
  std::string result(text);
  for (char& c : result) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return result;
}

// What stands in the query is a parameter and no field of the body: 400, as for every other one.
std::unexpected<api::Problem> bad_parameters(api::FieldErrors errors) {
  api::Problem problem = api::to_problem(std::move(errors));
  problem.status = 400;
  problem.component = Component::kGateway;
  problem.reason = "bad_parameter";
  return std::unexpected(std::move(problem));
}

}  // namespace

std::unexpected<api::Problem> problem(const Error& error) {
  return std::unexpected(api::to_problem(error));
}

std::unexpected<api::Problem> problem(api::FieldErrors errors) {
  return std::unexpected(api::to_problem(std::move(errors)));
}

std::unexpected<api::Problem> unsupported_media_type(std::string_view expected) {
  return problem(Error{Code::kInvalid, Component::kGateway, "unsupported_media_type",
                       fmt::format("the Content-Type must be {}", expected)});
}

std::string_view header_of(const ManagementRequest& request, std::string_view name) {
  const std::string wanted = lower(name);
  for (const auto& [key, value] : request.headers) {
    if (key.size() == wanted.size() && lower(key) == wanted) return value;
  }
  return {};
}

std::string content_type(const ManagementRequest& request) {
  std::string_view value = header_of(request, "content-type");
  value = value.substr(0, value.find(';'));
  while (value.ends_with(' ') || value.ends_with('\t')) value.remove_suffix(1);
  return lower(value);
}

std::expected<api::Json, api::Problem> json_body(const ManagementRequest& request, std::string_view also) {
  const std::string type = content_type(request);
  if (!type.empty() && type != kJsonType && type != also) return unsupported_media_type(kJsonType);
  Result<api::Json> json = api::parse_json(request.body);
  if (!json) return problem(json.error());
  return std::move(*json);
}

std::optional<std::string> query_of(const ManagementRequest& request, std::string_view name) {
  std::string value;
  if (!query_parameter(request.query, name, value)) return std::nullopt;
  return value;
}

std::expected<api::Page, api::Problem> page_of(const ManagementRequest& request) {
  api::Validated<api::Page> page = api::parse_page(query_of(request, "limit"), query_of(request, "cursor"));
  if (!page) return bad_parameters(std::move(page.error()));
  return std::move(*page);
}

std::expected<registry::Force, api::Problem> force_of(const ManagementRequest& request) {
  const std::string force = query_of(request, "force").value_or("false");
  if (force == "true") return registry::Force::kYes;
  if (force == "false") return registry::Force::kNo;
  return bad_parameters({{"force", "must be true or false"}});
}

std::expected<int, api::Problem> traffic_percent_of(const ManagementRequest& request) {
  const std::optional<std::string> text = query_of(request, "traffic_percent");
  if (!text) return registry::kAllTraffic;
  const auto percent = parse_number<int>(*text);
  if (percent && *percent > 0 && *percent <= registry::kAllTraffic) return *percent;
  return bad_parameters({{"traffic_percent", "must be a whole number from 1 to 100"}});
}

ManagementReply json_reply(int status, const api::OrderedJson& json) {
  return {status, {{"Content-Type", std::string(kJsonType)}}, api::dump(json) + "\n"};
}

}  // namespace sterna::gateway
