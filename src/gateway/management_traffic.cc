// {fn}/traffic: which versions get how much of the calls.
#include <optional>
#include <string>
#include <vector>

#include "api/object_reader.h"
#include "gateway/management.h"
#include "gateway/management_request.h"

namespace sterna::gateway {
namespace {

constexpr std::size_t kMaxShares = 2;

struct Share {
  std::int64_t version = 0;
  std::int64_t percent = 0;
};

Share read_share(const api::Json& json, const std::string& path, api::FieldErrors& errors) {
  Share share;
  api::ObjectReader reader(json, path, errors);
  reader.integer("version", share.version, 1, INT64_MAX);
  if (!json.contains("version")) reader.error("version", "is required");
  reader.integer("percent", share.percent, 0, registry::kAllTraffic);
  if (!json.contains("percent")) reader.error("percent", "is required");
  reader.finish();
  return share;
}

// Those that get a part of the calls: one, or two different ones.
api::Validated<std::vector<Share>> read_shares(const api::Json& body) {
  api::FieldErrors errors;
  api::ObjectReader reader(body, "", errors);
  const api::Json* versions = reader.find("versions");
  std::vector<Share> shares;
  std::int64_t sum = 0;
  if (versions == nullptr || !versions->is_array() || versions->empty() || versions->size() > kMaxShares) {
    reader.error("versions", "must be a list of one or two objects with version and percent");
  } else {
    for (std::size_t i = 0; i < versions->size(); ++i) {
      const Share share = read_share((*versions)[i], "versions[" + std::to_string(i) + "]", errors);
      sum += share.percent;
      if (share.percent > 0) shares.push_back(share);
    }
    if (errors.empty() && sum != registry::kAllTraffic) {
      reader.error("versions", "the percents must make 100, they make " + std::to_string(sum));
    }
    if (shares.size() == kMaxShares && shares[0].version == shares[1].version)
      reader.error("versions", "must be different versions");
  }
  reader.finish();
  if (!errors.empty()) return std::unexpected(std::move(errors));
  return shares;
}

// The one whose share is to be set, so that the active one gets the others; nullopt when it is none of two.
std::optional<Share> changed_of(const std::vector<Share>& shares, std::int64_t active) {
  if (shares.size() == 1) return shares[0];
  if (shares[0].version == active) return shares[1];
  if (shares[1].version == active) return shares[0];
  return std::nullopt;
}

}  // namespace

api::OrderedJson traffic_json(const registry::Function& function) {
  api::OrderedJson shares = api::OrderedJson::array();
  if (!function.active) return shares;
  const int canary = function.canary ? function.canary->traffic_percent : 0;
  shares.push_back({{"version", function.active->number}, {"percent", registry::kAllTraffic - canary}});
  if (function.canary) shares.push_back({{"version", function.canary->number}, {"percent", canary}});
  return shares;
}

Management::Answer Management::get_traffic(const Call& call) {
  const auto function = registry_.find(call.route.space, call.route.function);
  if (!function) return problem(function.error());
  return json_reply(200, {{"versions", traffic_json(*function)}});
}

Management::Answer Management::put_traffic(const Call& call) {
  const auto body = json_body(call.request);
  if (!body) return std::unexpected(body.error());
  const auto shares = read_shares(*body);
  if (!shares) return problem(shares.error());
  const std::scoped_lock lock(writes_);
  const auto before = registry_.find(call.route.space, call.route.function);
  if (!before) return problem(before.error());
  const std::int64_t active = before->active ? before->active->number : 0;
  const std::optional<Share> changed = changed_of(*shares, active);
  if (!changed) {
    return problem(Error{Code::kConflict, Component::kRegistry, "version_not_active",
                         "one of the two must be the active version, which is " + std::to_string(active)});
  }
  const auto version = registry_.find_version(call.route.space, call.route.function, changed->version);
  if (!version) return problem(version.error());
  if (auto known = check_secrets(call.route.space, version->spec); !known)
    return std::unexpected(std::move(known.error()));
  const auto function = registry_.set_traffic(call.route.space, call.route.function, changed->version,
                                              static_cast<int>(changed->percent));
  if (!function) return problem(function.error());
  return json_reply(200, {{"versions", traffic_json(*function)}});
}

}  // namespace sterna::gateway
