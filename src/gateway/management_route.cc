#include "gateway/management_route.h"

#include <array>
#include <span>
#include <string_view>
#include <vector>

#include "base/number.h"

namespace sterna::gateway {
namespace {

constexpr std::size_t kMaxSegments = 8;

// As they stand: no name needs an escape, and /invoke takes none either. nullopt when there are too many, or
// an empty one that is not the last.
std::optional<std::vector<std::string_view>> split(std::string_view path) {
  std::vector<std::string_view> segments;
  while (path.size() > 1) {
    path.remove_prefix(1);
    const std::string_view segment = path.substr(0, path.find('/'));
    path.remove_prefix(segment.size());
    if (segment.empty() || segments.size() == kMaxSegments) return std::nullopt;
    segments.push_back(segment);
  }
  return segments;
}

std::optional<Resource> function_part(std::string_view word) {
  constexpr std::array kParts = {std::pair<std::string_view, Resource>{"code", Resource::kCode},
                                 std::pair<std::string_view, Resource>{"versions", Resource::kVersions},
                                 std::pair<std::string_view, Resource>{"rollback", Resource::kRollback},
                                 std::pair<std::string_view, Resource>{"traffic", Resource::kTraffic},
                                 std::pair<std::string_view, Resource>{"sandbox", Resource::kSandbox},
                                 std::pair<std::string_view, Resource>{"stop", Resource::kStop},
                                 std::pair<std::string_view, Resource>{"start", Resource::kStart}};
  for (const auto& [name, resource] : kParts) {
    if (name == word) return resource;
  }
  return std::nullopt;
}

bool read_number(std::string_view text, std::int64_t& number) {
  number = parse_number<std::int64_t>(text).value_or(0);
  return number > 0;
}

// What stands after {fn}/versions.
std::optional<Resource> version_part(std::span<const std::string_view> part, ManagementRoute& route) {
  if (!read_number(part[0], route.version)) return std::nullopt;
  if (part.size() == 1) return Resource::kVersion;
  if (part.size() == 3 && part[1] == "diff" && read_number(part[2], route.other_version))
    return Resource::kVersionDiff;
  return std::nullopt;
}

// What stands after /apps or /spaces/{space}/apps.
std::optional<Resource> app_part(std::span<const std::string_view> part, ManagementRoute& route) {
  if (part.empty()) return Resource::kApps;
  route.app = part[0];
  if (part.size() == 1) return Resource::kApp;
  if (part.size() == 2 && part[1] == "rotate") return Resource::kRotateApp;
  return std::nullopt;
}

// What stands after /spaces/{space}.
std::optional<Resource> space_part(std::span<const std::string_view> part, ManagementRoute& route) {
  if (part[0] == "signing-secret") {
    if (part.size() == 1) return Resource::kSigningSecret;
    if (part.size() == 2 && part[1] == "rotate") return Resource::kRotateSecret;
  }
  if (part[0] == "apps") return app_part(part.subspan(1), route);
  if (part[0] == "audit" && part.size() == 1) return Resource::kAudit;
  if (part[0] == "secrets") {
    if (part.size() == 1) return Resource::kSecrets;
    route.secret = part[1];
    if (part.size() == 2) return Resource::kSecret;
  }
  if (part[0] == "functions") {
    if (part.size() == 1) return Resource::kFunctions;
    route.function = part[1];
    if (part.size() == 2) return Resource::kFunction;
    if (part.size() == 3) return function_part(part[2]);
    if (part[2] == "versions") return version_part(part.subspan(3), route);
  }
  return std::nullopt;
}

}  // namespace

std::optional<ManagementRoute> parse_management_route(std::string_view path) {
  if (!path.starts_with('/')) return std::nullopt;
  const auto segments = split(path);
  if (!segments || segments->empty()) return std::nullopt;
  const std::span<const std::string_view> part = *segments;
  ManagementRoute route;
  std::optional<Resource> resource;
  if (part[0] == "openapi.json" && part.size() == 1) resource = Resource::kOpenApi;
  if (part[0] == "apps") resource = app_part(part.subspan(1), route);
  if (part[0] == "audit" && part.size() == 1) resource = Resource::kAudit;
  if (part[0] == "spaces") {
    if (part.size() > 1) route.space = part[1];
    resource = part.size() < 3 ? (part.size() == 1 ? Resource::kSpaces : Resource::kSpace)
                               : space_part(part.subspan(2), route);
  }
  if (!resource) return std::nullopt;
  route.resource = *resource;
  return route;
}

}  // namespace sterna::gateway
