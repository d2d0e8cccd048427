// sterna traffic: which versions get how much of a function's calls.
#include <fmt/format.h>

#include "base/number.h"
#include "cli/commands.h"
#include "cli/report.h"

namespace sterna::cli {
namespace {

using api::Json;

constexpr std::int64_t kAll = 100;

struct Share {
  std::int64_t version = 0;
  std::int64_t percent = 0;
};

// "7=10"
Result<Share> read_share(std::string_view text) {
  const std::size_t equals = text.find('=');
  if (equals != std::string_view::npos) {
    const auto version = parse_number<std::int64_t>(text.substr(0, equals));
    const auto percent = parse_number<std::int64_t>(text.substr(equals + 1));
    if (version && percent && *version > 0 && *percent > 0 && *percent <= kAll)
      return Share{.version = *version, .percent = *percent};
  }
  return fail(Code::kInvalid, Component::kGateway, "bad_usage",
              "\"" + std::string(text) + "\" is no share: write VERSION=PERCENT, such as 7=10 (1 to 100)");
}

// What the share leaves goes to the version that is active now.
Result<Json> set_share(Api& api, const std::string& path, const Share& share) {
  const auto function = api.get(path);
  if (!function) return function;
  Json shares = Json::array({Json{{"version", share.version}, {"percent", share.percent}}});
  if (share.percent < kAll) {
    const Json active = function->value("active_version", Json());
    if (!active.is_number_integer()) {
      return fail(Code::kConflict, Component::kRegistry, "version_not_loaded",
                  "no version of the function runs yet that could share its calls");
    }
    if (active == share.version) {
      return fail(
          Code::kConflict, Component::kRegistry, "version_is_active",
          fmt::format("version {} is the active one, which gets what the other leaves: name the other one",
                      share.version));
    }
    shares.push_back(Json{{"version", active}, {"percent", kAll - share.percent}});
  }
  return api.send("PUT", path + "/traffic", Json{{"versions", shares}});
}

std::string shares_table(const Json& traffic) {
  std::vector<Row> rows = {{"VERSION", "PERCENT"}};
  for (const Json& item : traffic.value("versions", Json::array()))
    rows.push_back({cell(item, "version"), cell(item, "percent")});
  return format_table(rows);
}

}  // namespace

Result<int> traffic(const Target& target, std::string_view name, std::string_view share) {
  const auto path = function_path(target, name);
  if (!path) return std::unexpected(path.error());
  Api api(target);
  Result<Json> shown;
  if (share.empty()) {
    shown = api.get(*path + "/traffic");
  } else {
    const auto wanted = read_share(share);
    if (!wanted) return std::unexpected(wanted.error());
    shown = set_share(api, *path, *wanted);
  }
  return report(target, shown, shares_table);
}

}  // namespace sterna::cli
