#include "gateway/management_route.h"

#include <array>
#include <vector>

#include "gateway/route.h"

namespace sterna::gateway {
namespace {

constexpr std::size_t kMaxSegments = 5;

// nullopt when there are too many, or an escape is broken.
std::optional<std::vector<std::string>> split(std::string_view path) {
  std::vector<std::string> segments;
  while (!path.empty()) {
    const std::string_view segment = path.substr(0, path.find('/'));
    path.remove_prefix(segment.size() < path.size() ? segment.size() + 1 : segment.size());
    if (segment.empty()) continue;
    std::string decoded;
    if (segments.size() == kMaxSegments || !percent_decode(segment, decoded)) return std::nullopt;
    segments.push_back(std::move(decoded));
  }
  return segments;
}

std::optional<Resource> function_part(std::string_view word) {
  constexpr std::array kParts = {std::pair<std::string_view, Resource>{"code", Resource::kCode},
                                 std::pair<std::string_view, Resource>{"versions", Resource::kVersions},
                                 std::pair<std::string_view, Resource>{"rollback", Resource::kRollback},
                                 std::pair<std::string_view, Resource>{"stop", Resource::kStop},
                                 std::pair<std::string_view, Resource>{"start", Resource::kStart}};
  for (const auto& [name, resource] : kParts) {
    if (name == word) return resource;
  }
  return std::nullopt;
}

}  // namespace

std::optional<ManagementRoute> parse_management_route(std::string_view path) {
  const auto segments = split(path);
  if (!segments || segments->empty()) return std::nullopt;
  const std::vector<std::string>& part = *segments;
  if (part.size() == 1 && part[0] == "openapi.json") return ManagementRoute{.resource = Resource::kOpenApi};
  if (part[0] != "spaces") return std::nullopt;
  switch (part.size()) {
    case 1:
      return ManagementRoute{.resource = Resource::kSpaces};
    case 2:
      return ManagementRoute{.resource = Resource::kSpace, .space = part[1]};
    default:
      break;
  }
  if (part[2] == "signing-secret") {
    if (part.size() == 3) return ManagementRoute{.resource = Resource::kSigningSecret, .space = part[1]};
    if (part.size() > 4 || part[3] != "rotate") return std::nullopt;
    return ManagementRoute{.resource = Resource::kRotateSecret, .space = part[1]};
  }
  if (part[2] == "secrets") {
    if (part.size() == 3) return ManagementRoute{.resource = Resource::kSecrets, .space = part[1]};
    if (part.size() > 4) return std::nullopt;
    return ManagementRoute{.resource = Resource::kSecret, .space = part[1], .secret = part[3]};
  }
  if (part[2] != "functions") return std::nullopt;
  if (part.size() == 3) return ManagementRoute{.resource = Resource::kFunctions, .space = part[1]};
  if (part.size() == 4)
    return ManagementRoute{.resource = Resource::kFunction, .space = part[1], .function = part[3]};
  const std::optional<Resource> resource = function_part(part[4]);
  if (!resource) return std::nullopt;
  return ManagementRoute{.resource = *resource, .space = part[1], .function = part[3]};
}

}  // namespace sterna::gateway
